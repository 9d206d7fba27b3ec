"""A run in an object store, as the process that has it open sees it: its lease and its uploads.

The folder of the run is then a stage: a copy on this machine. While a process of this machine has
the folder locked, the copy is ahead of the objects and is left alone. Otherwise it is brought to
the state of the objects before anything is read from it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from qstore_ray.errors import StorageError
from qstore_ray.retry import call_with_retries
from qstore_ray.storage import cloud
from qstore_ray.storage.address import StorageAddress, origin_of
from qstore_ray.storage.conditions import check_store
from qstore_ray.storage.contents import (
    METRICS,
    STUDY,
    STUDY_RECORD,
    is_hidden,
    is_of_a_trial,
    is_study,
)
from qstore_ray.storage.copies import stage_error
from qstore_ray.storage.lease import Lease, check_holder, is_holder, take_lease
from qstore_ray.storage.mirror import Mirror
from qstore_ray.storage.objects import Objects
from qstore_ray.storage.stranded import keep_stranded
from qstore_ray.track.base import KEPT
from qstore_ray.train.run.lock import Kind, is_locked_here

ATTEMPT = ".attempt"
"""The file by which a worker knows the driver's folder: it holds the token of the lease."""

_PATIENCE_SECONDS = 60.0
_SIGNS = ("run.json", "manifest.json")
_OF_A_RUN = ("checkpoints", "models", "metrics", "figures", "tensorboard", "wandb")
_GROWING = (STUDY, METRICS)
_OF_THE_DRIVER = ("run.json", "config.toml", "tracking.json", "report.html", "figures")
_open_here: dict[tuple[Path, str], Mirror] = {}
"""The mirrors of runs that this process has open, by folder and lease."""


@dataclass(frozen=True)
class RunOrigin:
    """The objects of a run that this process has leased.

    Attributes:
        address: of the run.
    """

    address: StorageAddress
    path: Path
    lease: Lease
    mirror: Mirror

    def upload(self) -> None:
        """Bring the objects to the state of the folder.

        Raises:
            StorageError: see `Mirror.push`.
        """
        patiently(self.mirror)

    def flush(self) -> None:
        """Upload what was added to the files that only grow.

        Raises:
            StorageError: see `Mirror.flush`.
        """
        call_with_retries(self.mirror.flush, retry_on=_may_pass, seconds=_PATIENCE_SECONDS)

    def close(self) -> None:
        """Give up the lease."""
        _open_here.pop((self.path, self.lease.token), None)
        self.lease.release()


def open_origin(path: Path, kind: Kind = "run") -> RunOrigin | None:
    """Lease a run whose folder this process has locked, and fetch it; None for a plain folder.

    Before that the object store is tried, so that it does not fail in the middle of the run. Of a
    study, what its trials have written is not fetched: each is a run of its own.

    Raises:
        RunExistsError: another machine has it open.
        StorageError: the object store cannot be used.
    """
    address = origin_of(path)
    if address is None:
        return None
    objects = cloud.open_objects(address)
    check_store(objects, address)
    with ExitStack() as until_opened:
        lease = take_lease(objects, path.name, kind)
        until_opened.callback(lease.release)
        if kind == "study":
            mirror = Mirror(objects, path, lease.check, growing=_GROWING, skips=_is_not_of_a_study)
        else:
            mirror = Mirror(objects, path, lease.check, skips=_skips(path))
        with _refreshing(path):
            if kind == "run":
                keep_stranded(path, objects)
            mirror.pull()
            mirror.seal()
            path.mkdir(parents=True, exist_ok=True)
            (path / ATTEMPT).write_text(lease.token, encoding="ascii")
        until_opened.pop_all()  # from here on the origin holds the lease
    _open_here[path, lease.token] = mirror
    return RunOrigin(address, path, lease, mirror)


def refresh(path: Path, names: Collection[str] = ()) -> None:
    """Bring the stage of a run to the state of its objects; does nothing for a plain folder.

    Objects that are neither a run nor a checkpoint are not fetched, since they may be any number.

    Args:
        names: of the files that are needed; without them all are fetched.

    Raises:
        StorageError: the object store cannot be used.
    """
    address = origin_of(path)
    if address is None or _is_open_here(path):
        return
    objects = cloud.open_objects(address)
    known = names or any(objects.facts(name) is not None for name in _SIGNS)
    mirror = Mirror(objects, path, _refuse, growing=_GROWING, skips=_skips(path))
    with _refreshing(path):
        if not _is_open_here(path):  # a driver may have begun meanwhile
            keep_stranded(path, objects)
            mirror.pull(only=names.__contains__ if names else None, fetches=bool(known))


def refresh_study(path: Path) -> None:
    """Bring the stage of a study, without its trials, to the state of its objects; does nothing for
    a plain folder.

    Raises:
        StorageError: the object store cannot be used.
    """
    address = origin_of(path)
    if address is None or _is_open_here(path):
        return
    objects = cloud.open_objects(address)
    known = Path(STUDY).stem in objects.names() or objects.facts(STUDY_RECORD) is not None
    mirror = Mirror(objects, path, _refuse, growing=_GROWING, skips=_is_not_of_a_study)
    with _refreshing(path):
        if not _is_open_here(path):
            mirror.pull(fetches=known)


