"""Failures of a backend that another one may take over from, and the record of the steps.

A failure of the service passes, so a run may continue elsewhere. A wrong key, a request that the
service refuses and a circuit that is too wide are faults of the job: they end the run. What lists
runs reads the record, so nothing that takes long is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, cast

from qstore_ray.errors import (
    BudgetReachedError,
    FailedJobError,
    QStoreError,
    RefusedError,
    ServiceError,
)
from qstore_ray.types import Table

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable

Failure = Literal["service", "budget"]
"""`service`: it did not answer for as long as the backend waits, or a job failed as often as it
may. `budget`: the next job would pass a limit."""
_FAILURES: tuple[Failure, ...] = ("service", "budget")

FallbackStep = TypedDict(
    "FallbackStep",
    {
        "epoch": int,
        "step": int,
        "from": str,
        "to": str,
        "member": int,
        "kind": str,
        "why": str,
        "recipe": str,
    },
)
"""A step from one backend of the chain to another, JSON-ready.

Keys:
    epoch, step: completed ones, when the other backend took over.
    from, to: the backends, in words.
    member: the place of the new one, 0 for `trainer.backend`. recipe: its fingerprint.
    kind: a `Failure`, or "resume" if a resumed run begins with the first backend again.
    why: the error.
"""


def failure_of(error: BaseException) -> Failure | None:
    """The kind of a failure that another backend may take over from; None for a fault of the job.

    A training records it, whichever worker meets it.
    """
    if isinstance(error, BudgetReachedError):
        return "budget"
    passes = isinstance(error, ServiceError) and not isinstance(error, RefusedError)
    return "service" if passes or isinstance(error, FailedJobError) else None


def failures_as_numbers(error: QStoreError | None) -> list[float]:
    """A 1 for the kind of this failure; numbers of several workers may be added."""
    kind = None if error is None else failure_of(error)
    return [float(kind == each) for each in _FAILURES]


def failure_from_numbers(numbers: Sequence[float]) -> QStoreError | None:
    """The failure that another worker met, of which only the kind is known; None without one."""
    if numbers[_FAILURES.index("service")]:
        return ServiceError("the backend failed in another worker", field="backend")
    if numbers[_FAILURES.index("budget")]:
        return BudgetReachedError("another worker has reached the budget", field="backend")
    return None


def backend_in_words(trainer: Table) -> str:
    """The backend of a trainer's table, such as "aer (noise of fake_manila, 512 shots)"."""
    options = trainer.get("backend_options") or {}
    noise = trainer.get("noise") or options.get("noise")
    device = noise.get("device") if isinstance(noise, Mapping) else None
    named = device.get("name") if isinstance(device, Mapping) else None
    parts = [
        str(options["device"]) if "device" in options else "",
        "" if not noise else f"noise of {named}" if named else "noise",
        f"{options['shots']} shots" if options.get("shots") else "",
    ]
    said = ", ".join(part for part in parts if part)
    return f"{trainer.get('backend', 'statevector')}{f' ({said})' if said else ''}"


def fallback_text(step: FallbackStep) -> str:
    """The step as a sentence without its end."""
    steps, epochs = step["step"], step["epoch"]
    counted = f"{steps} step{'s' * (steps != 1)}, {epochs} whole epoch{'s' * (epochs != 1)}"
    return f"after {counted}: {step['to']} instead of {step['from']}, since {step['why']}"


def on_last_backend(trainer: Table, steps: Sequence[FallbackStep]) -> Table:
    """A trainer's table with the backend that the steps led to, and the steps as `fallbacks`."""
    if not steps:
        return dict(trainer)
    chain, member = trainer.get("fallback") or (), steps[-1]["member"]
    found = {**trainer, "fallbacks": [fallback_text(step) for step in steps]}
    if 0 < member <= len(chain):
        own = chain[member - 1]
        found |= {name: own.get(name) for name in ("backend", "backend_options", "noise")}
    return found


def fallbacks_in(records: Sequence[ReadOnlyTable]) -> list[FallbackStep]:
    """The steps among the records of metrics.jsonl, where each is a warning."""
    keys = FallbackStep.__annotations__
    found = [r for r in records if r.get("event") == "warning" and keys.keys() <= r.keys()]
    return [cast("FallbackStep", {key: record[key] for key in keys}) for record in found]
