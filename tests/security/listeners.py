"""The listeners of Ray's processes, and what each of them is asked without a token, harmlessly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import grpc
import psutil
import requests

SECONDS: Final = 10.0


class Listener(NamedTuple):
    """A port that a process listens at."""

    process: str
    host: str
    port: int


class Door(NamedTuple):
    """What a listener is asked: a path by HTTP, or a method by gRPC.

    Attributes:
        what: a path or a method that reads, or is given nothing to work on.
        has_lock: Ray checks the token.
    """

    process: str
    what: str
    has_lock: bool


DOORS = (
    Door("dashboard", "/api/jobs/", has_lock=True),
    Door("gcs_server", "/ray.rpc.NodeInfoGcsService/GetClusterId", has_lock=True),
    Door("raylet", "/ray.rpc.NodeManagerService/GetNodeStats", has_lock=True),
    Door("raylet", "/ray.rpc.ObjectManagerService/Pull", has_lock=True),
    Door("worker", "/ray.rpc.CoreWorkerService/NumPendingTasks", has_lock=True),
    Door("RuntimeEnvAgent", "/", has_lock=True),
    Door("metrics", "/metrics", has_lock=False),
    Door("DashboardAgent", "/api/job_agent/jobs/", has_lock=True),
    Door("DashboardAgent", "/ray.rpc.ReporterService/HealthCheck", has_lock=True),
)
"""All that listens on a warm cluster; a listener without its line here fails the test."""


_WITH_METRICS = ("DashboardAgent", "dashboard")
"""The dashboard's are at port 44227, unless another Ray of the machine has it."""


def listeners(processes: list[psutil.Process]) -> Iterator[Listener]:
    """What these processes listen at."""
    for process in processes:
        for each in process.net_connections():
            if each.status == psutil.CONN_LISTEN:
                host, kind = each.laddr.ip.removeprefix("::ffff:"), _kind(process.cmdline())
                is_metrics = kind in _WITH_METRICS and _serves_metrics(host, each.laddr.port)
                yield Listener("metrics" if is_metrics else kind, host, each.laddr.port)


def _serves_metrics(host: str, port: int) -> bool:
    try:
        return "# TYPE " in requests.get(f"http://{host}:{port}/metrics", timeout=SECONDS).text
    except requests.RequestException:
        return False


def _kind(words: list[str]) -> str:
    text = " ".join(words)
    for name in ("gcs_server", "DashboardAgent", "RuntimeEnvAgent"):
        if name in text.split("--")[0]:
            return name
    if "dashboard.py" in text:
        return "dashboard"
    if words[0].endswith("/raylet"):
        return "raylet"
    return "worker" if text.startswith("ray::") else text[:80]


def answers(door: Door, listener: Listener, token: str | None) -> str | None:
    """`refused` or `open`; None if this is not what listens there."""
    ask: Callable[[str, Listener, str | None], str | None]
    ask = _ask_grpc if door.what.startswith("/ray.rpc.") else _ask_http
    return ask(door.what, listener, token)


def _ask_http(path: str, listener: Listener, token: str | None) -> str | None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        answer = requests.get(
            f"http://{listener.host}:{listener.port}{path}", headers=headers, timeout=SECONDS
        )
    except requests.RequestException:
        return None
    return "refused" if answer.status_code in {401, 403} else "open"


def _ask_grpc(method: str, listener: Listener, token: str | None) -> str | None:
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(f"{listener.host}:{listener.port}") as channel:
        try:
            channel.unary_unary(method)(b"", timeout=SECONDS, metadata=metadata)
        except grpc.RpcError as exc:
            code = exc.code()
            if code is grpc.StatusCode.UNAUTHENTICATED:
                return "refused"
            if code in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE}:
                return None
    return "open"
