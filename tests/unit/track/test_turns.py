"""Short turns: while a tracker works, and only then, the loop gets the interpreter soon."""

from __future__ import annotations

import sys
import threading

import pytest

from qstore_ray.track.base import RunInfo
from qstore_ray.track.follow import Follower
from qstore_ray.track.switch_interval import short_turns


@pytest.fixture
def usual():
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    yield 0.004
    sys.setswitchinterval(before)


def _turn() -> float:
    return pytest.approx(sys.getswitchinterval(), abs=1e-6)


def test_turns_are_short_inside_and_as_before_after_it_however_it_ends(usual):
    with short_turns():
        assert _turn() == 1e-4
    assert _turn() == usual
    with pytest.raises(KeyError), short_turns():
        raise KeyError
    assert _turn() == usual


def test_of_several_threads_the_last_one_changes_them_back(usual):
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with short_turns():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with short_turns():
        thread.start()
        inside.wait()
    assert _turn() == 1e-4
    leave.set()
    thread.join()
    assert _turn() == usual


def test_turns_that_are_shorter_already_stay(usual):
    sys.setswitchinterval(2e-5)
    with short_turns():
        assert _turn() == 2e-5
    assert _turn() == 2e-5


def test_they_are_short_in_every_call_of_a_tracker(usual, tmp_path):
    class Notes:
        name = "notes"

        def __init__(self) -> None:
            self.turns: list[float] = []

        def start(self, run):
            self.turns.append(sys.getswitchinterval())

        def epoch(self, record):
            self.turns.append(sys.getswitchinterval())

        def finish(self, status, summary, artifacts):
            self.turns.append(sys.getswitchinterval())

    (tmp_path / "metrics.jsonl").write_text('{"event":"epoch","epoch":0,"step":1}\n')
    notes = Notes()
    follower = Follower(RunInfo(name="run", run_dir=tmp_path), [notes])
    follower.start()
    assert not follower.stop()
    assert notes.turns == pytest.approx([1e-4] * 3, abs=1e-6)
    assert _turn() == usual
