"""A paid backend belongs to a run, and is closed with it, however the run ends."""

from __future__ import annotations

import os
import signal

import pytest

from qstore_ray.backends.paid import closing_run, new_identity, of_run, withdraw_trial
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.errors import DataError, ServiceError


class Paid:
    """Writes down what it is asked to close."""

    def __init__(self, error: ServiceError | None = None) -> None:
        self.closed: list[str] = []
        self._error = error

    def for_run(self, *identity):
        return identity

    def close_run(self, run: str) -> None:
        self.closed.append(run)
        if self._error:
            raise self._error


def test_two_runs_of_one_name_are_two():
    first, second = new_identity("digits"), new_identity("digits")
    assert first != second
    assert first.run.startswith("digits-")
    assert of_run(Paid(), first) == (first.run, "", "", 1.0)
    backend = StatevectorBackend()
    assert of_run(backend, first) is backend


def test_sigterm_closes_the_run_too():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray leaves a handler of its own
    paid = Paid()
    try:
        with pytest.raises(KeyboardInterrupt), closing_run("", paid, "r"):
            os.kill(os.getpid(), signal.SIGTERM)
        assert paid.closed == ["r"]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_while_closing_is_a_warning_and_hides_no_other(capsys):
    paid = Paid(ServiceError("out of reach"))
    with closing_run("", paid, "r"):
        pass
    assert "warning" in capsys.readouterr().err
    with pytest.raises(DataError, match="no rows"), closing_run("", paid, "r"):
        raise DataError("no rows")
    assert paid.closed == ["r", "r"]


def test_a_backend_that_is_free_has_nothing_to_close_or_withdraw():
    with closing_run("statevector", None, "r"):
        withdraw_trial("statevector", "r", "trial-0000")
