"""`make mutation`: the sample, the interval, the reasons, the page. mutmut itself is not needed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.mutation import copy, page
from tools.mutation.lines import read_lines, write_whole
from tools.mutation.verdicts import Reason, Verdict, matched, read_reasons, sampled, score, wilson

NAMES = [f"learn/a.py:f: {i} → {i + 1}" for i in range(4000)]


def test_a_larger_sample_includes_a_smaller_one():
    few, many = ({n for n in NAMES if sampled(n, 7, share)} for share in (0.05, 0.2))
    assert few < many
    assert len(many) == pytest.approx(800, abs=80)
    assert all(sampled(name, 7, 1.0) for name in NAMES)
    assert {n for n in NAMES if sampled(n, 8, 0.05)} != few


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(85, 100, 0.7672, 0.9069), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_known_intervals(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def _verdicts() -> list[Verdict]:
    statuses = ["killed", "killed", "timeout", "survived", "unreached"]
    return [
        Verdict(name, "learn/a.py", "number" if i < 4 else "wording", status)
        for i, (name, status) in enumerate(zip(NAMES, statuses, strict=False))
    ]


def test_a_timeout_is_noticed_and_a_mutant_without_a_test_is_not():
    found = score(40, _verdicts(), {NAMES[3]: Reason(NAMES[3], "the same")})
    assert (found.tested, found.share, found.accepted) == (5, 0.6, 1)
    assert found.interval == wilson(3, 5)
    assert score(5, _verdicts(), {}).interval == (0.6, 0.6)


def test_a_reason_goes_with_its_survivor_by_name_or_by_kind():
    reasons = [Reason(NAMES[3], "the same"), Reason("*", "wording", kind="wording")]
    existing = [(each.name, each.kind) for each in _verdicts()] + [(NAMES[9], "wording")]
    found, stale = matched(reasons, _verdicts(), existing)
    assert {name: each.reason for name, each in found.items()} == {
        NAMES[3]: "the same",
        NAMES[4]: "wording",
    }
    assert stale == []


def test_brackets_in_a_name_are_no_pattern():
    name = "learn/a.py:f: x[0] → x[1]"
    verdict = Verdict(name, "learn/a.py", "number", "survived")
    assert Reason(name, "the same").covers(verdict)
    assert Reason("learn/a.py:*x[0]*", "the same").covers(verdict)
    assert not Reason("learn/a.py:*x[1] →*", "the same").covers(verdict)


def test_a_reason_of_no_mutant_or_of_one_that_is_noticed_is_stale():
    existing = [(each.name, each.kind) for each in _verdicts()]
    reasons = [Reason("learn/gone.py:f: 1 → 2", "the same"), Reason(NAMES[0], "the same")]
    found, stale = matched(reasons, _verdicts(), existing)
    assert found == {}
    assert ["no mutant has the name" in stale[0], "the tests notice" in stale[1]] == [True, True]


def test_the_reasons_are_read_and_say_why():
    found = read_reasons(copy.ROOT / "tools" / "mutation" / "reasons.toml")
    assert len({(each.mutant, each.kind) for each in found}) == len(found)
    assert all(each.reason for each in found)


def test_the_tests_of_a_room_are_its_own_and_the_laws_that_do_not_train():
    found = copy.tests("learn")
    assert {"tests/unit/learn/test_losses.py", "tests/laws/test_schedules.py"} <= set(found)
    assert "tests/laws/test_training.py" not in found
    assert copy.sources("learn/schedules/step") == ["qstore_ray/learn/schedules/step.py"]
    with pytest.raises(SystemExit, match="no folder and no module"):
        copy.sources("learn/schedule")


@pytest.mark.skipif(not page.RESULTS.exists(), reason="make mutation has not written its record")
def test_the_page_is_what_its_record_says():
    assert page.PAGE.read_text() == page.text(json.loads(page.RESULTS.read_text()))


def test_mutmut_is_told_where_the_package_is():
    project = tomllib.loads((copy.ROOT / "pyproject.toml").read_text())
    assert project["tool"]["mutmut"]["source_paths"] == ["qstore_ray"]


@pytest.mark.parametrize(
    ("killed", "survived", "mutants", "is_below"),
    [(84, 16, 100, True), (85, 15, 100, False), (70, 30, 1000, True), (80, 20, 1000, False)],
    ids=["all, below", "all, at the goal", "a sample far below", "a sample that may be above"],
)
def test_a_target_fails_if_it_is_surely_below_the_goal(killed, survived, mutants, is_below):
    statuses = ["killed"] * killed + ["survived"] * survived
    verdicts = [Verdict(NAMES[i], "learn/a.py", "number", s) for i, s in enumerate(statuses)]
    existing = [SimpleNamespace(path="qstore_ray/learn/a.py")] * mutants
    record = page.Record("learn", 1.0, 7, 2.0, 4.0, 16.0, existing, verdicts, {})
    found = page.below_goal([record])
    assert bool(found) is is_below
    assert all(line.startswith("learn: at most ") and "goal is 85 %" in line for line in found)


def test_what_a_killed_run_wrote_last_is_not_in_the_way(tmp_path: Path):
    """A record of hundreds of tests is written in pieces, and a kill may come between them."""
    record = tmp_path / "verdicts.jsonl"
    assert read_lines(record) == []
    record.write_text('{"name": "a"}\n{"name": "b"}\n{"name": "c", "se')
    assert [each["name"] for each in read_lines(record)] == ["a", "b"]
    with record.open("a") as out:
        print(json.dumps({"name": "d"}), file=out)
    assert [each["name"] for each in read_lines(record)] == ["a", "b", "d"]
    record.write_text('{"na')
    assert read_lines(record) == read_lines(record) == []
    write_whole(record, "all")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(record.name, "all")]
