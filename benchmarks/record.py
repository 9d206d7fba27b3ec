"""What every benchmark writes beside its numbers: machine, versions, commit, seed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("numpy", "qiskit", "ray", "scikit-learn", "xgboost-cpu")


def write(name: str, seed: int, rows: list[dict[str, Any]], **summary: Any) -> None:
    """Write `results/<name>.json` and print the rows and the summary."""
    payload = {
        "benchmark": name,
        **origin(),
        "seed": seed,
        "machine": _machine(),
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "summary": summary,
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(payload, indent=1) + "\n")
    print(f"\n{name}")
    for row in rows:
        print("  " + "  ".join(f"{key} {_text(value)}" for key, value in row.items()))
    for key, value in summary.items():
        print(f"  {key}: {_text(value)}")


def origin() -> dict[str, str]:
    """When and at which commit it is measured."""
    return {"written": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit()}


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _machine() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
    }
