"""The ratchet: a count that grew fails with what is new, one that shrank until it is recorded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qstore_ray.review.rules import Violation
from tests.gates.repositories import repository
from tools.gates import counts
from tools.gates.ratchet import explained, grown, read_counts, write_counts

RECORD = {"QS103": {"a.py": 2, "b.py": 1}}
AT = Violation("a.py", 7, "QS103", "waits.", "Pass a timeout.")


def test_equal_counts_pass() -> None:
    assert list(explained(RECORD, RECORD, [AT])) == []
    assert grown(RECORD, RECORD) == set()


def test_a_count_that_grew_fails_and_names_what_is_there() -> None:
    found = {"QS103": {"a.py": 3, "b.py": 1}}
    assert grown(RECORD, found) == {"QS103"}
    assert list(explained(RECORD, found, [AT])) == [
        "QS103: a.py has 3, the record says 2. This count may only shrink.",
        "  a.py:7: QS103 waits. Pass a timeout.",
    ]


@pytest.mark.parametrize(
    "found",
    [
        {"QS103": {"a.py": 1, "b.py": 1}},  # one is fixed
        {"QS103": {"a.py": 2, "c.py": 1}},  # one has moved
        {"QS103": {}},
        {},
    ],
)
def test_a_count_that_shrank_or_moved_fails_with_the_command_that_records_it(found) -> None:
    lines = list(explained(RECORD, found, []))
    assert lines
    assert all(line.endswith("Type `make ratchet` to write it down.") for line in lines)
    assert grown(RECORD, found) == set()


def test_a_kind_that_was_at_zero_has_grown() -> None:
    assert grown(RECORD, {**RECORD, "QS101": {"a.py": 1}}) == {"QS101"}


def test_without_a_record_everything_may_be_written_down(tmp_path: Path) -> None:
    file = tmp_path / "ratchet.json"
    assert grown(read_counts(file), RECORD) == set()
    write_counts(RECORD, file)
    assert read_counts(file) == RECORD


def test_long_files_and_functions_are_counted() -> None:
    body = "\n".join(f"    x{n} = {n}" for n in range(60))
    long = f"def f():\n{body}\nclass A:\n    pass\n" + "\n" * 220
    modules = repository(qstore_ray__a=long, qstore_ray__b="def f():\n    pass\n").package
    assert counts.long_files(modules) == {"qstore_ray/a.py": 1}
    assert counts.long_functions(modules) == {"qstore_ray/a.py": 1}


def test_comments_that_switch_a_check_off_are_counted() -> None:
    off = "# no" + "qa"  # apart, or it would be counted here
    text = f"x = 1  {off}: E501\ny = 2  {off}: A001\nz = '{off[2:]}'\n"
    modules = repository(qstore_ray__a=text).package
    assert counts.comments(modules, re.compile(r"#\s*noqa\b")) == {"qstore_ray/a.py": 2}


SETTINGS = {
    "tool": {
        "importlinter": {
            "contracts": [
                {"containers": ["qstore_ray.a"], "ignore_imports": ["b -> c"], "layers": []},
                {"layers": ["qstore_ray.d.x | qstore_ray.d.y"]},
            ]
        },
        "ruff": {"lint": {"ignore": ["E501"], "per-file-ignores": {"tests/**": ["S101"]}}},
        "mypy": {"overrides": [{"module": ["keras.*"], "ignore_missing_imports": True}]},
    }
}


def test_what_the_settings_let_pass_is_counted() -> None:
    assert counts.ignored_imports(SETTINGS) == {"b -> c": 1}
    assert counts.ignored_rules(SETTINGS) == {"E501 in everywhere": 1, "S101 in tests/**": 1}
    assert counts.untyped_packages(SETTINGS) == {"keras.*": 1}


def test_a_package_whose_rooms_have_no_order_is_counted() -> None:
    files = {f"qstore_ray__{package}__room__init": "" for package in ("a", "d", "e")}
    modules = repository(**files).package
    assert counts.unordered_rooms(modules, SETTINGS) == {"qstore_ray.e": 1}
