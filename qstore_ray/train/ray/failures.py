"""Why the workers of a training failed: which of them were lost, which made no progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ray.train.v2._internal.exceptions import (
    InsufficientClusterResourcesError,
    WorkerGroupStartupTimeoutError,
)

from qstore_ray.errors import QStoreError, RegroupError, WorkerError
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.elastic.limits import Cause
from qstore_ray.train.ray.errors import MEMORY_ADVICE, is_full_memory, meaning

_NO_START = (WorkerGroupStartupTimeoutError, InsufficientClusterResourcesError)
NO_ANSWER = "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S"
"""Ray ends its message about a worker that does not answer by naming this."""


def training_error(
    exc: BaseException, cluster: ClusterConfig, dumps: Mapping[int, Path]
) -> QStoreError:
    """Ray's error as ours: which worker failed, and of what."""
    if isinstance(getattr(exc, "controller_failure", None), _NO_START):
        return WorkerError(
            f"the workers did not start within {cluster.start_timeout:g} s",
            field="cluster.start_timeout",
            value=cluster.start_timeout,
            fix="Other work may hold the cluster's CPUs: wait for it, take fewer workers, or allow "
            "more seconds.",
        )
    failures: dict[int, BaseException] = getattr(exc, "worker_failures", {})
    if (cause := cause_of(failures)) in ("memory", "preemption"):
        return _ended_error(cause, failures, cluster)
    for failure in failures.values():
        if isinstance(failure, QStoreError):
            return failure
    frozen = any(_is_frozen(failure) for failure in failures.values())
    reasons = causes(failures, cluster.worker_timeout)
    reasons |= hung([rank for rank in reasons if rank in dumps], cluster.worker_timeout)
    said = "; ".join(f"worker {rank}: {cause}" for rank, cause in reasons.items())
    return WorkerError(
        f"the workers failed more than {cluster.max_failures} times: {said or meaning(exc)}",
        field="cluster.max_failures",
        value=cluster.max_failures,
        fix=_advice(cluster, frozen, dumps),
    )


def cause_of(failures: Mapping[int, BaseException]) -> Cause:
    """Why a group of workers ended, as it is counted.

    One worker's cause is that of all: the others fail because they wait for its numbers.
    """
    found = list(failures.values())
    for failure in found:
        if isinstance(failure, RegroupError):
            return "preemption" if failure.field else "resize"
    if any(map(is_full_memory, found)):
        return "memory"
    taken = (getattr(each, "health_check_failure", each) for each in found)
    return "preemption" if any(getattr(each, "preempted", False) for each in taken) else "failure"


def _ended_error(
    cause: Cause, failures: Mapping[int, BaseException], cluster: ClusterConfig
) -> WorkerError:
    """The error for a training that ended for a cause which is counted apart."""
    said = meaning(next(iter(failures.values())))
    if cause == "preemption":
        return WorkerError(
            f"the workers had to leave their machines too often: {said}",
            field="cluster.max_preemptions",
            value=cluster.max_preemptions,
            fix="Raise it, or leave it out for any number; then continue with existing='resume'.",
        )
    ranks = [str(rank) for rank, failure in sorted(failures.items()) if is_full_memory(failure)]
    return WorkerError(
        f"worker {', '.join(ranks)}: Ray ended its process, because the memory of its machine was "
        "nearly full, and not for the first time",
        field="cluster.max_memory_failures",
        value=cluster.max_memory_failures,
        fix=f"Before you continue with existing='resume', {MEMORY_ADVICE}.",
    )


def _advice(cluster: ClusterConfig, frozen: bool, dumps: Mapping[int, Path]) -> str:
    if frozen or dumps:
        where = f"{next(iter(dumps.values()))} says where one stood. " if dumps else ""
        return (
            f"They made no progress for {cluster.worker_timeout:g} s. {where}If they were only "
            "slow, set a larger cluster.worker_timeout; then continue with existing='resume'."
        )
    return f"Continue with existing='resume'. If they ran out of memory, first {MEMORY_ADVICE}."


def hung(ranks: Iterable[int], timeout: float) -> dict[int, str]:
    """Why workers of these ranks failed: they ended after `timeout` seconds without progress."""
    return dict.fromkeys(ranks, f"it made no progress for {timeout:g} s")


def causes(failures: Mapping[int, BaseException], timeout: float) -> dict[int, str]:
    """Why each worker failed, by its rank; of those that were lost, if any was.

    The others fail because they wait for numbers that do not come, for `timeout` seconds.
    """
    lost = {rank: failure for rank, failure in failures.items() if is_lost(failure)}
    return {
        rank: f"no answer for {timeout:g} s" if _is_frozen(failure) else meaning(failure)
        for rank, failure in sorted((lost or failures).items())
    }


def is_lost(failure: BaseException | None) -> bool:
    """Whether a worker ended without an error of its own."""
    return failure is None or _is_frozen(failure) or hasattr(failure, "health_check_failure")


def _is_frozen(failure: BaseException) -> bool:
    return NO_ANSWER in str(failure)
