"""The audit fails on what was not reviewed; the bill of materials has hashes and licences."""

from __future__ import annotations

import datetime as dt
import importlib.util
import subprocess
import tomllib
from types import ModuleType

import pytest

from tests.clusters.manifests import ROOT
from tests.guides import blocks_of

TODAY = dt.date(2026, 11, 29)


def _program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "security" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit, sbom = _program("audit"), _program("sbom")
REPORT = {
    "dependencies": [
        {"name": "jinja2", "version": "2.4.1", "vulns": [
            {"id": "PYSEC-1", "aliases": ["CVE-1", "GHSA-1"], "fix_versions": ["2.7.2"]},
        ]},
        {"name": "numpy", "version": "2.4.6", "vulns": []},
        {"name": "gone", "skip_reason": "not found on PyPI"},
    ]
}  # fmt: skip
ENTRY = {"id": "CVE-1", "package": "jinja2", "reason": "not used", "until": dt.date(2026, 12, 31)}


@pytest.mark.parametrize(
    ("allowed", "problems", "reviewed"),
    [
        ([], ["jinja2 2.4.1: PYSEC-1 = CVE-1 = GHSA-1, fixed in 2.7.2"], 0),
        ([ENTRY], [], 1),
        ([ENTRY | {"until": dt.date(2026, 11, 28)}], ["reviewed by 2026-11-28"], 0),
        ([ENTRY | {"reason": ""}], ["needs a reason", "PYSEC-1"], 0),
        ([ENTRY, ENTRY | {"id": "CVE-2"}], ["matches nothing"], 1),
        ([ENTRY | {"package": "numpy"}], ["matches nothing", "PYSEC-1"], 0),
    ],
)
def test_an_advisory_needs_a_review_that_is_not_out_of_date(allowed, problems, reviewed):
    judged = audit.judge(audit.advisories(REPORT), allowed, TODAY)
    assert len(judged.problems) == len(problems)
    for said, wanted in zip(judged.problems, problems, strict=True):
        assert wanted in said
    assert len(judged.allowed) == reviewed


def test_the_list_of_reviewed_advisories_is_well_formed():
    entries = tomllib.loads((ROOT / "security" / "allowed.toml").read_text("utf-8"))
    for entry in entries.get("allowed", ()):
        assert set(entry) == {"id", "package", "reason", "until"}


def test_an_index_without_advisories_audits_nothing(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(audit, "audit", lambda file: asked.append(file) or {"dependencies": []})
    assert audit.main() == 0
    assert "skipped" in capsys.readouterr().out
    assert len(asked) == 1, "the locks were not asked for"


def test_an_index_with_advisories_audits_every_lock(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(audit, "audit", lambda file: asked.append(file.name) or REPORT)
    assert audit.main() == 1
    assert asked == ["control.txt", *audit.LOCKS]
    assert "1 problems" in capsys.readouterr().out


def test_the_bill_has_the_hashes_of_the_lock_and_the_licences_that_are_installed():
    lock = {"components": [
        {"name": "Foo_Bar", "version": "1", "externalReferences": [{"hashes": ["h"]}]},
        {"name": "baz", "version": "2"},
    ]}  # fmt: skip
    mit = [{"license": {"id": "MIT"}}]
    installed = {"components": [
        {"name": "foo-bar", "version": "1", "licenses": mit},
        {"name": "baz", "version": "1", "licenses": mit},
        {"name": "other", "version": "1", "licenses": mit},
    ]}  # fmt: skip
    first, second = sbom.merged(lock, installed)["components"]
    assert first["licenses"] == mit
    assert first["externalReferences"] == [{"hashes": ["h"]}]
    assert "licenses" not in second, "another version may have another licence"


def test_the_commands_of_the_guide_are_targets_of_make():
    commands = "".join(blocks_of("security.md", "console")).splitlines()
    targets = [line.split()[2] for line in commands if line.startswith("$ make ")]
    assert targets == ["audit", "sbom"]
    for target in targets:
        shown = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert f"security/{target}.py" in shown.stdout
