"""How long a search will still take: honest from the first number on, whatever starts slowly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.cli.progress.trial_pace import TrialPace


def _searched(pace: TrialPace, seconds: list[float], places: int, start: float) -> None:
    """Run trials of these durations, `places` at a time; the processes take `start` seconds."""
    running: dict[int, float] = {}
    for number, took in enumerate(seconds):
        if len(running) < places:
            now, begins = 0.0, 0.0
            until = start + took
        else:
            first = min(running, key=lambda each: running[each])
            now = begins = running.pop(first)
            pace.end(first, now, counts=True)
            until = begins + took
        pace.begin(number, begins)
        running[number] = until


def test_nothing_is_said_before_a_trial_has_told_how_long_it_takes():
    pace = TrialPace()
    assert pace.remaining(20, 0.0) is None
    pace.begin(0, 0.0)
    pace.epoch(0, 1, 9.0)
    assert pace.remaining(20, 10.0) is None
    pace.end(0, 10.0, counts=True)  # one report: the process took an unknown part of it
    assert pace.remaining(19, 10.0) is None
    pace.begin(1, 10.0)
    pace.end(1, 12.0, counts=True)
    assert pace.remaining(18, 12.0) == pytest.approx(36.0)


def test_the_start_of_a_process_is_no_time_of_a_trial():
    pace = TrialPace()
    pace.begin(0, 0.0)
    for epochs in range(1, 5):
        pace.epoch(0, epochs, 100.0 + epochs)
    pace.end(0, 104.0, counts=True)
    assert pace.remaining(5, 104.0) == pytest.approx(5 * 4.0)


def test_a_report_of_several_epochs_counts_them_all():
    pace = TrialPace()
    pace.begin(0, 0.0)
    pace.epoch(0, 4, 50.0)
    pace.epoch(0, 8, 58.0)
    pace.end(0, 58.0, counts=True)
    assert pace.remaining(1, 58.0) == pytest.approx(8 * 2.0)


def test_an_interrupted_trial_tells_nothing():
    pace = TrialPace()
    pace.begin(0, 0.0)
    pace.end(0, 1.0, counts=False)
    pace.begin(1, 1.0)
    pace.end(1, 2.0, counts=False)
    assert pace.remaining(5, 2.0) is None
    pace.end(7, 3.0, counts=True)  # of an earlier attempt
    assert pace.remaining(5, 3.0) is None


@given(
    took=st.floats(0.5, 50.0),
    places=st.integers(1, 8),
    start=st.floats(0.0, 1000.0),
    rounds=st.integers(2, 5),
    left=st.integers(1, 5),
)
def test_equal_trials_take_what_is_left_of_them_over_those_at_a_time(
    took, places, start, rounds, left
):
    pace = TrialPace()
    _searched(pace, [took] * places * (rounds + 1), places, start)
    now = start + took * rounds  # the trials of the last round have just begun, nothing else waits
    waiting = left * places
    assert pace.remaining(places + waiting, now) == pytest.approx((1 + left) * took)


def test_a_trial_that_runs_for_long_is_not_taken_for_a_short_one():
    pace = TrialPace()
    pace.begin(0, 0.0)
    pace.begin(1, 0.0)
    pace.end(0, 1.0, counts=True)
    pace.end(1, 1.0, counts=True)
    pace.begin(2, 1.0)  # the long one
    for number in range(3, 7):
        pace.begin(number, float(number))
        pace.end(number, number + 1.0, counts=True)
    short = 4 * 1.0
    mean = (short + 60.0) / 5
    assert pace.remaining(11, 61.0) == pytest.approx(10 * mean / 2)


def test_the_last_trials_are_not_divided_by_more_than_run():
    pace = TrialPace()
    for number in range(4):
        pace.begin(number, 0.0)
    for number in range(4):
        pace.end(number, 5.0, counts=True)
    pace.begin(4, 5.0)
    pace.end(4, 15.0, counts=True)
    pace.begin(5, 15.0)
    assert pace.remaining(1, 17.0) == pytest.approx(8.0)
    assert pace.remaining(1, 90.0) == 0.0
