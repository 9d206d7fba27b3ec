"""The progress display: a bar on a terminal, sparse lines elsewhere, nothing on stdout."""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.cli.progress.pace import Fact, Pace, duration, fitting
from qstore_ray.cli.progress.progress import ProgressBar
from qstore_ray.track.base import Display, Record

START = {
    "event": "start", "generation": 1, "epochs": 60, "steps_per_epoch": 5, "rows": 1168,
    "workers": 2, "parameters": 500, "resumed_from_epoch": 0, "resumed_from_step": 0,
}  # fmt: skip
END = {"event": "end", "status": "finished", "seconds": 60.0}
SCORES = "loss 1.5000  val loss 1.7500  val accuracy 0.2500"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*\d+m")


def _epoch(epoch: int, seconds: float | None = None, **more: float) -> Record:
    return {
        "event": "epoch", "epoch": epoch, "step": 5 * (epoch + 1), "samples": 1168 * (epoch + 1),
        "train_loss": 1.5, "train_accuracy": 0.5, "val_loss": 1.75, "val_accuracy": 0.25,
        "seconds": epoch + 1.0 if seconds is None else seconds, **more,
    }  # fmt: skip


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def _lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


# -------------------------------------------------------------------------------- lines


def test_without_a_terminal_there_is_a_line_an_epoch():
    stream, clock = io.StringIO(), Clock()
    display: Display = ProgressBar(stream, clock=clock)
    display.start(START)
    for epoch in range(3):
        clock.now += 10.0
        display.step({"event": "step", "epoch": epoch, "step": 5 * epoch + 1, "loss": 2.0})
        display.epoch(_epoch(epoch))
    display.end({**END, "status": "interrupted"})
    display.close()
    assert _lines(stream) == [
        "training 60 epochs of 1,168 rows with 500 parameters on 2 workers",
        f"epoch  1/60  {SCORES}  1,168 samples/s  59 s left",
        f"epoch  2/60  {SCORES}  1,168 samples/s  58 s left",
        f"epoch  3/60  {SCORES}  1,168 samples/s  57 s left",
        "interrupted after 3 of 60 epochs in 1:00 min",
    ]


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30))
def test_lines_are_a_second_apart_and_the_last_epoch_is_there(pauses: list[float]):
    stream, clock = io.StringIO(), Clock()
    display = ProgressBar(stream, clock=clock)
    display.start(START)
    times = []
    for epoch, pause in enumerate(pauses):
        clock.now += pause
        before = len(_lines(stream))
        display.epoch(_epoch(epoch))
        times += [clock.now] * (len(_lines(stream)) - before)
    assert all(later - sooner >= 1.0 for sooner, later in itertools.pairwise(times))
    display.end(END)
    assert f"epoch {len(pauses):>2}/60" in _lines(stream)[-2]
    assert len([line for line in _lines(stream) if line.startswith("epoch")]) <= len(times) + 1


def test_a_run_that_ends_without_a_word_shows_its_last_epoch():
    stream, clock = io.StringIO(), Clock()
    display = ProgressBar(stream, clock=clock)
    display.start(START)
    display.epoch(_epoch(0))
    display.epoch(_epoch(1))
    display.close()
    display.close()
    assert "epoch  2/60" in _lines(stream)[-1]


def test_a_resumed_run_says_where_it_goes_on():
    stream = io.StringIO()
    display = ProgressBar(stream, clock=Clock())
    display.start({**START, "resumed_from_epoch": 20, "resumed_from_step": 100})
    display.epoch(_epoch(20, seconds=2.0))
    opening, line = _lines(stream)
    assert opening.endswith("continuing after step 100")
    assert line.endswith("584 samples/s  1:18 min left")


@pytest.mark.parametrize(
    ("left_out", "shown"),
    [
        ({"val_loss", "val_accuracy"}, "loss 1.5000  accuracy 0.5000  1,"),
        ({"train_accuracy", "val_accuracy"}, "loss 1.5000  val loss 1.7500  1,"),
        ({"train_accuracy", "val_accuracy", "val_loss"}, "loss 1.5000  1,"),
    ],
    ids=["no validation", "regression", "neither"],
)
def test_only_recorded_scores_are_shown(left_out: set[str], shown: str):
    stream = io.StringIO()
    display = ProgressBar(stream, clock=Clock())
    display.start(START)
    display.epoch({key: value for key, value in _epoch(0).items() if key not in left_out})
    assert f"1/60  {shown}" in _lines(stream)[-1]


def test_quiet_shows_nothing():
    stream = io.StringIO()
    display = ProgressBar(stream, quiet=True)
    display.start(START)
    display.step({"event": "step", "epoch": 0, "step": 1, "loss": 2.0})
    display.epoch(_epoch(0))
    display.end(END)
    display.close()
    assert stream.getvalue() == ""


