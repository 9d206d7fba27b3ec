"""A Ray head in processes of its own, which drivers join and outlive each other on."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


@contextmanager
def ray_head(
    environment: Mapping[str, str], cpus: int = 2, *, dashboard: bool = False
) -> Iterator[tuple[dict[str, str], Path]]:
    """The environment in which a driver finds the head, and the folder of Ray's session.

    Args:
        environment: of the head, and so of its workers.
        dashboard: start it, and with it the job server, on a port that is free.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    own = {**environment, **token}
    with tempfile.TemporaryDirectory(prefix="qr") as scratch:
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *(f"--port={port}", f"--num-cpus={cpus}"),
            *(f"--include-dashboard={str(dashboard).lower()}", "--dashboard-port=0"),
            *("--node-ip-address=127.0.0.1", f"--temp-dir={scratch}", "--disable-usage-stats"),
            "--object-store-memory=200000000",
        ]
        log = Path(scratch) / "head.txt"
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env=own, stdout=output, stderr=output, start_new_session=True
            )
        try:
            _wait_for(port, process)
            yield {**own, "RAY_ADDRESS": f"127.0.0.1:{port}", "HEAD_LOG": str(log)}, Path(scratch)
            assert process.poll() is None, "the cluster was stopped by a run that only joined it"
        finally:
            for started in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    started.kill()
            process.kill()
            process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + 120.0
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the head does not listen")
