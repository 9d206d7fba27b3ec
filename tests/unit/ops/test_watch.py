"""Watching: history alerts nobody, what is new does, and damage or an end is no crash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.ops.alerts import ALERTS, Alert, AlertLog, read_alerts
from qstore_ray.ops.rules import Sample
from qstore_ray.ops.watch.followed import WatchedRun
from qstore_ray.ops.watch.memory import holder_of, tree_memory
from qstore_ray.ops.watch.samples import budget_limits, sample_of, usual_silence
from qstore_ray.ops.watch.standing import attempt_of
from qstore_ray.ops.watch.watcher import RunWatcher, WatchClocks
from tests.file_rights import plain_user
from tests.unit.ops.runs import WrittenRun

CALM = [1.0 + 0.01 * (n % 3) for n in range(40)]
JUMP = [5.0] * 5


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """A notifier that keeps what it gets."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def notify(self, alert: Alert) -> None:
        self.alerts.append(alert)

    def close(self, seconds: float) -> None:
        pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _watcher(folder: Path, clock: Clock, *notifiers: Seen) -> RunWatcher:
    return RunWatcher(folder, notifiers, WatchClocks(clock, clock))


def _rules(alerts: list[Alert]) -> list[tuple[str, str, bool]]:
    return [(alert.run, alert.rule, alert.is_open) for alert in alerts]


def _open(run: str, rule: str, attempt: str = "") -> Alert:
    return Alert(run=run, rule=rule, severity="info", opened=1.0, attempt=attempt)


def test_a_jump_in_a_running_run_is_logged_and_reported_once(tmp_path: Path, clock: Clock):
    run, seen = WrittenRun(tmp_path / "a"), Seen()
    run.start()
    run.steps(CALM)
    with run.held(), _watcher(tmp_path, clock, seen) as watcher, _watcher(tmp_path, clock) as two:
        assert watcher.poll() == two.poll() == []
        run.steps(JUMP, 40)
        assert _rules(watcher.poll()) == [("a", "jump", True)]
        assert two.poll() == watcher.poll() == []
        run.steps(CALM, 45)
        assert _rules(watcher.poll()) == [("a", "jump", False)]
    assert _rules(seen.alerts) == [("a", "jump", True), ("a", "jump", False)]
    assert read_alerts(tmp_path) == seen.alerts[1:]


def test_what_ended_before_is_history(tmp_path: Path, clock: Clock):
    run = WrittenRun(tmp_path / "a", "failed")
    run.start()
    run.steps([*CALM, *JUMP])
    run.add({"event": "end", "status": "failed", "reason": "it became NaN or infinite"})
    with _watcher(tmp_path, clock) as watcher:
        assert watcher.poll() == watcher.poll() == []


def test_of_the_history_of_a_running_run_what_is_open_at_its_end_counts(tmp_path, clock):
    run = WrittenRun(tmp_path / "a")
    run.start()
    run.steps([*CALM, *JUMP, *CALM, *JUMP])
    with run.held(), _watcher(tmp_path, clock) as watcher:
        assert _rules(watcher.poll()) == [("a", "jump", True)]
    assert len(read_alerts(tmp_path)) == 1


def test_a_new_attempt_closes_the_alerts_of_the_one_before(tmp_path: Path, clock: Clock):
    run = WrittenRun(tmp_path / "a")
    run.start()
    run.steps([*CALM, *JUMP])
    with run.held(), _watcher(tmp_path, clock) as watcher:
        watcher.poll()
        run.add({"event": "end", "status": "failed", "reason": "no memory"})
        assert _rules(watcher.poll()) == [("a", "failed", True), ("a", "jump", False)]
        run.start()
        assert _rules(watcher.poll()) == [("a", "failed", False)]


