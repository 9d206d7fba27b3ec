"""The log of alerts: one open alert a run and rule, whoever writes, and damage passed over."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.errors import RunError
from qstore_ray.ops.alerts import ALERTS, Alert, AlertLog, read_alerts


def _alert(run: str = "digits", rule: str = "jump", opened: float = 1.0, **more: object) -> Alert:
    return Alert(run=run, rule=rule, severity="warning", opened=opened, **more)  # type: ignore[arg-type]


def test_what_was_opened_is_read_with_all_its_fields(tmp_path: Path):
    alert = _alert(value=3.0, threshold=2.0, message="the loss jumped", fix="Lower the rate.")
    assert AlertLog(tmp_path).open(alert)
    assert read_alerts(tmp_path) == [alert]
    assert read_alerts(tmp_path)[0].is_open


def test_a_folder_without_alerts_has_none(tmp_path: Path):
    assert read_alerts(tmp_path) == []
    assert read_alerts(tmp_path / "absent") == []


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.sampled_from("xy"))))
def test_at_most_one_alert_of_a_run_and_a_rule_is_open(tmp_path_factory, calls):
    folder = tmp_path_factory.mktemp("runs")
    logs = [AlertLog(folder), AlertLog(folder)]
    is_open: set[tuple[str, str]] = set()
    for at, (opens, run, rule) in enumerate(calls):
        log, key = logs[at % 2], (run, rule)
        if opens:
            assert log.open(_alert(run, rule, float(at))) == (key not in is_open)
            is_open.add(key)
        else:
            assert log.close(run, rule, float(at)) == (key in is_open)
            is_open.discard(key)
    found = read_alerts(folder)
    assert {(a.run, a.rule) for a in found if a.is_open} == is_open
    assert [a.opened for a in found] == sorted(a.opened for a in found)
    for _, of_one in groupby(
        sorted(found, key=lambda a: (a.run, a.rule)), key=lambda a: (a.run, a.rule)
    ):
        *closed, last = of_one
        assert all(alert.closed is not None for alert in closed)
        assert last.closed is None or last.closed >= last.opened
    assert logs[0].read() == logs[1].read() == found


def test_a_line_that_was_cut_or_damaged_is_passed_over_and_counted(tmp_path: Path):
    log = AlertLog(tmp_path)
    log.open(_alert("a"))
    with (tmp_path / ALERTS).open("ab") as file:
        file.write(b'not json\n{"event": "open"}\n[]\n{"event": "open", "run": "b", "ru')
    assert [alert.run for alert in read_alerts(tmp_path)] == ["a"]
    assert AlertLog(tmp_path).open(_alert("c"))
    assert [alert.run for alert in log.read()] == ["a", "c"]
    assert log.damaged == 4


def test_a_log_that_was_replaced_is_read_from_its_beginning(tmp_path: Path):
    log = AlertLog(tmp_path)
    log.open(_alert("a"))
    (tmp_path / ALERTS).unlink()
    AlertLog(tmp_path).open(_alert("b"))
    assert [alert.run for alert in log.read()] == ["b"]
    (tmp_path / ALERTS).unlink()
    assert log.read() == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_written_as_json(tmp_path: Path, value: float):
    AlertLog(tmp_path).open(_alert(value=value))
    assert json.loads((tmp_path / ALERTS).read_text())["value"] == str(value)
    assert str(read_alerts(tmp_path)[0].value) == str(value)


def test_a_folder_in_the_place_of_the_log_is_said(tmp_path: Path):
    (tmp_path / ALERTS).mkdir()
    with pytest.raises(RunError, match="cannot read the alerts"):
        read_alerts(tmp_path)
    with pytest.raises(RunError, match="cannot write the alerts"):
        AlertLog(tmp_path).open(_alert())


_RACER = """
import sys
from qstore_ray.ops.alerts import Alert, AlertLog
log = AlertLog(sys.argv[1])
made = [Alert(run=f"r{i}", rule="jump", severity="info", opened=1.0) for i in range(200)]
print(sum(map(log.open, made)))
"""


def test_of_processes_that_race_one_opens_an_alert(tmp_path: Path):
    command = [sys.executable, "-c", _RACER, str(tmp_path)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    won = [int(racer.communicate()[0]) for racer in racers]
    assert sum(won) == 200
    assert len(read_alerts(tmp_path)) == 200


@pytest.mark.parametrize(
    "line",
    [
        '"run": "/etc"', '"run": "../up"', '"run": ""', '"run": "a\\u0000"', '"run": "\\ud800"',
        '"run": [1]', '"event": ["open"]', '"at": "1"', '"at": true', f'"at": 1{"0" * 400}',
        '"value": ' + "[" * 100_000,
    ],
    ids=range(11),
)  # fmt: skip
def test_an_entry_that_cannot_be_of_a_run_here_is_damage(tmp_path: Path, line: str):
    """Whatever shows alerts joins the run's name to its folder, and computes with the time."""
    sound = '"event": "open", "run": "a", "rule": "jump", "at": 1.0'
    (tmp_path / ALERTS).write_text(f"{{{sound}, {line}}}\n{{{sound}}}\n")
    log = AlertLog(tmp_path)
    assert [alert.run for alert in log.read()] == ["a"]
    assert log.damaged == 1


def test_a_number_that_is_too_large_is_none(tmp_path: Path):
    (tmp_path / ALERTS).write_text(
        f'{{"event": "open", "run": "a", "rule": "jump", "at": 1, "value": 1{"0" * 400}}}\n'
    )
    [alert] = read_alerts(tmp_path)
    assert math.isnan(alert.value)
