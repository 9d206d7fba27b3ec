"""How long a user waits: CPU time of `import qstore_ray`, and seconds until the first step is done.

Run: python benchmarks/startup.py
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import write

JOB = Path(__file__).parents[1] / "jobs" / "digits.toml"
ROUNDS = 5


def cpu_seconds(code: str) -> float:
    """User and system time of one fresh interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def first_step(workers: int) -> tuple[float, float]:
    """Seconds from starting `qstore train` to the first step record, and to its end."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "qstore_ray", "train", str(JOB), "--quiet"),
            *("--storage", folder, "--workers", str(workers), "--set", "trainer.epochs=2"),
        ]
        metrics = Path(folder) / "digits" / "metrics.jsonl"
        began, seen = time.monotonic(), None
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
        while process.poll() is None:
            if seen is None and metrics.exists() and has_step(metrics):
                seen = time.monotonic() - began
            time.sleep(0.02)
        if process.returncode or seen is None:
            raise SystemExit(f"qstore train failed with {process.returncode}")
        return seen, time.monotonic() - began


def has_step(metrics: Path) -> bool:
    """Whether the metrics file has the record of a step."""
    lines = metrics.read_text().splitlines()
    return any(json.loads(line)["event"] in ("step", "epoch") for line in lines[1:3])


def main() -> None:
    """Import cost, and the wait with no worker, one and two."""
    bare = statistics.median(cpu_seconds("pass") for _ in range(ROUNDS))
    ours = statistics.median(cpu_seconds("import qstore_ray") for _ in range(ROUNDS))
    rows = []
    for workers in (0, 1, 2):
        seen, whole = zip(*(first_step(workers) for _ in range(2)), strict=True)
        rows.append({"workers": workers, "first_step_s": min(seen), "two_epochs_s": min(whole)})
    write(
        "startup", 0, rows, import_cpu_s=ours - bare, bare_interpreter_cpu_s=bare,
        target="import below 0.05 CPU-s",
    )  # fmt: skip


if __name__ == "__main__":
    main()
