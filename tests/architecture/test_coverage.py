"""The record of coverage: summed as coverage.py sums, complete, and never below the bound."""

from __future__ import annotations

import json

import pytest

from tests.architecture.source import PACKAGE


@pytest.fixture
def covered(monkeypatch, repository):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import covered

    return covered


def _file(lines: int, of_lines: int, branches: int, of_branches: int) -> dict:
    summary = {
        "covered_lines": lines, "num_statements": of_lines, "covered_branches": branches,
        "num_branches": of_branches, "missing_lines": of_lines - lines,
        "missing_branches": of_branches - branches,
    }  # fmt: skip
    return {"summary": summary, "missing_lines": list(range(of_lines - lines))}


def test_lines_and_branches_of_a_package_are_summed(covered):
    files = {
        "/any/qstore_ray/data/a.py": _file(9, 10, 4, 10),
        "qstore_ray/data/rows/b.py": _file(30, 30, 0, 0),
        "qstore_ray/errors.py": _file(5, 5, 2, 2),
        "qstore_ray/torch/empty.py": _file(0, 0, 0, 0),
    }
    rows = {row["package"]: row for row in covered.by_package(files)}
    assert rows["data"] == {
        "package": "data", "percent": 86.0, "lines": "39/40", "branches": "4/10",
    }  # fmt: skip
    assert rows["qstore_ray"]["percent"] == 100.0
    assert covered.missing(files)[0][:2] == (7, "/any/qstore_ray/data/a.py")


def test_every_package_of_the_record_is_above_the_bound(covered):
    if not covered.RECORD.exists():
        pytest.skip("nobody has run `make coverage` yet")
    rows = {
        row["package"]: row["percent"] for row in json.loads(covered.RECORD.read_text())["rows"]
    }
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= rows.keys()
    assert {
        name: percent for name, percent in rows.items() if percent < covered.LEAST_PERCENT
    } == {}
