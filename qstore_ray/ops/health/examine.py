"""All checks of health, side by side, each with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from qstore_ray.deadline import TimedCall
from qstore_ray.doctor.cluster import examine_cluster
from qstore_ray.doctor.diagnosis import Diagnosis, State
from qstore_ray.doctor.storage import examine_mlflow, examine_place
from qstore_ray.errors import QStoreError, TransientError
from qstore_ray.ops.health.hardware import examine_hardware
from qstore_ray.ops.health.open_alerts import examine_alerts
from qstore_ray.ops.health.run_states import examine_runs
from qstore_ray.ops.health.scope import HealthScope
from qstore_ray.ops.health.studies import examine_studies

Check: TypeAlias = Callable[[HealthScope], Iterator[Diagnosis]]

DEADLINE_SECONDS: Final = 20.0
_ORDER: Final[tuple[State, ...]] = ("ok", "note", "fault")


def _storage(scope: HealthScope) -> Iterator[Diagnosis]:
    yield examine_place(scope.storage)


def _mlflow(scope: HealthScope) -> Iterator[Diagnosis]:
    if scope.track.mlflow:
        yield examine_mlflow(scope.storage, scope.track)


def _cluster(scope: HealthScope) -> Iterator[Diagnosis]:
    yield from examine_cluster(scope.address)


CHECKS: Final[Mapping[str, Check]] = {
    "storage": _storage,
    "runs": examine_runs,
    "studies": examine_studies,
    "mlflow": _mlflow,
    "cluster": _cluster,
    "hardware": examine_hardware,
    "alerts": examine_alerts,
}
"""Name → check; a check yields nothing about what is not there."""


def examine_health(
    scope: HealthScope | None = None,
    deadline: float = DEADLINE_SECONDS,
    checks: Mapping[str, Check] = CHECKS,
) -> list[Diagnosis]:
    """The findings of all checks, in their order, after `deadline` seconds at most.

    Args:
        scope: what is examined.
        deadline: seconds that each check may take; they run side by side.
        checks: by name.

    Examples:
        for finding in examine_health(HealthScope("runs"), deadline=60.0):
            print(finding.state, finding.name, finding.found, finding.advice)
    """
    scope, ends = scope or HealthScope(), time.monotonic() + deadline
    calls = {
        name: TimedCall(lambda check=check: list(check(scope)), f"health-{name}")  # type: ignore[misc]
        for name, check in checks.items()
    }
    found: list[Diagnosis] = []
    for name, call in calls.items():
        try:
            found += call.result(ends - time.monotonic())
        except TransientError:
            found.append(_timed_out(name, deadline))
        except QStoreError as error:
            found.append(Diagnosis.of_error(name, error))
        except OSError as exc:
            reason = f"{exc.filename or name}: {exc.strerror or type(exc).__name__}"
            found.append(Diagnosis(name, "fault", reason, "Make it readable, or check the disk."))
    return found


def worst(findings: list[Diagnosis]) -> State:
    """The worst state among the findings; ok for an empty list."""
    return max((each.state for each in findings), key=_ORDER.index, default="ok")


def _timed_out(name: str, deadline: float) -> Diagnosis:
    return Diagnosis(
        name, "fault", f"timed out after {deadline:g} s",
        "Look at the disk or the server that it asks; or allow more time.",
    )  # fmt: skip
