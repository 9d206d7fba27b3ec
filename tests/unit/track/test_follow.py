"""Following a run: every record once, nobody waits for a tracker, no error gets lost."""

from __future__ import annotations

import io
import json
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from qstore_ray.errors import RunError
from qstore_ray.track import follow, lane
from qstore_ray.track.base import Display, Outcome, Record, RunInfo, Tracker
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.follow import Follower
from qstore_ray.track.jsonl import MetricsFile, encode
from qstore_ray.track.mlflow.tracker import MLflowTracker
from qstore_ray.track.tail import Tail

PATIENCE = 30.0  # seconds for another thread to do its part; far more than it needs
START = {"event": "start", "generation": 1, "epochs": 4, "resumed_from_step": 0}
END = {"event": "end", "status": "finished"}


def _epoch(epoch: int) -> Record:
    return {"event": "epoch", "epoch": epoch, "step": 5 * (epoch + 1), "train_loss": 1.0}


class Recording:
    """A tracker that keeps what it is told, and fails where it is told to."""

    name = "recording"

    def __init__(self, failing: dict[str, list[Exception]] | None = None) -> None:
        self.failing = failing or {}
        self.told: list[tuple[Any, ...]] = []
        self.news: queue.Queue[str] = queue.Queue()

    def _tell(self, call: str, *what: Any) -> None:
        self.news.put(call)
        if self.failing.get(call):
            raise self.failing[call].pop(0)
        self.told.append((call, *what))

    def start(self, run: RunInfo) -> None:
        self._tell("start", run.name)

    def epoch(self, record: Record) -> None:
        self._tell("epoch", record["epoch"])

    def finish(self, status: str, summary: Mapping[str, Any], artifacts: Sequence[Path]) -> None:
        self._tell("finish", status, summary, list(artifacts))


