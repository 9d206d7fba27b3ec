"""The address of a Ray cluster, as a user gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from qstore_ray.errors import ConfigError

RAY_STATE: Final = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 - where `ray start` writes it
"""The address of the cluster that Ray finds by itself; it stays when the cluster is killed."""

_DASHBOARD = "this is the address of a dashboard, which takes jobs, and not of the cluster"
_SAID = {
    "http": _DASHBOARD,
    "https": _DASHBOARD,
    "ray": "a training joins a cluster from one of its machines, not as a client of Ray",
}


def host_and_port(address: str, field: str) -> tuple[str, int] | None:
    """Host and port of a cluster; None for `auto` and the like, which Ray looks up by itself.

    Args:
        field: named in errors, as where the address was given.

    Raises:
        ConfigError: it is not the address of a cluster, such as that of a dashboard, which Ray's
            commands for jobs take from the same variable.
    """
    scheme, mark, _ = address.partition("://")
    if mark:
        raise _no_address_error(
            _SAID.get(scheme, "this is not the address of a cluster"), address, field
        )
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        return None
    try:
        number = urlsplit(f"//{address}").port
    except ValueError as exc:
        raise _no_address_error(f"this is not an address: {exc}", address, field) from exc
    assert number is not None, "it has digits there"
    return host.strip("[]"), number


def _no_address_error(message: str, address: str, field: str) -> ConfigError:
    return ConfigError(
        message,
        field=field,
        value=None if "@" in address else address,  # it may hold a password
        fix="Write host and port, such as 127.0.0.1:6379; leave the address out to train on this "
        "machine; or submit the job file, for which the address of a dashboard is right.",
    )
