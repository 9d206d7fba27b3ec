"""The job server of a Ray cluster: its address, its token, its versions, and its errors."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from qstore_ray.cluster import find_cluster
from qstore_ray.cluster.find import warm_token
from qstore_ray.data.service.client.address import is_loopback
from qstore_ray.environment import environment
from qstore_ray.errors import BackendError, ConfigError, UsageError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_PROBE_SECONDS: Final = 5.0
_PORTS: Final = {"http": 8265, "https": 443}
_TOKEN: Final = "Export RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH with the name of its file"  # noqa: S105
_USUAL: Final = "http://127.0.0.1:8265"


def usual_address() -> str:
    """The job server that `RAY_API_SERVER_ADDRESS` names, or that of the warm cluster."""
    if named := os.environ.get("RAY_API_SERVER_ADDRESS", ""):
        return named
    warm = find_cluster().record
    return _USUAL if warm is None else warm.dashboard


@contextmanager
def unproxied(address: str) -> Iterator[None]:
    """In this block a job server on this machine is asked directly, past the proxy of `http_proxy`.

    A proxy would look for it on the proxy's own machine, or refuse.
    """
    host, _ = _host(address)
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    with environment({"no_proxy": f"{known},{host}".strip(",")} if is_loopback(host) else {}):
        yield


def connect(address: str, *, insecure: bool) -> JobSubmissionClient:
    """The job server at an address.

    Args:
        insecure: talk to a head on another machine without a token, or send it one without TLS.

    Raises:
        UsageError: no address of a job server, or a head on another machine without a token.
        BackendError: nothing answers, the token is refused, or Ray's version differs.
    """
    host, port = _host(address)
    token = _warm_token(host, port) or token_of()
    local = is_loopback(host)
    if token is None and not (local or insecure):
        raise UsageError(
            "the head is on another machine, and there is no token: whoever reaches it may run "
            "code on it",
            field="address",
            value=address,
            fix=f"{_TOKEN}; or add --insecure.",
        )
    _probe(address, host, port)
    import ray
    from ray.job_submission import JobSubmissionClient

    for of_ray in ("dashboard_sdk", "job.sdk"):  # what it uploads and closes is no news
        logging.getLogger(f"ray.dashboard.modules.{of_ray}").setLevel(logging.WARNING)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with server_errors(address):
        client = JobSubmissionClient(address, headers=headers)
        theirs = client._do_request("GET", "/api/version").json()  # noqa: SLF001
    if theirs.get("ray_version") != ray.__version__:
        raise BackendError(
            f"the cluster runs Ray {theirs.get('ray_version')}, this machine has Ray "
            f"{ray.__version__}",
            field="address",
            value=address,
            fix="Install the cluster's versions of Ray and Python.",
        )
    return client


def token_of() -> str | None:
    """The token of the cluster, from where Ray takes it; None without one.

    Raises:
        ConfigError: RAY_AUTH_TOKEN_PATH names no file that can be read.
    """
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except OSError as exc:
        if not named:
            return None
        raise ConfigError(
            f"the file of the token cannot be read: {exc.strerror}",
            field="RAY_AUTH_TOKEN_PATH",
            value=named,
            fix="Write the name of the file that holds the cluster's token.",
        ) from exc


def _warm_token(host: str, port: int) -> str | None:
    """The token of the warm cluster of this machine, if this is its job server.

    Raises:
        BackendError: it cannot be read.
    """
    warm = find_cluster().record
    if warm is None or not is_loopback(host) or urlsplit(warm.dashboard).port != port:
        return None
    return warm_token()


@contextmanager
def server_errors(address: str) -> Iterator[None]:
    """Translate what a request to the job server raises.

    Raises:
        BackendError: the token was refused, or the server is out of reach or failed.
    """
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as exc:
        raise BackendError(
            f"the cluster refuses the token: {str(exc).splitlines()[0]}",
            field="address",
            value=address,
            fix=f"{_TOKEN}. On the head, ray get-auth-token prints it.",
        ) from exc
    except (OSError, RuntimeError, ValueError) as exc:
        said = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise BackendError(
            f"the job server of the cluster fails: {said}",
            field="address",
            value=address,
            fix="Check that the address is that of Ray's dashboard, such as http://127.0.0.1:8265.",
        ) from exc


def _host(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in _PORTS or parts.username or parts.path.strip("/"):
        raise UsageError(
            "this is not the address of a job server",
            field="address",
            value=None if "@" in address else address,  # it may hold a password
            fix="Write it like http://127.0.0.1:8265.",
        )
    return host, port or _PORTS[parts.scheme]


def _probe(address: str, host: str, port: int) -> None:
    """Raise unless something listens."""
    try:
        with socket.create_connection((host, port), timeout=_PROBE_SECONDS):
            return
    except OSError as exc:
        raise BackendError(
            f"nothing answers at the address of the cluster: {exc.strerror or exc}",
            field="address",
            value=address,
            fix="Start the cluster (its head with ray[default] and a dashboard), or correct the "
            "address.",
        ) from exc
