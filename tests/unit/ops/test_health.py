"""Health: each fault is a finding that says what to type; a check that hangs is one, too."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qstore_ray.cli.app import main
from qstore_ray.doctor import Diagnosis
from qstore_ray.errors import StudyError
from qstore_ray.ops.alerts import ALERTS, Alert, AlertLog
from qstore_ray.ops.dashboard.panels.searches import SearchPanel
from qstore_ray.ops.health import HealthScope, examine_health, worst
from qstore_ray.ops.health.examine import CHECKS
from qstore_ray.ops.health.run_states import examine_runs
from qstore_ray.ops.health.studies import examine_studies
from qstore_ray.ops.watch.memory import age_of
from qstore_ray.track.config import TrackConfig
from qstore_ray.tune.study.ownership import make_record
from tests.file_rights import plain_user
from tests.unit.ops.runs import WrittenRun

PLAIN = TrackConfig(mlflow=False)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster, ledger or count of this machine's user."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def _found(folder: Path, **more: object) -> dict[str, Diagnosis]:
    scope = HealthScope(folder, PLAIN, **more)  # type: ignore[arg-type]
    return {each.name: each for each in examine_health(scope)}


def test_a_folder_that_does_not_exist_yet_is_well(tmp_path: Path):
    found = _found(tmp_path / "absent")
    assert {each.state for each in found.values()} == {"ok"}
    assert found["runs"].found.startswith("0 in ")


def test_a_killed_run_says_how_to_continue_it(runs: Path):
    WrittenRun(runs / "dead").start()
    finding = _found(runs)["run dead"]
    assert finding.state == "fault"
    assert "was killed" in finding.found
    assert "existing='resume'" in finding.advice
    assert str(runs / "dead" / "config.toml") in finding.advice


def test_a_silent_run_is_stalled_and_a_clock_that_jumps_stalls_nothing(runs: Path):
    run = WrittenRun(runs / "slow")
    run.start()
    run.add(*({"event": "epoch", "epoch": n, "seconds": 2.0 * n} for n in range(9)))
    with run.held():
        later = time.time() + 301.0
        assert "run slow" not in _found(runs)
        for age in (None, 3600.0):
            finding = _found(runs, now=lambda: later + 5, age=lambda _, age=age: age)["run slow"]
            assert "is stalled: nothing was written for 5 min" in finding.found
        assert str(os.getpid()) in finding.advice
        assert "run slow" not in _found(runs, now=lambda: 0.0)
        os.utime(run.metrics, (later + 1e6, later + 1e6))
        assert "run slow" not in _found(runs, now=lambda: later + 5)


def test_a_run_that_dates_its_files_1970_is_silent_for_no_longer_than_it_runs(runs: Path):
    run = WrittenRun(runs / "early")
    run.start()
    for file in (run.metrics, run.path / "run.json"):
        os.utime(file, (0, 0))
    with run.held():
        assert "run early" not in _found(runs, age=lambda _: 60.0)
        assert "nothing was written for" in _found(runs, age=lambda _: 9999.0)["run early"].found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_the_age_of_a_process_is_that_since_it_began():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child:
        young, own = age_of(child.pid), age_of(os.getpid())
        child.communicate(b"\n")
    assert young is not None
    assert own is not None
    assert 0.0 <= young <= own
    assert age_of(child.pid) is None


def test_a_run_whose_process_has_ended_and_left_a_child_is_orphaned(runs: Path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    run = WrittenRun(runs / "orphan")
    with run.held(ended.pid):
        assert f"process {ended.pid} has ended" in _found(runs)["run orphan"].found


def test_half_written_runs_are_named_and_nothing_crashes(runs: Path):
    for name, text in (("a", ""), ("b", "[1]"), ("c", '{"status": "running"')):
        (runs / name).mkdir()
        (runs / name / "run.json").write_text(text)
    torn = WrittenRun(runs / "torn")
    torn.write('{"event": "epoch", "epoch": 0, "seconds": 1}\nno json\n{"event": "ep')
    with torn.held():
        found = _found(runs)
    assert found["runs"].found == f"4 in {runs}, 1 running"
    notes = [d for d in examine_runs(HealthScope(runs, PLAIN)) if d.state == "note"]
    assert [note.found for note in notes] == ["3 without a readable run.json: a, b, c"]


def test_a_folder_that_may_not_be_read_is_said(runs: Path):
    runs.chmod(0)
    try:
        with plain_user():
            assert _found(runs)["runs"].state == "fault"
    finally:
        runs.chmod(0o700)


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    found = _found(tmp_path / "file")
    assert found["storage"].state == found["runs"].state == "fault"


def test_trials_of_a_killed_search_are_one_finding(runs: Path):
    (runs / "s").mkdir()
    (runs / "s" / "study.journal").touch()
    for number in range(2):
        WrittenRun(runs / "s" / f"trial-000{number}")
    finding = _found(runs)["study s"]
    assert finding.found == "was killed while trial-0000, trial-0001 ran"


def test_a_damaged_study_is_named(runs: Path):
    (runs / "s").mkdir()
    (runs / "s" / "study.journal").write_text("no json\n")
    found = list(examine_studies(HealthScope(runs, PLAIN)))
    assert [(each.name, each.state) for each in found] == [("study s", "fault"), ("studies", "ok")]
    assert "line 1" in found[0].found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists who holds a lock")
@pytest.mark.parametrize("kind", ["EXCLUSIVE", "IMMEDIATE"])
def test_searches_in_a_database_that_is_locked_say_by_whom(runs: Path, monkeypatch, kind: str):
    monkeypatch.setattr("qstore_ray.doctor.database.WAIT_SECONDS", 0.05)
    database = runs / "studies.db"
    for name in ("a", "b"):
        (runs / name).mkdir()
        make_record(runs / name, f"sqlite:///{database}?timeout=0.05")
    (runs / "c").mkdir()
    (runs / "c" / "study.journal").touch()
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("CREATE TABLE x (y)")
        other.execute(f"BEGIN {kind}")
        found = list(examine_studies(HealthScope(runs, PLAIN)))
        shown = SearchPanel(str(runs))()["searches"]
    assert [(each.name, each.state) for each in found] == [
        ("study a", "fault"), ("study b", "fault"), ("studies", "ok"),
    ]  # fmt: skip
    way = "reading" if kind == "EXCLUSIVE" else "writing"
    assert f"locked against {way}" in found[0].found
    assert found[-1].found == "1 of 3 can be used"
    locked = "the database is locked by another process"
    assert [each["problem"] == locked for each in shown] == [kind == "EXCLUSIVE"] * 2 + [False]


def test_open_alerts_and_damage_of_their_log_are_findings(runs: Path):
    log = AlertLog(runs)
    for rule, severity in (("nan", "critical"), ("jump", "warning"), ("plateau", "info")):
        log.open(Alert(run="a", rule=rule, severity=severity, opened=1.0, message="m", fix="f"))  # type: ignore[arg-type]
    log.close("a", "plateau", 2.0)
    run = WrittenRun(runs / "a")
    with (runs / ALERTS).open("a") as file:
        file.write("no json\n")
    with run.held():
        found = _found(runs)
    assert (found["alert a nan"].state, found["alert a jump"].state) == ("fault", "note")
    assert "alert a plateau" not in found
    assert found["alerts"].found == "2 open, 1 over"


def test_a_damaged_ledger_is_named(runs: Path, tmp_path: Path):
    folder = tmp_path / "state" / "qstore_ray" / "ibm" / "instance" / "device" / "a-1"
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").write_text("no json\nneither\n")
    finding = _found(runs)["ledger a-1"]
    assert finding.state == "fault"


def test_a_check_that_hangs_becomes_a_finding_and_the_others_are_there(runs: Path):
    never = threading.Event()

    def hangs(scope: HealthScope) -> Iterator[Diagnosis]:
        never.wait()
        yield Diagnosis("hangs", "ok", "")

    def raises(scope: HealthScope) -> Iterator[Diagnosis]:
        raise StudyError("no such study", fix="Give another.")
        yield

    def unreadable(scope: HealthScope) -> Iterator[Diagnosis]:
        raise PermissionError(13, "Permission denied", "/secret")
        yield

    checks = {"hangs": hangs, "raises": raises, "disk": unreadable, "runs": CHECKS["runs"]}
    found = examine_health(HealthScope(runs, PLAIN), 0.2, checks)
    never.set()
    assert [(each.name, each.state) for each in found] == [
        ("hangs", "fault"), ("raises", "fault"), ("disk", "fault"), ("runs", "ok"),
    ]  # fmt: skip
    assert found[0].found == "timed out after 0.2 s"
    assert found[1].advice == "Give another."
    assert found[2].found == "/secret: Permission denied"
    assert worst(found) == "fault"
    assert worst([]) == "ok"


def test_the_command_ends_with_four_and_names_commands(runs: Path, capsys):
    WrittenRun(runs / "dead").start()
    arguments = ["health", "--storage", str(runs), "--deadline", "60"]
    assert main([*arguments, "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert said["state"] == "fault"
    dead = next(each for each in said["findings"] if each["name"] == "run dead")
    job = runs / "dead" / "config.toml"
    assert dead["advice"] == f"Continue it: `qstore train {job} --resume`"
    assert main(arguments) == 4
    assert "FAULT  was killed" in capsys.readouterr().out


def test_the_command_watches_and_sends(runs: Path, capsys):
    run = WrittenRun(runs / "live")
    run.start()
    run.steps([*[1.0, 1.01, 1.02] * 12, *[9.0] * 5])
    arguments = ["health", "--storage", str(runs), "--watch", "--seconds", "0"]
    with run.held():
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert "live: jump (warning): loss jumped to 9" in out
        assert "watching" in err
        assert main([*arguments, "--json"]) == 0
    assert capsys.readouterr().out == ""  # it is logged already


@pytest.mark.parametrize(
    "wrong",
    [
        ["--webhook", "https://example.org/x"],
        ["--watch", "--webhook", "ftp://example.org"],
        ["--watch", "--secret-file", "absent"],
        ["--set", "a=1"],
    ],
)
def test_options_that_do_not_fit_are_refused(wrong: list[str], runs: Path, capsys, monkeypatch):
    monkeypatch.delenv("QSTORE_WEBHOOK", raising=False)
    assert main(["health", "--storage", str(runs), *wrong]) == 2