class Watching:
    """A display that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: queue.Queue[tuple[str, Record]] = queue.Queue()
        self.closed = 0

    def start(self, record: Record) -> None:
        self.shown.put(("start", record))

    def step(self, record: Record) -> None:
        self.shown.put(("step", record))

    def epoch(self, record: Record) -> None:
        self.shown.put(("epoch", record))

    def end(self, record: Record) -> None:
        self.shown.put(("end", record))

    def close(self) -> None:
        self.closed += 1

    def all(self) -> list[tuple[str, Record]]:
        return [self.shown.get_nowait() for _ in range(self.shown.qsize())]


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    return RunInfo(name="digits", run_dir=tmp_path)


def _write(run: RunInfo, *records: Record) -> None:
    with MetricsFile(run.metrics_path) as metrics:
        for record in records:
            metrics.append(record)


# ---------------------------------------------------------------------------------------- the tail


def test_records_cut_anywhere_are_handed_out_whole_and_once(tmp_path: Path):
    records = [START, _epoch(0), _epoch(1), END]
    data = b"".join(map(encode, records))
    tail, seen = Tail(tmp_path / "metrics.jsonl"), []
    with (tmp_path / "metrics.jsonl").open("wb", buffering=0) as file:
        for byte in data:
            file.write(bytes([byte]))
            seen += tail.read()
    tail.close()
    assert seen == records


def test_a_file_that_comes_late_is_read(tmp_path: Path):
    tail = Tail(tmp_path / "metrics.jsonl")
    assert tail.read() == []
    (tmp_path / "metrics.jsonl").write_bytes(encode(START))
    assert tail.read() == [START]
    tail.close()


def test_a_damaged_line_is_reported_and_passed_over(tmp_path: Path):
    (tmp_path / "metrics.jsonl").write_bytes(encode(START) + b"{oops}\n" + encode(_epoch(0)))
    tail = Tail(tmp_path / "metrics.jsonl")
    assert tail.read() == [START, _epoch(0)]
    assert [error.message for error in tail.take_errors()] == [
        "line 2 of the metrics file is damaged"
    ]
    assert tail.take_errors() == []
    tail.close()


def test_a_file_cut_short_in_place_is_read_again(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    tail = Tail(path)
    path.write_bytes(encode(START) + encode(_epoch(0)) + encode(_epoch(1)))
    assert tail.read() == [START, _epoch(0), _epoch(1)]
    second = {**START, "generation": 2}
    path.write_bytes(encode(START) + encode(second))
    assert tail.read() == [second]
    tail.close()


@pytest.mark.parametrize("generation", [1, 2], ids=["same generation", "higher generation"])
def test_an_epoch_done_again_after_a_rewind_is_new(tmp_path: Path, generation: int):
    """A worker that died makes Ray begin again within the same generation."""
    path = tmp_path / "metrics.jsonl"
    again = {**START, "generation": generation}
    with MetricsFile(path) as metrics:
        tail = Tail(path)
        for record in (START, _epoch(0), _epoch(1)):
            metrics.append(record)
        assert tail.read() == [START, _epoch(0), _epoch(1)]
        metrics.trim(5)
        metrics.append(again)
        metrics.append(_epoch(1))
        assert tail.read() == [again, _epoch(1)]
        tail.close()


class Action:
    """What a run and its follower may do, in any order."""

    WORK, LOOK, REWIND = range(3)


actions = st.lists(
    st.tuples(
        st.sampled_from([Action.WORK, Action.WORK, Action.LOOK, Action.REWIND]), st.floats(0, 1)
    ),
    max_size=20,
)


@settings(max_examples=60)
@given(actions)
def test_whatever_happens_each_record_of_the_file_is_handed_out_once(tmp_path_factory, actions):
    path = tmp_path_factory.mktemp("run") / "metrics.jsonl"
    metrics, tail = MetricsFile(path), Tail(path)
    step, attempt, seen = 0, 1, []
    metrics.append({**START, "attempt": attempt})
    for action, share in actions:
        if action == Action.WORK:
            step += 1
            metrics.append({"event": "step", "epoch": step // 3, "step": step, "attempt": attempt})
        elif action == Action.LOOK:
            seen += tail.read()
        else:
            step, attempt = int(share * step), attempt + 1
            metrics.trim(step)
            metrics.append({**START, "resumed_from_step": step, "attempt": attempt})
    seen += tail.read()
    tail.close()
    metrics.close()
    lines = [json.dumps(record) for record in seen]
    assert len(set(lines)) == len(lines)
    assert {json.dumps(record) for record in metrics.read()} <= set(lines)


# ------------------------------------------------------------------------------------ the follower


def test_the_fakes_are_what_they_stand_for():
    watching: Display = Watching()
    assert isinstance(Recording(), Tracker)
    assert watching is not None


def test_trackers_and_display_get_all_of_a_run(run: RunInfo):
    tracker, display = Recording(), Watching()
    follower = Follower(run, [tracker], display)
    follower.start()
    step = {"event": "step", "epoch": 0, "step": 1, "loss": 2.0}
    _write(run, START, step, _epoch(0), _epoch(1), END)
    figure = run.run_dir / "loss.png"
    assert follower.stop("finished", {"accuracy": 0.9}, [figure]) == []
    assert follower.incomplete == []
    assert tracker.told == [
        ("start", "digits"),
        ("epoch", 0),
        ("epoch", 1),
        ("finish", "finished", {"accuracy": 0.9}, [figure]),
    ]
    assert [event for event, _ in display.all()] == ["start", "step", "epoch", "epoch", "end"]
    assert display.closed == 1


def test_records_are_handed_on_while_the_run_goes_on(run: RunInfo):
    tracker, display = Recording(), Watching()
    follower = Follower(run, [tracker], display)
    follower.start()
    _write(run, START, _epoch(0))
    assert display.shown.get(timeout=PATIENCE) == ("start", START)
    assert display.shown.get(timeout=PATIENCE) == ("epoch", _epoch(0))
    assert [tracker.news.get(timeout=PATIENCE) for _ in range(2)] == ["start", "epoch"]
    follower.stop("interrupted")
    assert tracker.told[-1][:2] == ("finish", "interrupted")


def test_a_run_that_wrote_nothing_is_finished_too(run: RunInfo):
    tracker = Recording()
    follower = Follower(run, [tracker])
    follower.start()
    assert follower.stop("failed") == []
    assert tracker.told == [("start", "digits"), ("finish", "failed", {}, [])]


def test_nobody_waits_for_a_tracker_that_hangs(run: RunInfo):
    """The display and the other tracker have the epoch while the first one is still connecting."""
    released = threading.Event()

    class Hanging(Recording):
        name = "hanging"

        def start(self, run: RunInfo) -> None:
            assert released.wait(PATIENCE)
            super().start(run)

    hanging, tracker, display = Hanging(), Recording(), Watching()
    follower = Follower(run, [hanging, tracker], display)
    follower.start()
    _write(run, START, _epoch(0))
    assert [display.shown.get(timeout=PATIENCE)[0] for _ in range(2)] == ["start", "epoch"]
    assert [tracker.news.get(timeout=PATIENCE) for _ in range(2)] == ["start", "epoch"]
    assert hanging.told == []
    released.set()
    assert follower.stop() == []
    assert [call for call, *_ in hanging.told] == ["start", "epoch", "finish"]


def test_what_was_there_before_is_for_trackers_only(run: RunInfo):
    """A resumed run shows nothing of its first attempt, while a tracker may have missed it."""
    _write(run, START, _epoch(0))
    tracker, display = Recording(), Watching()
    follower = Follower(run, [tracker], display)
    follower.start()
    second = {**START, "generation": 2, "resumed_from_step": 5}
    _write(run, second, _epoch(1))
    follower.stop()
    assert display.all() == [("start", second), ("epoch", _epoch(1))]
    assert [told[1] for told in tracker.told if told[0] == "epoch"] == [0, 1]


@pytest.mark.parametrize("call", ["start", "epoch"])
def test_a_tracker_that_failed_once_is_made_complete(run: RunInfo, call: str, capsys):
    error = RunError("the server is away")
    tracker = Recording({call: [error]})
    follower = Follower(run, [tracker], retry_seconds=0.0)
    follower.start()
    _write(run, START, _epoch(0), _epoch(1))
    assert follower.stop() == [("recording", error)]
    assert follower.incomplete == []
    assert tracker.told == [
        ("start", "digits"),
        ("epoch", 0),
        ("epoch", 1),
        ("finish", "finished", {}, []),
    ]
    assert capsys.readouterr().err == "warning: recording: the server is away.\n"


def test_a_tracker_that_never_answers_is_incomplete_and_warned_about_once(run: RunInfo, capsys):
    tracker = Recording({"start": [RunError("the server is away") for _ in range(1000)]})
    other = Recording()
    follower = Follower(run, [tracker, other], retry_seconds=0.0)
    follower.start()
    _write(run, START, _epoch(0))
    assert [tracker.news.get(timeout=PATIENCE) for _ in range(2)] == ["start", "start"]
    failures = follower.stop()
    assert len(failures) >= 2
    assert {name for name, _ in failures} == {"recording"}
    assert follower.incomplete == ["recording"]
    assert tracker.told == []
    assert [call for call, *_ in other.told] == ["start", "epoch", "finish"]
    assert capsys.readouterr().err.count("the server is away") == 1


def test_a_tracker_that_failed_is_left_alone_for_a_while(run: RunInfo):
    tracker = Recording({"start": [RunError("away"), RunError("away")]})
    follower = Follower(run, [tracker], retry_seconds=3600.0)
    follower.start()
    assert tracker.news.get(timeout=PATIENCE) == "start"
    _write(run, START, _epoch(0))
    assert len(follower.stop()) == 2  # the first try, and the last one at the end
    assert follower.incomplete == ["recording"]


def test_a_fault_in_a_tracker_is_reported_with_its_kind(run: RunInfo, capsys):
    tracker = Recording({"epoch": [ZeroDivisionError("division by zero") for _ in range(9)]})
    follower = Follower(run, [tracker], retry_seconds=3600.0)
    follower.start()
    _write(run, START, _epoch(0))
    failures = follower.stop()
    assert {type(error) for _, error in failures} == {ZeroDivisionError}
    assert "warning: recording: ZeroDivisionError: division by zero" in capsys.readouterr().err
    assert tracker.told[-1][0] == "finish"


def test_an_error_at_the_end_is_reported(run: RunInfo):
    error = RunError("no room for figures")
    follower = Follower(run, [Recording({"finish": [error]})])
    follower.start()
    assert follower.stop() == [("recording", error)]
    assert follower.incomplete == ["recording"]


def test_a_terminal_that_went_away_ends_the_display_alone(run: RunInfo):
    class Gone(Watching):
        def start(self, record: Record) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    tracker = Recording()
    follower = Follower(run, [tracker], Gone())
    follower.start()
    _write(run, START, _epoch(0))
    assert [name for name, _ in follower.stop()] == ["the progress display"]
    assert [call for call, *_ in tracker.told] == ["start", "epoch", "finish"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_in_the_display_is_reported_and_trackers_are_finished(run: RunInfo):
    class Faulty(Watching):
        def epoch(self, record: Record) -> None:
            raise KeyError("loss")

    tracker = Recording()
    follower = Follower(run, [tracker], Faulty())
    follower.start()
    _write(run, START, _epoch(0))
    failures = follower.stop()
    assert [name for name, _ in failures] == ["metrics.jsonl"]
    assert "was not followed to its end" in str(failures[0][1])
    assert tracker.told[-1][0] == "finish"


def test_a_warning_in_the_file_is_shown_on_stderr(run: RunInfo, capsys):
    follower = Follower(run, (), Watching())
    follower.start()
    _write(run, {"event": "warning", "message": "a checkpoint was damaged"}, START)
    assert follower.stop() == []
    captured = capsys.readouterr()
    assert captured.err == "warning: a checkpoint was damaged\n"
    assert captured.out == ""


def test_stderr_that_is_gone_hides_no_error(run: RunInfo, monkeypatch: pytest.MonkeyPatch):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("sys.stderr", Gone())
    follower = Follower(run, [Recording({"finish": [RunError("away")]})])
    follower.start()
    assert [name for name, _ in follower.stop()] == ["recording"]


# ---------------------------------------------------------------------------- what sync will need


def test_the_folder_alone_tells_what_the_trackers_were_told(tmp_path: Path):
    run = RunInfo(
        name="digits",
        run_dir=tmp_path,
        config={
            "trainer": {"epochs": 3},
            "backend": {"token": "hunter2", "x": SecretStr("hunter2")},
        },
        fingerprints={"data": "aa"},
        tags={"sweep": "s1"},
    )
    figure = tmp_path / "a.png"
    follower = Follower(run)
    follower.start()
    assert RunInfo.load(tmp_path)[1] is None
    follower.stop(
        "failed", {"accuracy": 0.5, "why": "https://me:hunter2@host"}, [tmp_path / "a.png"]
    )
    loaded, outcome = RunInfo.load(tmp_path)
    assert (loaded.name, loaded.fingerprints, loaded.tags) == ("digits", {"data": "aa"}, run.tags)
    assert loaded.config == {"trainer": {"epochs": 3}, "backend": {"token": "***", "x": "***"}}
    assert outcome == Outcome(
        status="failed",
        summary={"accuracy": 0.5, "why": "https://***@host"},
        artifacts=[figure],
    )
    assert "hunter2" not in (tmp_path / "tracking.json").read_text()


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"run": {"nme": 1}, "outcome": null}'])
def test_a_folder_without_a_description_is_refused(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "tracking.json").write_text(text)
    with pytest.raises(RunError, match="no readable description"):
        RunInfo.load(tmp_path)


def test_a_run_folder_that_is_not_there_is_an_error_before_training(tmp_path: Path):
    with pytest.raises(RunError, match="cannot write into the run folder"):
        Follower(RunInfo(name="digits", run_dir=tmp_path / "gone")).start()


def test_a_slow_tracker_is_waited_for_with_a_word(tmp_path, monkeypatch, capsys):
    """Once for each call that takes long: who is waited for, and how long at most."""
    monkeypatch.setattr(lane, "_SILENT_SECONDS", 0.01)
    go = threading.Event()

    class Slow:
        name = "slow"
        longest_wait = "an hour at most"

        def start(self, run: RunInfo) -> None:
            go.wait(30)

        def epoch(self, record: Record) -> None:
            """Nothing."""

        def finish(self, status, summary, artifacts) -> None:
            """Nothing."""

    follower = Follower(RunInfo(name="run", run_dir=tmp_path), [Slow()])
    follower.start()
    threading.Timer(0.3, go.set).start()
    assert follower.stop() == []
    said = capsys.readouterr().err
    assert "note: waiting for slow: " in said
    assert "an hour at most, and the run folder keeps all that it misses" in said


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (None, ""),
        ("sqlite:////data/mlflow.db", ""),
        ("postgresql://db/runs", ""),
        ("http://127.0.0.1:5000", "a server that does not answer is given up after two minutes"),
    ],
)
def test_only_of_a_server_it_is_said_when_it_is_given_up(uri, said, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert MLflowTracker(TrackConfig(mlflow_uri=uri)).longest_wait.startswith(said)
    assert bool(MLflowTracker(TrackConfig(mlflow_uri=uri)).longest_wait) == bool(said)
    if uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert bool(MLflowTracker(TrackConfig()).longest_wait) == bool(said)


@pytest.mark.parametrize("event", ["step", "epoch"])
def test_trackers_begin_with_the_first_step_and_the_display_before(run: RunInfo, event: str):
    tracker, display = Recording(), Watching()
    follower = Follower(run, [tracker], display)
    follower.start()
    _write(run, START)
    assert display.shown.get(timeout=PATIENCE) == ("start", START)
    assert tracker.news.empty()
    _write(run, {**_epoch(0), "event": event})
    assert tracker.news.get(timeout=PATIENCE) == "start"
    follower.stop()


def test_trackers_of_a_run_whose_first_step_takes_long_begin_before_it(run, monkeypatch):
    monkeypatch.setattr(follow, "_HELD_BACK_SECONDS", 0.0)
    tracker = Recording()
    follower = Follower(run, [tracker])
    follower.start()
    assert tracker.news.get(timeout=PATIENCE) == "start"
    follower.stop()


@pytest.mark.parametrize("event", ["step", "epoch", "end"])
def test_a_first_step_that_takes_long_is_not_passed_over_in_silence(
    run, monkeypatch, capsys, event
):
    monkeypatch.setattr(follow, "_LONG_STEP_SECONDS", 0.0)
    display = Watching()
    follower = Follower(run, [], display)
    follower.start()
    _write(run, {**_epoch(0), "event": event})
    assert display.shown.get(timeout=PATIENCE)[0] == event
    follower.stop()
    assert "no step is done" not in capsys.readouterr().err
    _write(run, START)
    follower = Follower(run, [], Watching())
    follower.start()
    _write(run, START)
    follower.stop()
    assert capsys.readouterr().err.count("no step is done") == 1
