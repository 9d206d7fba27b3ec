"""The display of a search: every trial is told once, the best is the best, nothing is obeyed."""

from __future__ import annotations

import io
import os
import pty
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.cli.progress.display import search_display
from qstore_ray.cli.progress.live import LiveSearch
from qstore_ray.cli.progress.search import Progress, SearchLines
from qstore_ray.errors import ConfigError
from qstore_ray.tune.driver.display import BestTrial, SearchDisplay

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
RED = "\x1b[31m"
VALUES = {"trainer.learning_rate": 0.0213, "model.layers": 4, "trainer.optimizer": "adam"}


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def _lines() -> tuple[SearchLines, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    display = SearchLines(stream, clock)
    display.start("digits", 4, "val_accuracy", 1)
    return display, stream, clock


def test_without_a_terminal_there_is_a_line_a_trial():
    display, stream, clock = _lines()
    for number, value in ((1, 0.5), (2, 0.75)):
        display.trial_started(number, VALUES)
        display.epoch(number, 1, 0.1)
        clock.now += 5.0
        display.trial_ended(number, "completed", value, None)
    display.trial_started(3, {})
    display.trial_ended(3, "failed", None, "out of\nmemory")
    display.note("the tracker is away")
    display.close()
    display.close()
    tried = "learning_rate 0.0213  layers 4  optimizer adam"
    assert stream.getvalue().splitlines() == [
        "searching digits: 4 trials for the largest val_accuracy, continuing after 1 trial",
        f"2/4  trial 1 completed  val_accuracy 0.5 (best)  {tried}",
        f"3/4  trial 2 completed  val_accuracy 0.75 (best)  {tried}  5.0 s left",
        "4/4  trial 3 FAILED: out of memory",
        "the tracker is away",
        "4 of 4 trials in 10 s: 2 completed  1 failed; best val_accuracy 0.75 in trial 2",
    ]


def test_a_search_that_had_ended_says_that_nothing_was_left():
    stream = io.StringIO()
    display = SearchLines(stream, Clock())
    display.start("digits", 4, "val_accuracy", 4, best=BestTrial(1, 0.25, VALUES))
    display.close()
    said = "4 of 4 trials in 0.0 s: nothing was left to do; best val_accuracy 0.25 in trial 1"
    assert stream.getvalue().splitlines()[-1] == said


def test_fewer_trials_than_the_study_has_leave_nothing_to_do():
    progress = Progress(Clock())
    progress.start("s", 2, "val_loss", 3, "auto", BestTrial(1, 0.25, VALUES))
    assert progress.opening().startswith("searching s: 3 trials")
    assert progress.closing().startswith("3 of 3 trials in 0.0 s: nothing was left to do")


def test_what_comes_from_a_trial_moves_no_cursor():
    display, stream, _ = _lines()
    display.trial_started(1, {"dataset.params.x": "\x1b[2J", "model.pre_layers": [8, 16]})
    display.trial_ended(1, "failed", None, "\x1b]0;title\x07\r" + "long " * 400)
    display.note("\x1b[31m")
    text = stream.getvalue()
    assert not set(text) & {"\x1b", "\x07", "\r"}
    assert "pre_layers [8, 16]" in text
    assert max(map(len, text.splitlines())) < 500


ended = st.tuples(
    st.sampled_from(["completed", "pruned", "failed", "interrupted"]), st.integers(-9, 9)
)


@given(trials=st.lists(ended, max_size=12), mode=st.sampled_from(["min", "max"]))
def test_the_best_is_the_first_of_the_best_completed_trials(trials, mode):
    clock = Clock()
    progress = Progress(clock)
    progress.start("s", 12, "anything", 0, mode, None)
    for number, (status, value) in enumerate(trials):
        progress.begin(number, VALUES)
        clock.now += 2.0
        progress.end(number, status, float(value))
    completed = [value for status, value in trials if status == "completed"]
    if completed:
        best = max(completed) if mode == "max" else min(completed)
        assert progress.best is not None
        assert trials[progress.best.number] == ("completed", best)
        assert ("completed", best) not in trials[: progress.best.number]
    else:
        assert progress.best is None
    counted = [status for status, _ in trials if status != "interrupted"]
    assert progress.done == len(counted)
    assert progress.running == {}
    # The first trial waited for its process, and no epoch says how long it trained.
    timed = any(status != "interrupted" for status, _ in trials[1:])
    left = 2.0 * (12 - len(counted)) if timed else None
    assert progress.remaining() == (left and pytest.approx(left))


def test_the_best_of_an_earlier_attempt_stands_until_it_is_beaten():
    progress = Progress(Clock())
    progress.start("s", 9, "val_loss", 3, "auto", BestTrial(1, 0.25, VALUES))
    assert not progress.end(3, "completed", 0.5)
    assert progress.best == BestTrial(1, 0.25, VALUES)
    assert progress.end(4, "completed", 0.125)


def test_a_metric_without_a_direction_is_refused():
    with pytest.raises(ConfigError) as caught:
        SearchLines(io.StringIO(), Clock()).start("s", 9, "cost", 0)
    assert caught.value.field == "mode"


# ------------------------------------------------------------------------------------ terminal


@contextmanager
def _terminal(columns: int) -> Iterator[tuple[io.TextIOWrapper, list[bytes]]]:
    """A pseudo-terminal, and what was written to it by the time that it is closed."""
    ours, theirs = pty.openpty()
    written: list[bytes] = []

    def read() -> None:
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # the other end is closed
                return
            written.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    stream = os.fdopen(theirs, "w", encoding="utf-8")
    before = os.environ.get("COLUMNS"), os.environ.get("TERM")
    os.environ.update(COLUMNS=str(columns), TERM="xterm")
    try:
        yield stream, written
    finally:
        for name, value in zip(("COLUMNS", "TERM"), before, strict=True):
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        stream.close()
        reader.join()
        os.close(ours)


def _shown(columns: int) -> str:
    with _terminal(columns) as (stream, written):
        display: SearchDisplay = search_display(stream)
        assert isinstance(display, LiveSearch)
        display.start("digits", 20, "val_accuracy", 0)
        for number in range(12):
            display.trial_started(number, VALUES)
        display.epoch(11, 3, 0.625)
        display.trial_ended(0, "completed", 0.9, None)
        display.trial_ended(1, "failed", None, "out of memory [bold]really[/bold]")
        assert display._live is not None
        display._live.refresh()
        display.note("the tracker is away")
        display.close()
        display.close()
    return b"".join(written).decode()


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_a_picture_shows_what_runs_and_what_is_best(columns):
    text = _shown(columns)
    plain = ESCAPE.sub("", text)
    lines = [line.rstrip() for line in plain.replace("\r", "\n").splitlines()]
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("digits") and "2/20 trials" in line for line in lines)
    assert any(line.split()[:3] == ["best", "val_accuracy", "0.9"] for line in lines)
    assert any(
        line.split()[:5] == ["running", "trial", "2", "started", "learning_rate"] for line in lines
    )
    assert any("and 2 more" in line for line in lines)
    assert f"{RED}trial 1 failed: out of memory [bold]really[/bold]" in text
    assert "the tracker is away" in lines
    assert "2 of 20 trials in" in " ".join(lines[-3:])
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0  # the cursor is back


def test_a_line_that_is_too_long_for_the_terminal_ends_with_an_ellipsis():
    lines = ESCAPE.sub("", _shown(60)).replace("\r", "\n").splitlines()
    running = [line.rstrip() for line in lines if line.split()[:2] == ["running", "trial"]]
    assert running
    assert all(line.endswith("…") for line in running)


def test_a_terminal_without_colours_gets_none(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert RED not in _shown(80)


def test_a_terminal_that_cannot_move_its_cursor_gets_lines():
    with _terminal(80) as (stream, _):
        os.environ["TERM"] = "dumb"
        assert isinstance(search_display(stream), SearchLines)
