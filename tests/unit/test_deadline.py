"""Waits that have no limit say what they wait for, and end with the other side."""

from __future__ import annotations

import logging
import threading

import pytest

from qstore_ray import deadline
from qstore_ray.deadline import join_patiently, wait_patiently


class Clock:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleeps_until(self, end: float):
        """A wait that is over at `end`."""

        def ends_within(seconds: float) -> bool:
            self.asked.append(seconds)
            self.now = min(self.now + seconds, end)
            return self.now >= end

        return ends_within


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(deadline, "time", made)
    return made


def _warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_short_wait_says_nothing(clock, caplog) -> None:
    wait_patiently(clock.sleeps_until(59.0), "the rows")
    assert (_warnings(caplog), clock.now, clock.asked) == ([], 59.0, [60.0])


def test_a_long_wait_is_reported_ever_less_often_and_never_given_up(clock, caplog) -> None:
    wait_patiently(clock.sleeps_until(20_000.0), "the rows")
    assert clock.now == 20_000.0
    times = ("1 min", "2 min", "4 min", "8 min", "16 min", "32 min", "1.07 h", "2.13 h", "4.27 h")
    assert _warnings(caplog) == [f"still waiting for the rows, for {time}" for time in times]


def test_the_first_warning_comes_when_it_is_asked_for(clock, caplog) -> None:
    wait_patiently(clock.sleeps_until(31.0), "the queue", first_warning=30.0)
    assert _warnings(caplog) == ["still waiting for the queue, for 30 s"]


def test_a_wait_that_returns_early_is_continued_without_a_warning(clock, caplog) -> None:
    early = iter([False, False, True])

    def ends_within(seconds: float) -> bool:
        clock.now += 1.0
        return next(early)

    wait_patiently(ends_within, "the rows")
    assert (_warnings(caplog), clock.now) == ([], 3.0)


def test_what_a_wait_raises_ends_it(clock) -> None:
    def ends_within(seconds: float) -> bool:
        raise ConnectionError("the other side has died")

    with pytest.raises(ConnectionError, match="has died"):
        wait_patiently(ends_within, "the other side")


def test_a_thread_is_waited_for_until_it_has_ended() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, args=(30.0,), daemon=True)
    thread.start()
    threading.Timer(0.05, go.set).start()
    join_patiently(thread, "the thread")
    assert not thread.is_alive()
