"""Trying again: how often, how long, and which error the caller sees."""

from __future__ import annotations

import threading

import pytest

from qstore_ray.retry import call_with_retries


class Waits(threading.Event):
    """Notes how long is waited for it, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        return self.is_set()


def failing(times: int, error: type[BaseException] = OSError):
    """A function that fails as often, with the number of the call, and then returns "done"."""
    calls = []

    def call() -> str:
        calls.append(len(calls) + 1)
        if len(calls) <= times:
            raise error(len(calls))
        return "done"

    return call, calls


def test_a_call_is_repeated_until_it_returns():
    call, calls = failing(2)
    assert call_with_retries(call, retry_on=(OSError,), leave=Waits()) == "done"
    assert calls == [1, 2, 3]


def test_the_last_error_is_raised_as_it_was():
    call, calls = failing(9)
    waits = Waits()
    with pytest.raises(OSError, match="4") as caught:
        call_with_retries(call, retry_on=(OSError,), leave=waits)
    assert calls == [1, 2, 3, 4]
    assert len(waits.pauses) == 3
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("retry_on", [(OSError,), lambda error: isinstance(error, OSError)])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_another_error_is_raised_at_once(retry_on, error):
    call, calls = failing(1, error)
    with pytest.raises(error):
        call_with_retries(call, retry_on=retry_on, leave=Waits())
    assert calls == [1]


def test_pauses_grow_are_random_and_are_bounded():
    runs = []
    for _ in range(30):
        waits = Waits()
        call, _ = failing(11)
        call_with_retries(call, retry_on=(OSError,), attempts=12, longest_pause=2.0, leave=waits)
        runs.append(waits.pauses)
    bounds = [min(0.1 * 2**n, 2.0) for n in range(11)]
    for bound, pauses in zip(bounds, zip(*runs, strict=True), strict=True):
        assert 0.5 * bound < max(pauses) <= bound
        assert len(set(pauses)) == len(pauses)


def test_a_pause_that_the_error_asks_for_is_kept_up_to_the_longest():
    waits = Waits()
    call, _ = failing(2)
    asked = iter([1.5, 60.0])
    call_with_retries(
        call,
        retry_on=(OSError,),
        longest_pause=5.0,
        pause_asked=lambda error: next(asked),
        leave=waits,
    )
    assert waits.pauses == [1.5, 5.0]


def test_a_time_limit_replaces_the_number_of_attempts():
    call, calls = failing(9)
    with pytest.raises(OSError, match="1"):
        call_with_retries(call, retry_on=(OSError,), seconds=0.0, leave=Waits())
    call, calls = failing(9)
    assert call_with_retries(call, retry_on=(OSError,), seconds=60.0, leave=Waits()) == "done"
    assert len(calls) == 10


def test_who_wants_to_leave_waits_for_nothing():
    leave = threading.Event()
    leave.set()
    call, calls = failing(9)
    with pytest.raises(OSError, match="1"):
        call_with_retries(call, retry_on=(OSError,), seconds=60.0, leave=leave)
    assert calls == [1]


def test_what_a_failed_call_may_have_broken_is_released_before_each_pause():
    call, calls = failing(2)
    released: list[int] = []
    call_with_retries(
        call, retry_on=(OSError,), leave=Waits(), between=lambda: released.append(len(calls))
    )
    assert released == [1, 2]
