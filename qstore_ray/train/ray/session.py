"""Joining or starting Ray without side effects on other users of it.

In order: a Ray that this process has initialised already, the configured address, `RAY_ADDRESS`
(so that a submitted job joins its cluster), the warm cluster of this machine (`cluster/`), and only
then a Ray of our own, which is also what the address "local" means. Only our own is stopped again.
It takes what a training needs and no more: a small object store, no
dashboard, no usage statistics, a token that lives in this process's environment only.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import ray
from ray._private import auto_init_hook
from ray.exceptions import RayError

from qstore_ray.cluster.find import WORKER_SETTINGS, check_software, find_cluster
from qstore_ray.cluster.record import ClusterRecord
from qstore_ray.cluster.variables import check_variables
from qstore_ray.environment import available_cpus, environment
from qstore_ray.errors import BackendError, ResourceError, first_line
from qstore_ray.storage.address import address_of
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray.join import forget_token, joined, joined_warm
from qstore_ray.train.ray.side_effects import (
    leave_ray,
    no_error_prints,
    no_monitors,
    outliving,
    own_process_groups,
    same_sigterm_handler,
)

_log = logging.getLogger(__name__)

_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    **WORKER_SETTINGS,
}
"""Settings of Ray, unless the environment has others, while one of our own is up. A token is set,
too: Ray switches token authentication on for a local cluster, and with a token in the environment
it writes none to the home directory."""


_LOCAL = "local"


def uses_own_ray(config: ClusterConfig) -> bool:
    """Whether a session would start a Ray of its own.

    Raises:
        BackendError: the warm cluster of this machine has other versions.
    """
    return not ray.is_initialized() and not _address(config) and warm_cluster(config) is None


def warm_cluster(config: ClusterConfig) -> ClusterRecord | None:
    """The warm cluster of this machine, if a session would join it.

    Raises:
        BackendError: it has other versions.
    """
    if ray.is_initialized() or _address(config) or _named(config) == _LOCAL:
        return None
    record, was_stale = find_cluster()
    if was_stale:
        _log.warning("the warm cluster of this machine had died; what it left has been removed")
    if record is not None:
        check_software(record)
    return record


def check_store(config: ClusterConfig, storage: str | Path) -> None:
    """Check that the workers of a warm cluster that would be joined reach the storage.

    Raises:
        BackendError: it was started without the variables of the object store.
    """
    address = address_of(storage)
    if address is not None and (record := warm_cluster(config)) is not None:
        check_variables(record, address)


def _named(config: ClusterConfig) -> str:
    return config.address or os.environ.get("RAY_ADDRESS", "")


def _address(config: ClusterConfig) -> str:
    """The address that the configuration or the environment names, unless it is "local"."""
    named = _named(config)
    return "" if named == _LOCAL else named


@contextmanager
def ray_session(
    config: ClusterConfig, num_workers: int, *, dashboard: bool = False, field: str = "trainer"
) -> Iterator[None]:
    """An initialised Ray with room for the workers, for the time of the block.

    Args:
        dashboard: start one if a Ray of our own is started.
        field: the table of the configuration that says how many workers, for errors.

    Raises:
        ResourceError: the workers need more CPUs or GPUs than the cluster has.
        BackendError: the cluster cannot be reached.
    """
    needed = num_workers * config.cpus_per_worker
    if uses_own_ray(config):
        _check_cpus(needed, available_cpus(), num_workers, config, field)
        with _own_ray(config, dashboard):
            _check_gpus(num_workers, config)
            yield
        return
    with _joined(config):
        present = ray.cluster_resources().get("CPU", 0.0)  # type: ignore[no-untyped-call]
        _check_cpus(needed, present, num_workers, config, field)
        _check_gpus(num_workers, config)
        yield


def _joined(config: ClusterConfig) -> AbstractContextManager[None]:
    """Joins what is to be joined, unless it is joined already; only then it is left again."""
    if ray.is_initialized():
        return nullcontext()
    if (record := warm_cluster(config)) is not None:
        return joined_warm(record)
    return joined(_address(config))


def set_implicit_start(allowed: bool) -> bool:
    """Set whether Ray's calls start a Ray if none runs; returns the setting before."""
    before: bool = auto_init_hook.enable_auto_connect
    auto_init_hook.enable_auto_connect = allowed
    return before


def _check_cpus(
    needed: float, present: float, num_workers: int, config: ClusterConfig, field: str
) -> None:
    if needed > present:
        raise ResourceError(
            f"{num_workers} workers of {config.cpus_per_worker:g} CPUs need {needed:g} CPUs, there "
            f"are {present:g}",
            field=f"{field}.num_workers",
            value=num_workers,
            fix=f"Set {field}.num_workers to {int(present // config.cpus_per_worker)} or less, or "
            f"cluster.cpus_per_worker to {present / num_workers:g} or less.",
        )


def _check_gpus(num_workers: int, config: ClusterConfig) -> None:
    needed = num_workers * config.gpus_per_worker
    present = ray.cluster_resources().get("GPU", 0.0)  # type: ignore[no-untyped-call]
    if needed > present:
        raise ResourceError(
            f"{num_workers} workers of {config.gpus_per_worker:g} GPUs need {needed:g} GPUs, Ray "
            f"has {present:g}",
            field="cluster.gpus_per_worker",
            value=config.gpus_per_worker,
            fix="Leave it out, or take fewer workers." if present else "Leave it out.",
        )


@contextmanager
def _own_ray(config: ClusterConfig, dashboard: bool) -> Iterator[None]:
    logging.getLogger("ray").setLevel(logging.ERROR)
    with environment(defaults={**_DEFAULTS, "RAY_AUTH_TOKEN": _token()}):
        forget_token()  # an earlier block of this process may have joined another Ray
        try:
            _start(config, dashboard)
            yield
        finally:
            leave_ray()


def _start(config: ClusterConfig, dashboard: bool) -> None:
    try:
        with (
            own_process_groups(),
            no_monitors(),
            no_error_prints(),
            same_sigterm_handler(),
            outliving(),
        ):
            ray.init(
                "local",
                num_cpus=available_cpus(),
                include_dashboard=dashboard,
                object_store_memory=config.object_store_mb * 2**20,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except Exception as exc:
        # Of a node that is not up after 30 s Ray raises no class of its own.
        if type(exc) is Exception or isinstance(exc, OSError | RayError | RuntimeError):
            raise _no_start_error(exc) from exc
        raise


def _no_start_error(exc: BaseException) -> BackendError:
    """The error for a Ray that cannot be started on this machine."""
    inside = "or train in this process: trainer.num_workers = 0."
    if "AF_UNIX" in str(exc):  # the longest path of a socket, in Ray's folder
        return BackendError(
            "the path of the temporary folder is too long for Ray's sockets",
            field="TMPDIR",
            value=tempfile.gettempdir(),
            fix=f"Set TMPDIR to a folder with a short path, such as /tmp, {inside}",
        )
    if "timed out during startup" in str(exc):
        return BackendError(
            "Ray did not start on this machine within its time: the machine is too busy",
            field="cluster",
            fix=f"Try again when less runs, join a cluster that runs, {inside}",
        )
    return BackendError(
        f"Ray cannot be started on this machine: {first_line(exc)}",
        field="TMPDIR" if isinstance(exc, OSError) else "cluster",
        value=tempfile.gettempdir() if isinstance(exc, OSError) else None,
        fix=f"Check the temporary folder and the free memory, {inside}",
    )


@cache
def _token() -> str:
    """One for all that this process starts: Ray's threads that still end keep the one they had."""
    return secrets.token_hex(32)
