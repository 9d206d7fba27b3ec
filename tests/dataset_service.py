"""Two real servers on loopback: the dataset service, and one that does whatever a test says."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import requests

from qstore_ray.data.service.records import DatasetRecord
from qstore_ray.data.service.server.app import make_server
from qstore_ray.data.service.server.settings import ServiceSettings

X = np.random.default_rng(5).normal(size=(12, 3))
Y = np.arange(12) % 3


def npz(**arrays) -> bytes:
    """A `.npz` file as bytes."""
    file = io.BytesIO()
    np.savez(file, **(arrays or {"x": X, "y": Y}))
    return file.getvalue()


def made(url: str, **arrays) -> DatasetRecord:
    """Upload arrays to the service at `url`; the record."""
    answer = requests.post(
        f"{url}/datasets?name=set",
        data=npz(**arrays),
        headers={"Content-Type": "application/zip"},
        timeout=20,
    )
    assert answer.status_code == 201, answer.text
    return DatasetRecord.model_validate(answer.json())


@contextmanager
def running(folder: Path, **settings) -> Iterator[str]:
    """The dataset service on a free port of loopback; its address."""
    server = make_server(ServiceSettings(folder=folder, **settings), "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 60.0
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20.0)


@dataclass
class Asked:
    """What the breaking server was asked."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Breaking:
    """A server whose answers are a function of the handler and the number of the request."""

    url: str
    asked: list[Asked] = field(default_factory=list)


Answer = Callable[[BaseHTTPRequestHandler, int], None]


@contextmanager
def breaking(answer: Answer) -> Iterator[Breaking]:
    """A server on loopback that answers request k by `answer(handler, k)`, from 0."""
    state = Breaking("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            state.asked.append(Asked(self.command, self.path, dict(self.headers)))
            self.close_connection = True
            with suppress(BrokenPipeError, ConnectionResetError):  # some tests want a hang-up
                answer(self, len(state.asked) - 1)

        do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815, the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(
    handler: BaseHTTPRequestHandler,
    body: bytes = b"",
    *,
    status: int = 200,
    length: int | None = None,
    **headers: str,
) -> None:
    """Answer with a body; `length` is what Content-Length claims, underscores become hyphens."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.send_header("Connection", "close")  # it is: the client must not use it once more
    for name, value in {"Content_Type": "application/json", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()
