"""A federation under Flower's server, in its environment, as one call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from environments import HERE, ROOT, python_of

ENVIRONMENT = "flower"
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip


def run_flower(rows: Mapping[str, Any], job: dict[str, Any], limit_s: float = 500.0) -> Any:
    """What `flower_peer.py` answers.

    Args:
        rows: of each client, with `x` (N, F) and `y` (N,), in the order of their names.
        job: its `model`, `trainer`, `rounds`, `local_epochs`, `classes`, `mu`, `seed`, `evaluates`.
    """
    with tempfile.TemporaryDirectory(prefix="flwr-") as folder:  # a short path, for Ray's sockets
        path = Path(folder) / "rows.npz"
        arrays: dict[str, Any] = {}
        for number, name in enumerate(sorted(rows)):
            arrays |= {f"x{number}": rows[name].x, f"y{number}": rows[name].y}
        np.savez(path, **arrays)
        environment = {**os.environ, **_QUIET, "PYTHONPATH": str(ROOT), "HOME": folder}
        for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            environment.pop(name, None)
        asked = json.dumps({**job, "rows": str(path), "clients": len(rows)})
        process = subprocess.Popen(
            [str(python_of(ENVIRONMENT)), str(HERE / "flower_peer.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            said, errors = process.communicate(asked, limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the Ray that it started
            process.wait()
            raise
    lines = [line for line in said.splitlines() if line.startswith("ANSWER ")]
    if process.returncode or not lines:
        raise RuntimeError(f"Flower ended with {process.returncode}: {errors[-2000:]}")
    return json.loads(lines[-1].removeprefix("ANSWER "))
