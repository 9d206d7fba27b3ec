"""The dashboard asks for metrics that exist, in PromQL that is one, and shows all of ours."""

from __future__ import annotations

import itertools
import json
import re

import promql_parser
import pytest

from qstore_ray.telemetry.families import FAMILIES
from tests.clusters.dashboard import DASHBOARD, PANELS, RAY_METRICS, drawn, metrics_of, queries

EXPORTED = {name: family for family in FAMILIES for name in family.exported}


@pytest.mark.parametrize("query", queries())
def test_a_query_is_promql_over_metrics_that_exist(query: str):
    promql_parser.parse(query)
    names = metrics_of(query)
    assert names
    assert names <= set(EXPORTED) | RAY_METRICS


def test_a_broken_query_is_found():
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("sum by (run) (rate(ray_qstore_steps_total[5m])")


def test_every_metric_of_ours_is_shown():
    shown = set().union(*map(metrics_of, drawn()))
    assert {f.name for f in FAMILIES} == {EXPORTED[name].name for name in shown & set(EXPORTED)}


@pytest.mark.parametrize("query", drawn())
def test_a_query_fits_the_kind_of_its_metric(query: str):
    """Only what grows has a rate; each process has its own series, so they are added up."""
    for name in metrics_of(query) & set(EXPORTED):
        assert re.search(r"\b(sum|max) by \(", query)
        if EXPORTED[name].kind == "gauge":
            assert "rate(" not in query
            assert f"last_over_time({name}" in query, "a gauge that is not set is not served"
        labels = {*re.findall(r"(\w+)=~", query), *_grouping(query)} - {"le"}
        assert labels <= set(EXPORTED[name].labels)


def _grouping(query: str) -> set[str]:
    return {
        label for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(", ")
    }


def test_variables_are_defined_and_used():
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(DASHBOARD))) - {"__rate_interval", "__all"}
    assert used == defined


def test_panels_do_not_overlap():
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    boxes = [panel["gridPos"] for panel in PANELS]
    for one, other in itertools.combinations(boxes, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert max(box["x"] + box["w"] for box in boxes) == 24
