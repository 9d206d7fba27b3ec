"""Backends whose evaluations are recorded and paid, and for whom they evaluate.

A paid backend keeps a record of each run: what was measured is not measured again when the run is
resumed. So a run is known by an id of its own, not by its name, which a new run may have again.
"""

from __future__ import annotations

import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, Protocol, TypeGuard

from qstore_ray.backends import BACKENDS
from qstore_ray.backends.base import Backend
from qstore_ray.errors import QStoreError

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable

_PREFIX: Final = "hardware_"
_MOST: Final = 2.0**53
"""More than that of anything is no record of what was used."""

PAID: Final = {
    "jobs": "jobs",
    "executions": "executions",
    "seconds": "QPU seconds",
    "pending_seconds": "forecast seconds",
    "money": "money",
}
"""Titles of the numbers of a `PaidUsage` in a table."""


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


@dataclass(frozen=True)
class PaidUsage:
    """What was used of paid hardware.

    Attributes:
        jobs, executions, seconds: submitted jobs, circuits times shots, and billed seconds.
        pending_seconds: the part of `seconds` that is a forecast.
        money: the price of the seconds; None without one.

    Examples:
        used = PaidUsage(jobs=1, executions=1024, seconds=2.5) + PaidUsage(1, 512, 2.0)
        assert used.metrics()["hardware_executions"] == 1536
    """

    jobs: int = 0
    executions: int = 0
    seconds: float = 0.0
    pending_seconds: float = 0.0
    money: float | None = None

    def __add__(self, other: PaidUsage) -> PaidUsage:
        priced = self.money is not None or other.money is not None
        return PaidUsage(
            self.jobs + other.jobs,
            self.executions + other.executions,
            self.seconds + other.seconds,
            self.pending_seconds + other.pending_seconds,
            (self.money or 0.0) + (other.money or 0.0) if priced else None,
        )

    def numbers(self) -> dict[str, float]:
        """The attributes by name, without a price that is not known."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def metrics(self) -> dict[str, float]:
        """As metrics of a run: `hardware_jobs`, `hardware_seconds`, …"""
        return {f"{_PREFIX}{name}": float(value) for name, value in self.numbers().items()}

    @classmethod
    def of_metrics(cls, metrics: ReadOnlyTable) -> PaidUsage | None:
        """What `metrics` has made of it; None if they say of no job."""
        return cls.of_numbers({f.name: metrics.get(_PREFIX + f.name) for f in fields(cls)})

    @classmethod
    def of_numbers(cls, numbers: ReadOnlyTable) -> PaidUsage | None:
        """What `numbers` has made of it; None if they say of no job."""
        if not numbers.get("jobs"):
            return None
        known = {f.name: numbers.get(f.name) for f in fields(cls)}
        found = {
            name: value
            for name, value in known.items()
            if isinstance(value, int | float) and abs(value) < _MOST  # nor NaN
        }
        jobs, executions = (int(found.get(name, 0)) for name in ("jobs", "executions"))
        seconds, pending = (float(found.get(f"{of}seconds", 0.0)) for of in ("", "pending_"))
        return cls(jobs, executions, seconds, pending, found.get("money"))

    def text(self) -> str:
        """In one line."""
        jobs = f"{self.jobs:,} job{'s' * (self.jobs != 1)}"
        line = f"{jobs}, {self.executions:,} executions, {self.seconds:,.1f} s billed"
        if self.pending_seconds:
            line += f", of which {self.pending_seconds:,.1f} s are a forecast"
        return line if self.money is None else f"{line}, {self.money:,.2f}"


class PaidBackend(Backend, Protocol):
    """A backend whose evaluations are recorded and counted for whom they are made."""

    def for_run(self, run: str, trial: str = "", part: str = "", weight: float = 1.0) -> Backend:
        """The backend for the evaluations of a run, or of a trial; see `RunIdentity`."""
        ...

    def for_call(self, run: str) -> Backend:
        """The backend for a call that belongs to no run and has a record `run` of its own.

        Other processes may make the same call: one waits for the other, and finds its outcomes.
        """
        ...

    @staticmethod
    def withdraw(run: str, trial: str) -> None:
        """Drop what a trial waits for: it has ended, and evaluates nothing more."""
        ...

    @staticmethod
    def usage_of(run: str) -> Mapping[str, PaidUsage]:
        """Trial → what it has used, and "" → the run; empty if nothing is open for it."""
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
    name: str,
    backend: Backend | None,
    run: str,
    *,
    also: Sequence[str] = (),
    unless: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Close what a paid backend has open for a run when the block ends, in whichever way.

    Runs in the driver process. An error while closing is a warning: the result of the block counts.
    SIGTERM, if nothing else handles it, ends the block by KeyboardInterrupt.

    Args:
        name: of the backend. backend: in place of the one of that name.
        also: names of others that the run may use.
        unless: asked at the end: somebody else closes it.
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
                if not unless():
                    payer.close_run(run)
            except QStoreError as exc:
                sys.stderr.write(f"warning: the backend of the run could not be closed: {exc}\n")


def usage_metrics(
    name: str, backend: Backend | None, identity: RunIdentity, *, also: Sequence[str] = ()
) -> dict[str, float]:
    """What a run or a trial has used of paid hardware, as metrics; empty if it used none.

    A part of a trial has none of its own: its requests are the trial's.

    Args:
        name, backend, also: see `closing_run`.
    """
    if identity.part:
        return {}
    trial = "" if identity.trial == identity.run else identity.trial
    used = usage_by_trial(name, backend, identity.run, also=also).get(trial)
    return {} if used is None else used.metrics()


def usage_by_trial(
    name: str, backend: Backend | None, run: str, *, also: Sequence[str] = ()
) -> Mapping[str, PaidUsage]:
    """Trial → what it has used of paid hardware, and "" → the whole run; empty if it used none.

    A gateway that does not answer is a warning: the run counts.

    Args:
        name, backend, also: see `closing_run`.
    """
    payer = _payer(name, backend, also)
    if payer is None or not hasattr(payer, "usage_of"):
        return {}
    try:
        return payer.usage_of(run)
    except QStoreError as exc:
        sys.stderr.write(f"warning: what the run used of the hardware is not known: {exc}\n")
        return {}


def _payer(name: str, backend: Backend | None, also: Sequence[str]) -> PaidBackend | None:
    """The first paid one of these backends, or their classes."""
    used = [BACKENDS[name] if backend is None else backend, *(BACKENDS[each] for each in also)]
    return next((each for each in used if can_belong_to_run(each)), None)


def withdraw_trial(name: str, run: str, trial: str, *, also: Sequence[str] = ()) -> None:
    """Drop what a trial waits for at the backend of that name, if it is a paid one.

    Args:
        also: see `closing_run`.

    Raises:
        BackendError: the gateway does not answer.
    """
    payer = _payer(name, None, also)
    if payer is not None:
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
