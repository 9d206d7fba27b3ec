"""Workers that do not see the driver's folder: an object store is all that they have in common.

A worker that sees the driver's folder, with the mark of the attempt in it, works there, as with a
plain folder. On another node it works in a copy of its own. Then objects stand for messages:

    .elsewhere   worker 0 is on another node: the driver fetches the metrics from the objects
    .stop        the driver asks the workers to write a checkpoint and stop
    .lost        why the last group of workers ended

Worker 0 uploads the checkpoints in either case (`train/run/upload.py`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from qstore_ray.deadline import join_patiently
from qstore_ray.errors import MissingDependencyError, RunError, StorageError
from qstore_ray.storage import cloud
from qstore_ray.train.loop.reporter import STOP_FILE
from qstore_ray.train.run.origin import ATTEMPT, worker_mirror

if TYPE_CHECKING:
    from qstore_ray.storage.mirror import Mirror
    from qstore_ray.storage.objects import Objects
    from qstore_ray.train.job import Assignment

_ELSEWHERE, _STOP, _LOST = ".elsewhere", ".stop", ".lost"
_SECONDS_BETWEEN_LOOKS = 1.0


@contextmanager
def staged(job: Assignment, rank: int) -> Iterator[Assignment]:
    """The job, with a folder that this worker sees and that has what the objects have.

    Raises:
        StorageError: the object store cannot be used from this node.
        MissingDependencyError: its library is not installed on this node.
    """
    if job.origin is None or job.run_dir is None:
        yield job
        return
    objects = cloud.open_objects(job.origin)
    if _read(job.run_dir / ATTEMPT) == job.lease:
        if rank == 0:
            objects.delete(_ELSEWHERE)
        worker_mirror(job.run_dir, job.origin, job.lease).pull(only=_is_state)
        yield job
        return
    with TemporaryDirectory(prefix="qstore-run-") as name:
        own = replace(job, run_dir=Path(name), lost=_text(objects, _LOST, job.lease))
        if rank == 0:
            objects.put(_ELSEWHERE, job.lease.encode())
        worker_mirror(Path(name), job.origin, job.lease).pull()
        with _repeated(lambda: _look_for_stop(objects, own)):
            yield own


@contextmanager
def relayed(job: Assignment) -> Iterator[None]:
    """In the driver, while workers train: fetch the metrics, and at the end all that they left.

    Raises:
        StorageError: the object store cannot be used.
    """
    if job.origin is None or job.run_dir is None:
        yield
        return
    objects = cloud.open_objects(job.origin)
    mirror = worker_mirror(job.run_dir, job.origin, job.lease)
    for key in (_ELSEWHERE, _STOP, _LOST):
        objects.delete(key)
    try:
        with _repeated(lambda: _fetch_metrics(objects, mirror, job.lease)):
            yield
    finally:
        # An error that is on its way is not replaced by one about what is left to be fetched.
        with suppress(StorageError) if sys.exception() else nullcontext():
            mirror.pull(exact=bool(_text(objects, _ELSEWHERE, job.lease, mark=True)))
            for key in (_ELSEWHERE, _STOP, _LOST):
                objects.delete(key)


def request_stop(job: Assignment) -> None:
    """Ask the workers to write a checkpoint and stop, wherever they are."""
    assert job.run_dir is not None, "a run on Ray has a folder"
    (job.run_dir / STOP_FILE).touch()
    if job.origin is not None:
        with suppress(StorageError):  # a second signal ends the run without it
            cloud.open_objects(job.origin).put(_STOP, job.lease.encode())


def record_loss(job: Assignment, text: str) -> None:
    """Record for workers on other nodes why the group before them ended."""
    if job.origin is not None:
        with suppress(StorageError, MissingDependencyError):
            cloud.open_objects(job.origin).put(_LOST, f"{job.lease}\n{text}".encode())


def _is_state(key: str) -> bool:
    return key.startswith(("checkpoints/", "models/"))


def _look_for_stop(objects: Objects, job: Assignment) -> None:
    assert job.run_dir is not None, "a staged job has a folder"
    if _text(objects, _STOP, job.lease, mark=True):
        (job.run_dir / STOP_FILE).touch()


def _fetch_metrics(objects: Objects, mirror: Mirror, lease: str) -> None:
    if _text(objects, _ELSEWHERE, lease, mark=True):
        mirror.pull(only=lambda key: key == "metrics.jsonl")


def _text(objects: Objects, key: str, lease: str, *, mark: bool = False) -> str:
    """The text of an object of this attempt; "" without one. A mark is the token alone."""
    found = objects.read(key)
    token, _, text = ("" if found is None else found.data.decode()).partition("\n")
    return "" if token != lease else token if mark else text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:  # another node, or another user's folder
        return ""


@contextmanager
def _repeated(call: Callable[[], None]) -> Iterator[None]:
    """Call it again and again for the time of the block; what fails is tried again."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            with suppress(StorageError, RunError, OSError):
                call()

    thread = threading.Thread(target=repeat, name="qstore_ray-relay", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        join_patiently(thread, "the object store of the run")