def test_a_run_that_starts_later_and_fails_at_once_is_reported(tmp_path: Path, clock: Clock):
    with _watcher(tmp_path, clock) as watcher:
        assert watcher.poll() == []
        run = WrittenRun(tmp_path / "late", "failed")
        run.start()
        run.add({"event": "end", "status": "failed", "reason": "became NaN or infinite"})
        assert _rules(watcher.poll()) == [("late", "nan", True), ("late", "failed", True)]


def test_a_run_whose_process_died_is_reported_once(tmp_path: Path, clock: Clock):
    run = WrittenRun(tmp_path / "a")
    run.start()
    with _watcher(tmp_path, clock) as watcher:
        with run.held():
            watcher.poll()
            watcher.poll()
        [alert] = watcher.poll()
        assert alert.message == "the run failed: its process has ended without a record of how"
        assert watcher.poll() == []
        assert watcher.running == 0


def test_a_silent_run_is_stalled_and_wakes_again(tmp_path: Path, clock: Clock):
    run = WrittenRun(tmp_path / "a")
    run.start()
    with run.held(), _watcher(tmp_path, clock) as watcher:
        for n in range(5):
            run.steps([1.0], n)
            watcher.poll()
            clock.now += 1.0
        found = []
        while not found:
            clock.now += 10.0
            found = watcher.poll()
        assert _rules(found) == [("a", "stalled", True)]
        assert 300.0 < found[0].value <= 311.0
        run.steps([1.0], 9)
        assert _rules(watcher.poll()) == [("a", "stalled", False)]


def test_alerts_of_runs_that_are_gone_or_over_are_closed(tmp_path: Path, clock: Clock):
    log, seen = AlertLog(tmp_path), Seen()
    WrittenRun(tmp_path / "over", "finished").start()
    again = WrittenRun(tmp_path / "again", "finished", generation=2)
    for run, rule in (("gone", "nan"), ("over", "jump"), ("over", "failed"), ("again", "failed")):
        log.open(_open(run, rule, "again-000000000000/1" if run == "again" else ""))
    with _watcher(tmp_path, clock, seen) as watcher:
        closed = _rules(watcher.poll())
        assert closed == [
            (r, n, False) for r, n in (("gone", "nan"), ("over", "jump"), ("again", "failed"))
        ]
        assert watcher.poll() == []
        assert [(a.run, a.rule) for a in log.read() if a.is_open] == [("over", "failed")]
        shutil.rmtree(tmp_path / "over")
        assert _rules(watcher.poll()) == [("over", "failed", False)]
    assert _rules(seen.alerts) == [*closed, ("over", "failed", False)]
    assert again.path.is_dir()


def test_alerts_of_a_watcher_that_ended_are_taken_over(tmp_path: Path, clock: Clock):
    run, log = WrittenRun(tmp_path / "a"), AlertLog(tmp_path)
    run.start()
    run.steps([*CALM, *JUMP])
    for rule in ("stalled", "memory", "jump", "epoch_jump"):
        log.open(_open("a", rule))
    with run.held(), _watcher(tmp_path, clock) as watcher:
        assert _rules(watcher.poll()) == [("a", "epoch_jump", False)]
        assert watcher.poll() == []
        run.steps([5.0], 45)
        assert _rules(watcher.poll()) == [("a", "stalled", False), ("a", "memory", False)]
    assert [a.rule for a in log.read() if a.is_open] == ["jump"]


def test_alerts_that_time_has_overtaken_are_not_shown_as_open(tmp_path: Path):
    from qstore_ray.ops.dashboard.panels.alerts import AlertPanel
    from qstore_ray.ops.health import HealthScope
    from qstore_ray.ops.health.open_alerts import examine_alerts

    log, run = AlertLog(tmp_path), WrittenRun(tmp_path / "a", "failed")
    for name, rule, attempt in (
        ("a", "failed", attempt_of(run.path)),
        ("a", "jump", ""),
        ("a", "nan", "a-0/7"),
        ("b", "nan", ""),
    ):
        log.open(_open(name, rule, attempt))
    found = list(examine_alerts(HealthScope(tmp_path)))
    assert [(each.name, each.state) for each in found] == [
        ("alert a failed", "note"),
        ("alerts", "ok"),
    ]
    assert found[-1].found == "1 open, 3 over"
    assert [each["rule"] for each in AlertPanel(str(tmp_path))()["open"]] == ["failed"]
    with run.held():
        assert len(list(examine_alerts(HealthScope(tmp_path)))) == 3


