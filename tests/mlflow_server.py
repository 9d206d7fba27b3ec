"""A real MLflow server on loopback, with a sqlite file behind it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qstore_ray.track.config import default_uri

START_UP = 120.0  # seconds; a server needs ten on an idle machine


_HELD: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, and that nobody else is given while this process runs.

    Who means this port can listen on it, as servers allow an address to be used again.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    return held.getsockname()[1]


def _wait_for_a_connection(port: int, said: list[str]) -> None:
    """Uvicorn says that the application has started a moment before it listens."""
    end = time.monotonic() + START_UP
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=START_UP).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end, "".join(said)
            time.sleep(0.05)
        else:
            return


@contextmanager
def mlflow_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """The address of a server that is up for as long as the block runs."""
    port = port or free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", default_uri(folder),
        "--artifacts-destination", str(folder / "files"),
    ]  # fmt: skip
    server = subprocess.Popen(
        command,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    ready, said = threading.Event(), []

    def listen() -> None:
        for line in server.stdout:
            said.append(line)
            if "Application startup complete" in line:
                ready.set()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert ready.wait(START_UP), "".join(said)
        _wait_for_a_connection(port, said)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=START_UP)
        listener.join()
        server.stdout.close()
