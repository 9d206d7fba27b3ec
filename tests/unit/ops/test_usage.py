"""Usage: sums over run folders, commands counted only on request, no connection."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from qstore_ray.cli.app import main
from qstore_ray.ops.usage.commands import (
    count_command,
    counted_commands,
    is_counting,
    switch_counting,
    usage_file,
)
from qstore_ray.ops.usage.report import usage_report
from tests.unit.ops.runs import WrittenRun

JOB = """
[trainer]
backend = "statevector"
optimizer = "adam"
callbacks = [{name = "timer"}]
[model]
n_qubits = 4
[track]
mlflow = true
wandb = "off"
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def _trained(path: Path, epochs: int, **metrics: float) -> WrittenRun:
    run = WrittenRun(path, "finished", metrics={"train_seconds": 2.5, **metrics})
    (path / "config.toml").write_text(JOB)
    run.start()
    for epoch in range(epochs):
        counts = {"circuit_evaluations": 10 * (epoch + 1), "shots": 100 * (epoch + 1)}
        run.add({"event": "epoch", "epoch": epoch, "step": epoch + 1, "train_loss": 1.0, **counts})
    return run


def test_what_runs_used_is_added_up(tmp_path: Path, state: Path):
    bill = {"hardware_jobs": 2, "hardware_executions": 50, "hardware_seconds": 1.5}
    _trained(tmp_path / "runs" / "a", 3)
    _trained(tmp_path / "runs" / "b", 2, **bill, hardware_money=4.0)
    (tmp_path / "runs" / "s").mkdir()
    (tmp_path / "runs" / "s" / "study.journal").touch()
    _trained(tmp_path / "runs" / "s" / "trial-0000", 1, **bill)  # the study's, not twice
    report = usage_report(tmp_path / "runs")
    assert report.studies == 1
    assert report.runs == {"finished": 3}
    assert (report.cost.seconds, report.cost.epochs) == (7.5, 6)
    assert (report.cost.circuits, report.cost.shots) == (60, 600)
    assert report.cost.paid is not None
    assert (report.cost.paid.jobs, report.cost.paid.seconds) == (2, 1.5)
    assert report.cost.paid.money == 4.0
    assert report.features["optimizer"] == {"adam": 3}
    assert report.features["tracker"] == {"mlflow": 3}
    assert report.features["callback"] == {"timer": 3}
    assert usage_report(tmp_path / "runs", since=time.time()).runs == {}


def test_damaged_and_unfinished_runs_are_counted_as_far_as_they_go(tmp_path: Path, state: Path):
    run = _trained(tmp_path / "a", 1)
    run.write("no json\n")
    WrittenRun(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "config.toml").write_text("[trainer")
    report = usage_report(tmp_path)
    assert report.unread == 2
    assert sum(report.runs.values()) == 3
    assert usage_report(tmp_path / "absent").cost.epochs == 0


def test_commands_are_counted_only_after_they_were_asked_for(tmp_path, state, capsys):
    runs = str(tmp_path / "runs")
    assert main(["runs", "--storage", runs]) == 0
    assert not is_counting()
    assert not state.exists()
    assert main(["usage", "--count", "on"]) == 0
    assert main(["runs", "show", "secret-name", "--storage", runs]) == 2
    assert main(["runs", "list", "--storage", runs]) == 0
    text = usage_file().read_text()
    assert "secret-name" not in text
    assert runs not in text
    counts = counted_commands()
    assert {name: (c.times, c.failed) for name, c in counts.items()} == {
        "runs list": (1, 0), "runs show": (1, 1), "usage": (1, 0),
    }  # fmt: skip
    assert counted_commands(since=time.time() + 60) == {}
    assert main(["usage", "--count", "off"]) == 0
    assert not usage_file().exists()
    assert main(["usage", "--count", "maybe"]) == 2
    assert "Write on or off" in capsys.readouterr().err


def test_a_count_that_cannot_be_written_is_said_and_ends_nothing(tmp_path, state, capsys):
    switch_counting(on=True)
    usage_file().unlink()
    usage_file().symlink_to("/dev/full")
    assert not is_counting()  # no regular file
    usage_file().unlink()
    switch_counting(on=True)
    with usage_file().open("w") as file:
        file.write('{"at": 1, "command": "train", "sec\n[]\n{"at": "x"}\n')
    assert counted_commands() == {}
    count_command("train", 5.0, 1.0, 0)
    assert counted_commands()["train"].times == 1


def test_nothing_leaves_the_machine(tmp_path, state, capsys, monkeypatch):
    def refuse(*args: object) -> None:
        raise AssertionError("a connection was asked for")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    _trained(tmp_path / "runs" / "a", 2)
    assert main(["usage", "--count", "on"]) == 0
    assert main(["usage", "--storage", str(tmp_path / "runs"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["cost"]["circuits"] == 20
    assert said["commands"]["usage"]["times"] == 1
    assert main(["usage", "--storage", str(tmp_path / "runs")]) == 0
    assert "circuits    20" in capsys.readouterr().out