def test_trials_of_a_search_are_watched_under_its_name(tmp_path: Path, clock: Clock):
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "study.journal").touch()
    run = WrittenRun(tmp_path / "search" / "trial-0003")
    run.start()
    run.steps([*CALM, *JUMP])
    with run.held(), _watcher(tmp_path, clock) as watcher:
        assert _rules(watcher.poll()) == [("search/trial-0003", "jump", True)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_full_disk_silences_nobody_and_its_alerts_are_logged_later(tmp_path: Path, clock: Clock):
    run, seen, full = WrittenRun(tmp_path / "a"), Seen(), tmp_path / ALERTS
    run.start()
    run.steps(CALM)
    full.symlink_to("/dev/full")
    with run.held(), _watcher(tmp_path, clock, seen) as watcher:
        assert watcher.poll() == []
        run.steps(JUMP, 40)
        assert _rules(watcher.poll()) == [("a", "jump", True)]
        assert watcher.poll() == []
        why = "cannot write the alerts: No space left on device"
        assert list(watcher.problems) == [(ALERTS, why)]
        run.steps(CALM, 45)
        assert watcher.poll() == []  # it is said to be over when the log can say so
        run.steps(JUMP, 85)
        assert _rules(watcher.poll()) == [("a", "jump", True)]
        full.unlink()
        assert _rules(watcher.poll()) == [("a", "jump", False)]
    assert [alert.is_open for alert in seen.alerts] == [True, True, False]
    assert [alert.is_open for alert in read_alerts(tmp_path)] == [False, True]


def test_a_log_of_another_user_is_closed_once_when_it_can_be_written(tmp_path: Path, clock: Clock):
    log, seen = AlertLog(tmp_path), Seen()
    log.open(_open("gone", "nan"))
    log.path.chmod(0o444)
    with _watcher(tmp_path, clock, seen) as watcher:
        with plain_user():
            assert watcher.poll() == watcher.poll() == watcher.poll() == []
        assert [why for _, why in watcher.problems] == [
            "cannot write the alerts: Permission denied"
        ]
        log.path.chmod(0o644)
        assert _rules(watcher.poll()) == [("gone", "nan", False)]
        assert watcher.poll() == []
    assert len(seen.alerts) == 1


def test_damage_is_said_and_nothing_crashes(tmp_path: Path, clock: Clock):
    WrittenRun(tmp_path / "empty")
    folder = WrittenRun(tmp_path / "folder")
    folder.metrics.mkdir()
    torn = WrittenRun(tmp_path / "torn")
    torn.start()
    torn.write("no json\n[1]\n")
    torn.steps([*CALM, *JUMP])
    torn.write('{"event": "step", "lo')
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.toml").write_text("[trainer")
    gone = WrittenRun(tmp_path / "gone")
    gone.start()
    with torn.held(), folder.held(), gone.held(), _watcher(tmp_path, clock) as watcher:
        assert _rules(watcher.poll()) == [("torn", "jump", True)]
        said = dict.fromkeys(run for run, _ in watcher.problems)
        assert set(said) == {"folder", "torn"}
        torn.write('ss": 5.0}\n')
        shutil.rmtree(gone.path)
        assert watcher.poll() == []


def test_a_number_that_is_not_finite_from_another_writer_is_seen(tmp_path: Path):
    run = WrittenRun(tmp_path / "a")
    run.start()
    followed = WatchedRun(run.path, "a")
    assert followed.poll(0.0) == []
    run.write('{"event": "step", "step": 7, "loss": NaN}\n')
    [(rule, event)] = followed.poll(1.0)
    assert (rule.name, event.message) == ("nan", "loss is nan in step 7")
    followed.close()


def test_records_are_samples():
    assert sample_of({"event": "note", "message": "x"}, 1.0) is None
    step = sample_of({"event": "step", "loss": 1, "ok": True, "text": "x"}, 1.0)
    assert step == Sample("step", 1.0, {"loss": 1.0})
    start = sample_of({"event": "start", "epochs": 3}, 0.0, {"allowed_shots": 5.0})
    assert start is not None
    assert start.values == {"epochs": 3.0, "allowed_shots": 5.0}
    ended = sample_of({"event": "end", "status": "failed", "reason": "why"}, 0.0)
    assert ended is not None
    assert ended.text == "why"


def test_limits_and_the_usual_silence_come_from_the_configuration(tmp_path: Path):
    assert budget_limits(tmp_path) == {}
    assert usual_silence(tmp_path) == 300.0
    (tmp_path / "config.toml").write_text(
        '[trainer]\nbackend = "ibm"\n'
        'callbacks = [{name = "timer"}, {name = "budget", shots = 7, seconds = 2.5}]\n'
    )
    assert budget_limits(tmp_path) == {"allowed_shots": 7.0, "allowed_seconds": 2.5}
    assert usual_silence(tmp_path) == 21_600.0


_GROWS = "kept = bytearray(64 << 20); print(len(kept), flush=True); input()"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_the_memory_of_a_process_has_that_of_its_children(tmp_path: Path):
    before = tree_memory([os.getpid()])[os.getpid()]
    child = subprocess.Popen(
        [sys.executable, "-c", _GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        child.stdout.readline()
        both = tree_memory([os.getpid(), child.pid])
        child.communicate("\n")
    assert both[child.pid] > 64.0
    assert both[os.getpid()] - before > 60.0
    assert tree_memory([child.pid]) == {}
    run = WrittenRun(tmp_path / "a")
    assert holder_of(run.path) is None
    with run.held():
        assert holder_of(run.path) == os.getpid()


def test_a_training_with_alerts_has_the_same_bits_and_logs_its_failure(tmp_path: Path):
    from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
    from qstore_ray.errors import DivergenceError
    from qstore_ray.track.config import AlertsConfig

    x = np.random.default_rng(0).normal(size=(40, 2))
    data = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))

    def fit(name: str, track: TrackConfig, existing: str = "error", **options: object):
        return QuantumTrainer(
            ModelConfig(n_qubits=2, layers=1), TrainerConfig(epochs=3, **options),
            name=name, storage=tmp_path, track=track,
        ).fit(data, existing=existing)  # fmt: skip

    plain = TrackConfig(mlflow=False, figures=False)
    watched = plain.model_copy(update={"alerts": AlertsConfig()})
    assert fit("a", plain).metrics["train_loss"] == fit("b", watched).metrics["train_loss"]
    assert read_alerts(tmp_path) == []
    with pytest.raises(DivergenceError):
        fit("c", watched, learning_rate=1e307, optimizer="sgd")
    assert {(a.run, a.rule) for a in read_alerts(tmp_path)} == {("c", "nan"), ("c", "failed")}
    assert all(alert.is_open and alert.attempt.endswith("/1") for alert in read_alerts(tmp_path))
    with pytest.raises(DivergenceError):
        fit("c", watched, "resume", learning_rate=1e307, optimizer="sgd")
    ended = [(a.rule, a.attempt[-2:]) for a in read_alerts(tmp_path) if a.is_open]
    assert ended == [("nan", "/2"), ("failed", "/2")]
    fit("c", watched, "replace")
    assert not any(alert.is_open for alert in read_alerts(tmp_path))
