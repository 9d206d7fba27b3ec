"""What an error of Ray's means, in one line of ours.

Ray describes a process that died in ten lines, with ids, log files of the cluster and settings of
its own. A user of a training wants to know which of a few things happened, so those have words of
their own; of any other error the last line is quoted.
"""

from __future__ import annotations

from ray.exceptions import (
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayError,
    WorkerCrashedError,
)

from qstore_ray.errors import QStoreError, ResourceError, last_line

_MEANINGS: dict[type[RayError], str] = {
    OutOfMemoryError: "Ray ended its process, because the memory of its machine was nearly full",
    NodeDiedError: "its machine was lost",
    LocalRayletDiedError: "its machine was lost",
    ActorUnavailableError: "its process cannot be reached",
    WorkerCrashedError: "its process was killed or crashed",
    ObjectStoreFullError: "Ray's object store is full",
    OutOfDiskError: "Ray's object store is full, and so is the disk that it spills to",
}
_DEATHS = (
    ("node was terminated", "its machine was lost"),
    ("node has died", "its machine was lost"),
    ("running low on memory", _MEANINGS[OutOfMemoryError]),
    ("worker process has died", "its process was killed or crashed"),
)
"""Substrings of Ray's messages about a dead actor → the cause of death."""

MEMORY_ADVICE = (
    "put fewer workers on a machine (a smaller trainer.num_workers, or a larger "
    "cluster.cpus_per_worker); a smaller trainer.batch_size or model.n_qubits needs a new run"
)
"""What to change if workers run out of memory."""


def meaning(exc: BaseException) -> str:
    """Why a worker ended, or why Ray cannot fulfil a request, in a line."""
    # Ray Train wraps the error that it met when it asked a worker how it does.
    exc = getattr(exc, "health_check_failure", None) or exc
    if isinstance(exc, QStoreError):
        return exc.message
    if is_disconnected(exc):
        return "it lost the connection to another worker"
    known = (words for kind, words in _MEANINGS.items() if isinstance(exc, kind))
    told = (words for part, words in _DEATHS if part in str(exc))
    return next(known, None) or next(told, None) or last_line(exc)


def is_disconnected(exc: BaseException) -> bool:
    """Whether a worker failed only because it could not reach another one for their sums."""
    return type(exc) is ConnectionError  # of the sums; a socket's has a class of its own


def is_full_memory(exc: BaseException) -> bool:
    """Whether Ray ended a worker because the memory of its machine was nearly full."""
    return meaning(exc) == _MEANINGS[OutOfMemoryError]


def no_room_error(
    exc: ObjectStoreFullError | OutOfDiskError, megabytes: int | None = None
) -> ResourceError:
    """The error for rows that Ray's object store, of this size, has no place for."""
    return ResourceError(
        f"the rows cannot be handed to the workers: {meaning(exc)}",
        field="cluster.object_store_mb",
        value=megabytes,
        fix="Free space on the disk of the temporary folder, set a larger cluster.object_store_mb, "
        "or train in this process: trainer.num_workers = 0.",
    )
