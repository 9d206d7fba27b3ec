"""Backends whose evaluations are recorded and paid, and for whom they evaluate.

A paid backend keeps a record of each run: what was measured is not measured again when the run is
resumed. So a run is known by an id of its own, not by its name, which a new run may have again.
"""

from __future__ import annotations

import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, NoReturn, Protocol, TypeGuard

from qstore_ray.backends import BACKENDS
from qstore_ray.backends.base import Backend
from qstore_ray.errors import QStoreError


class RunIdentity(NamedTuple):
    """For whom a backend evaluates.

    Attributes:
        run: id of the run or study, whose record and budget are used.
        trial: the trial of a search; "" for the run itself.
        part: which of the trial's trainings; "" if there is one.
        weight: the trial's share beside other trials.
    """

    run: str
    trial: str = ""
    part: str = ""
    weight: float = 1.0


def new_identity(name: str = "memory") -> RunIdentity:
    """The identity of a new run: its name, and what no other run has."""
    return RunIdentity(f"{name}-{secrets.token_hex(6)}")


class PaidUsage(NamedTuple):
    """What was used of paid hardware.

    Attributes:
        jobs, executions, seconds: submitted jobs, circuits times shots, and billed seconds.
        pending_seconds: the part of `seconds` that is a forecast; None if it is not known.
        money: the price of the seconds; None without one.
    """

    jobs: int
    executions: int
    seconds: float
    pending_seconds: float | None = None
    money: float | None = None

    def metrics(self) -> dict[str, float]:
        """As metrics of a run: `hardware_jobs`, `hardware_seconds`, …"""
        values = self._asdict().items()
        return {f"hardware_{name}": float(value) for name, value in values if value is not None}


class PaidBackend(Backend, Protocol):
    """A backend whose evaluations are recorded and counted for whom they are made."""

    def for_run(self, run: str, trial: str = "", part: str = "", weight: float = 1.0) -> Backend:
        """The backend for the evaluations of a run, or of a trial; see `RunIdentity`."""
        ...

    @staticmethod
    def withdraw(run: str, trial: str) -> None:
        """Drop what a trial waits for: it has ended, and evaluates nothing more."""
        ...

    @staticmethod
    def usage_of(run: str, trial: str = "") -> PaidUsage | None:
        """What a run has used, or a trial of it; None if nothing is open for it."""
        ...

    @staticmethod
    def close_run(run: str) -> None:
        """Close what is open for a run, in every process; called by the driver."""
        ...


def can_belong_to_run(backend: object) -> TypeGuard[PaidBackend]:
    """Whether the backend, or its class, records for whom it evaluates."""
    return hasattr(backend, "for_run")


def of_run(backend: Backend, identity: RunIdentity) -> Backend:
    """The backend for the evaluations of a run; any but a paid one is the same for all runs."""
    return backend.for_run(*identity) if can_belong_to_run(backend) else backend


@contextmanager
def closing_run(
    name: str, backend: Backend | None, run: str, *, also: Sequence[str] = ()
) -> Iterator[None]:
    """Close what a paid backend has open for a run when the block ends, in whichever way.

    Runs in the driver process. An error while closing is a warning: the result of the block counts.
    SIGTERM, if nothing else handles it, ends the block by KeyboardInterrupt.

    Args:
        name: of the backend. backend: in place of the one of that name.
        also: names of others that the run may use.
    """
    payer = _payer(name, backend, also)
    if payer is None:
        yield
        return
    with _sigterm_raises():
        try:
            yield
        finally:
            try:
                payer.close_run(run)
            except QStoreError as exc:
                sys.stderr.write(f"warning: the backend of the run could not be closed: {exc}\n")


def usage_metrics(
    name: str, backend: Backend | None, identity: RunIdentity, *, also: Sequence[str] = ()
) -> dict[str, float]:
    """What a run or a trial has used of paid hardware, as metrics; empty if it used none.

    A gateway that does not answer is a warning: the run counts. A part of a trial has none of its
    own: its requests are the trial's.

    Args:
        name, backend, also: see `closing_run`.
    """
    payer = _payer(name, backend, also)
    if identity.part or payer is None:
        return {}
    try:
        trial = "" if identity.trial == identity.run else identity.trial
        used = payer.usage_of(identity.run, trial) if hasattr(payer, "usage_of") else None
    except QStoreError as exc:
        sys.stderr.write(f"warning: what the run used of the hardware is not known: {exc}\n")
        return {}
    return {} if used is None else used.metrics()


def _payer(name: str, backend: Backend | None, also: Sequence[str]) -> PaidBackend | None:
    """The first paid one of these backends, or their classes."""
    used = [BACKENDS[name] if backend is None else backend, *(BACKENDS[each] for each in also)]
    return next((each for each in used if can_belong_to_run(each)), None)


def withdraw_trial(name: str, run: str, trial: str) -> None:
    """Drop what a trial waits for at the backend of that name, if it is a paid one.

    Raises:
        BackendError: the gateway does not answer.
    """
    payer = BACKENDS[name]
    if can_belong_to_run(payer):
        payer.withdraw(run, trial)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt in the block, where it would end the process at once."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def handle(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
