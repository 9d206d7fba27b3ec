"""The alerts of clusters/prometheus ask for metrics that a run exports, and fire as they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from qstore_ray.telemetry.families import FAMILIES
from tests.clusters.dashboard import RAY_METRICS, metrics_of

RULES = Path(__file__).parents[2] / "clusters" / "prometheus" / "qstore-alerts.yml"
CASES = Path(__file__).parent / "qstore-alerts.test.yml"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
EXPORTED = {name: family for family in FAMILIES for name in family.exported}
PROMTOOL = shutil.which("promtool")
of_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


@of_alert
def test_an_alert_asks_for_metrics_that_exist_by_labels_that_they_have(alert: dict[str, Any]):
    promql_parser.parse(alert["expr"])
    names = metrics_of(alert["expr"])
    assert names
    assert names <= set(EXPORTED) | RAY_METRICS
    known = {label for n in names & set(EXPORTED) for label in EXPORTED[n].labels}
    if known:
        grouped = re.findall(r"by \(([^)]*)\)", alert["expr"])
        used = {label for labels in grouped for label in labels.split(", ")} - {"le"}
        used |= set(re.findall(r'(\w+)!?="', alert["expr"]))
        assert used <= known


@of_alert
def test_an_alert_fits_the_kinds_of_its_metrics(alert: dict[str, Any]):
    for name in metrics_of(alert["expr"]) & set(EXPORTED):
        functions = re.findall(rf"(\w+)\((?:[\d.]+, )?{name}\b", alert["expr"])
        grows = EXPORTED[name].kind != "gauge"
        assert functions
        assert all((f in {"rate", "increase"}) == grows for f in functions)


@of_alert
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: dict[str, Any]):
    assert alert["labels"]["severity"] in {"info", "warning", "critical"}
    assert set(alert["annotations"]) == {"summary", "action"}
    labels = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
    assert labels <= {
        x for by in re.findall(r"by \(([^)]*)\)", alert["expr"]) for x in by.split(", ")
    }


def test_every_alert_is_tested():
    tested = {
        case["alertname"]
        for test in yaml.safe_load(CASES.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert tested == {alert["alert"] for alert in ALERTS}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt install prometheus")
def test_promtool_accepts_the_alerts_and_they_fire_as_they_should(tmp_path: Path):
    for file in (RULES, CASES):
        shutil.copy(file, tmp_path)
    for command in (["check", "rules", RULES.name], ["test", "rules", CASES.name]):
        done = subprocess.run(
            [str(PROMTOOL), *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
