"""Joining a Ray that runs already, for the time of a block."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray._raylet import (  # type: ignore[attr-defined]  # of a compiled module
    AuthenticationTokenLoader,
    Config,
)
from ray.exceptions import RayError

from qstore_ray.cluster.address import host_and_port
from qstore_ray.cluster.drivers import joined_driver
from qstore_ray.cluster.find import client_environment
from qstore_ray.cluster.processes import cluster_folder
from qstore_ray.cluster.record import ClusterRecord
from qstore_ray.environment import environment
from qstore_ray.errors import BackendError, first_line
from qstore_ray.train.ray.interrupt import stop_all
from qstore_ray.train.ray.side_effects import (
    leave_ray,
    no_error_prints,
    on_loopback,
    outliving,
    same_sigterm_handler,
)

_PROBE_SECONDS = 10.0
_TRIES = {"RAY_gcs_server_port_wait_time_s": "5"}
"""How often Ray asks, a second apart, a head that answers and refuses it: 20 times by itself."""


@contextmanager
def joined(address: str) -> Iterator[None]:
    """A Ray at an address.

    Raises:
        ConfigError: it is not the address of a cluster.
        BackendError: it cannot be reached.
    """
    _join(address)
    try:
        yield
    finally:
        leave_ray()


@contextmanager
def joined_warm(record: ClusterRecord) -> Iterator[None]:
    """The warm cluster of this machine; its token is in the environment inside the block only.

    Raises:
        BackendError: it cannot be reached.
    """
    try:
        with environment(client_environment()), joined_driver(cluster_folder(), ends):
            forget_token()
            with on_loopback():
                _join(record.address)
            try:
                yield
            finally:
                leave_ray()
    finally:
        forget_token()


def ends() -> None:
    """Stop the runs and searches of this process, because the warm cluster ends."""
    stop_all("stopped because the cluster of this machine was ended")


def forget_token() -> None:
    """Let Ray read its mode and its token again, which it does once in a process otherwise."""
    Config.initialize("")  # first: a thread of Ray that still ends must not miss its token
    AuthenticationTokenLoader.instance().reset_cache()


def _join(address: str) -> None:
    _probe(address)
    try:
        with (
            environment(defaults=_TRIES),
            no_error_prints(),
            same_sigterm_handler(),
            outliving(),
        ):
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, ConnectionError, RuntimeError, ValueError) as exc:
        said = first_line(exc)
        mismatch = "ersion mismatch" in said  # followed by both sides' versions
        check = (
            "Install the cluster's versions of Ray and Python"
            if mismatch
            else "Check the address and that RAY_AUTH_TOKEN holds the cluster's token"
        )
        raise BackendError(
            f"cannot join the Ray cluster: {' '.join(str(exc).split()) if mismatch else said}",
            field="cluster.address",
            value=address,
            fix=f"{check}, or leave the address out to train on this machine.",
        ) from exc


def _probe(address: str) -> None:
    """Raise unless something listens; Ray itself would retry for two minutes."""
    named = "RAY_ADDRESS" if os.environ.get("RAY_ADDRESS") == address else "cluster.address"
    known = host_and_port(address, named)
    if known is None:
        return
    try:
        with socket.create_connection(known, timeout=_PROBE_SECONDS):
            return
    except OSError as exc:
        raise BackendError(
            f"nothing answers at the address of the Ray cluster: {exc.strerror or exc}",
            field="cluster.address",
            value=address,
            fix="Start the cluster, correct cluster.address or RAY_ADDRESS, or leave both out to "
            "train on this machine.",
        ) from exc