def refresh_trial(path: Path, names: Collection[str] = ()) -> None:
    """Fetch the run folder of a trial, or those of its parts, unless it was trained on this
    machine; does nothing for a plain folder. Called by the driver of its study.

    Raises:
        StorageError: the object store cannot be used.
    """
    address = origin_of(path)
    if address is None:
        return
    for each in (path, *(path / name for name in runs_at(address) if name not in _OF_A_RUN)):
        place = origin_of(each)
        assert place is not None, "it is below the stage of the trial"
        objects = cloud.open_objects(place)
        if objects.facts(_SIGNS[0]) is not None and not _is_newest(each, objects):
            refresh(each, names)


def delete_trials(path: Path) -> None:
    """Delete the trials of a study that this process has leased, and its journal, which says whose
    they are, last.

    Raises:
        StorageError: the object store cannot be used.
    """
    address = origin_of(path)
    if address is None:
        return
    objects = cloud.open_objects(address)
    keys = list(objects.listing())
    runs = [key for key in keys if is_of_a_trial(key, but=())]
    for key in sorted(runs, key=lambda key: (key.endswith(f"/{_SIGNS[0]}"), key)):
        objects.delete(key)
    for key in keys:
        if key.startswith(f"{Path(STUDY).stem}/"):
            objects.delete(key)


def is_run(path: Path) -> bool:
    """Whether there is a run among the objects at a place.

    Raises:
        StorageError: the object store cannot be used.
    """
    address = origin_of(path)
    return address is not None and cloud.open_objects(address).facts(_SIGNS[0]) is not None


def is_foreign(path: Path) -> bool:
    """Whether there are objects at the place of a run, and none is the record of a run.

    Raises:
        StorageError: the object store cannot be used.
    """
    address = origin_of(path)
    if address is None or _is_open_here(path):
        return False
    objects = cloud.open_objects(address)
    if objects.facts(_SIGNS[0]) is not None:
        return False
    found = objects.listing()
    return any(not is_hidden(key) and key.partition("/")[0] not in KEPT for key in found)


def _is_open_here(path: Path) -> bool:
    """Whether a process of this machine has it open, or the run that it is a part of."""
    parents = [each for each in path.parents if origin_of(each) is not None and not is_study(each)]
    return any(map(is_locked_here, (path, *parents)))


def runs_at(address: StorageAddress) -> list[str]:
    """The names below an address that may be runs.

    Raises:
        StorageError: the object store cannot be used.
    """
    return [name for name in cloud.open_objects(address).names() if not is_hidden(name)]


def worker_mirror(path: Path, address: StorageAddress, token: str) -> Mirror:
    """What a process copies a run through: in the driver's its own, in any other one for workers.

    Args:
        token: of the driver's lease.

    Raises:
        MissingDependencyError: `obstore` is not installed on this node.
    """
    if (path, token) not in _open_here:
        objects = cloud.open_objects(address)
        _open_here[path, token] = Mirror(
            objects, path, lambda: check_holder(objects, token), skips=_is_of_the_driver
        )
    return _open_here[path, token]


def _is_of_the_driver(key: str) -> bool:
    return key.partition("/")[0] in (*_OF_THE_DRIVER, *KEPT)


def _is_not_of_a_study(key: str) -> bool:
    """Whether the driver of a study does not write it: trials are runs, and Optuna has a lock."""
    return key == f"{STUDY}.lock" or is_of_a_trial(key, but=(*KEPT, "refit.txt"))


def _is_kept(key: str) -> bool:
    return key.partition("/")[0] in KEPT


def _is_nothing(_: str) -> bool:
    return False


def _skips(path: Path) -> Callable[[str], bool]:
    """What of a run's folder another process of this machine writes: the driver of its study."""
    studies = [each for each in path.parents if origin_of(each) is not None and is_study(each)]
    return _is_kept if any(map(is_locked_here, studies)) else _is_nothing


def _is_newest(path: Path, objects: Objects) -> bool:
    """Whether the last attempt at a run worked in this stage."""
    file = path / ATTEMPT
    return file.is_file() and is_holder(objects, file.read_text(encoding="ascii"))


def patiently(mirror: Mirror) -> None:
    """Upload, and try again for a minute if the object store is away.

    Raises:
        StorageError: see `Mirror.push`.
    """
    call_with_retries(mirror.push, retry_on=_may_pass, seconds=_PATIENCE_SECONDS)


def _may_pass(exc: BaseException) -> bool:
    return isinstance(exc, StorageError) and exc.may_pass


def _refuse() -> None:
    raise StorageError("a copy that is only read is not uploaded")


@contextmanager
def _refreshing(path: Path) -> Iterator[None]:
    """One process of this machine at a time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / ".refresh").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as exc:
        raise stage_error(path.parent, exc) from exc
