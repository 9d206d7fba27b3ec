"""A federation under Flower's server, in its environment, as one call."""

from __future__ import annotations

import json
import os
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
        done = subprocess.run(
            [str(python_of(ENVIRONMENT)), str(HERE / "flower_peer.py")],
            input=json.dumps({**job, "rows": str(path), "clients": len(rows)}),
            capture_output=True, text=True, check=False, env=environment, timeout=limit_s,
        )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    if done.returncode or not lines:
        raise RuntimeError(f"Flower ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(lines[-1].removeprefix("ANSWER "))