def test_stdout_is_for_results(capsys: pytest.CaptureFixture[str]):
    display = ProgressBar()
    display.start(START)
    display.epoch(_epoch(0))
    display.end(END)
    display.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "finished after 1 of 60 epochs" in captured.err


# ---------------------------------------- the bar


@contextmanager
def _terminal() -> Iterator[tuple[io.TextIOWrapper, list[str]]]:
    """A real terminal; what it was sent, once it is closed."""
    master, slave = pty.openpty()
    chunks, sent = [], []

    def drain() -> None:
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # Linux says that the other end was closed by an error
                return
            if not data:
                return
            chunks.append(data)

    reader = threading.Thread(target=drain)
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield stream, sent
    reader.join()
    os.close(master)
    sent.append(b"".join(chunks).decode())


def _on_terminal(monkeypatch: pytest.MonkeyPatch, width: int = 100, **environment: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "LINES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": str(width), **environment}.items():
        monkeypatch.setenv(name, value)
    with _terminal() as (stream, sent):
        monkeypatch.setattr(sys, "stderr", stream)
        display = ProgressBar()
        display.start(START)
        display.step({"event": "step", "epoch": 0, "step": 1, "loss": 2.0})
        sys.stderr.write("warning: somebody else has a word\n")
        for epoch in range(60):
            display.epoch(_epoch(epoch))
        display.end(END)
        display.close()
        assert sys.stderr is stream, "stderr is as it was"
    return sent[0]


def test_on_a_terminal_there_is_one_bar(monkeypatch: pytest.MonkeyPatch):
    sent = _on_terminal(monkeypatch)
    assert COLOUR.search(sent)
    assert "\x1b[?25l" in sent, "the cursor is hidden"
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l"), "and shown again"
    lines = [line.split("\r")[-1] for line in ESCAPE.sub("", sent).split("\r\n")]
    assert lines[0].startswith("training 60 epochs")
    assert "warning: somebody else has a word" in lines
    assert lines[-3].startswith("epoch 60/60 ━")
    assert SCORES in lines[-3]
    assert lines[-2:] == ["finished after 60 of 60 epochs in 1:00 min", ""]
    assert sum(line.startswith("epoch") for line in lines) <= 3


def test_no_color_means_no_colour(monkeypatch: pytest.MonkeyPatch):
    sent = _on_terminal(monkeypatch, NO_COLOR="1")
    assert not COLOUR.search(sent)
    assert "━" in sent


def test_a_terminal_that_knows_no_escapes_gets_lines(monkeypatch: pytest.MonkeyPatch):
    sent = _on_terminal(monkeypatch, TERM="dumb")
    assert "\x1b" not in sent
    assert "epoch 60/60" in sent


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_bar_is_one_line_at_any_width(monkeypatch: pytest.MonkeyPatch, width: int):
    sent = ESCAPE.sub("", _on_terminal(monkeypatch, width))
    last = [line.split("\r")[-1] for line in sent.split("\r\n") if "epoch 60/60" in line][-1]
    assert len(last) <= width
    assert "loss 1.5000" in last
    assert last.count("━") >= 8


def test_force_color_makes_no_bar_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    display = ProgressBar(stream)
    display.start(START)
    display.epoch(_epoch(0))
    display.close()
    assert "\x1b" not in stream.getvalue()


# -------------------------------------------------------------------------------- pace


def test_the_pace_is_that_of_this_attempt():
    pace = Pace()
    pace.start({**START, "resumed_from_epoch": 20, "resumed_from_step": 100})
    assert (pace.rate, pace.remaining()) == (None, None)
    pace.epoch(_epoch(20, seconds=2.0))
    assert pace.rate == pytest.approx(584.0)
    assert pace.remaining() == pytest.approx(39 * 2.0)
    pace.start({**START, "resumed_from_epoch": 20, "resumed_from_step": 100})
    pace.epoch(_epoch(20, seconds=4.0))
    assert pace.rate == pytest.approx(292.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (4.24, "4.2 s"), (48, "48 s"), (185, "3:05 min"), (7800, "2:10:00 h")],
)
def test_times_are_written_as_people_do(seconds: float, text: str):
    assert duration(seconds) == text


@given(
    st.lists(st.builds(Fact, st.integers(1, 5), st.text("ab", min_size=1, max_size=9)), max_size=6),
    st.integers(-5, 70),
)
def test_the_most_important_facts_stay(facts: list[Fact], room: int):
    text = fitting(facts, room)
    assert len(text) <= max(room, 0)
    kept = text.split("  ") if text else []
    if len(kept) < len(facts):
        one_more = sorted(facts)[: len(kept) + 1]
        assert len("  ".join(fact.text for fact in one_more)) > room
