"""Trains a job against the stand-in of IBM's service, and says what was paid.

    python -m tests.ibm.train_job jobs/digits_ibm.toml

The service runs in a process of its own and is stopped at the end. Home, accounts, ledger and runs
are in a new folder, so nothing of the user's is read or written.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.ibm.launch import ROOT, in_process

ENOUGH = 0.95
POLICY = "trainer.backend_options.policy"
QUICK = ["--set", f"{POLICY}.first_poll=0.05", "--set", f"{POLICY}.longest_poll=0.5"]
"""The stand-in has the result of a job in a moment; a device would be asked less often."""


def main(job: str, changes: list[str]) -> int:
    """Train, and print the result, the jobs and the billed seconds; 1 if it is not good enough."""
    with tempfile.TemporaryDirectory(prefix="ibm-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        with in_process() as ibm:
            environment = {
                k: v for k, v in os.environ.items() if not k.startswith(("QISKIT_IBM_", "XDG_"))
            }
            environment |= ibm.environment(folder / "home") | {"PYTHONPATH": str(ROOT)}
            (folder / "home").mkdir()
            storage = ["--storage", str(folder / "runs"), "--name", "on-ibm", "--json"]
            command = [sys.executable, "-m", "qstore_ray", "train", job, *storage, *QUICK, *changes]
            done = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
            )
            if done.returncode:
                return done.returncode
            metrics = json.loads(done.stdout)
            jobs = ibm.accepted()
            executions = sum(each.executions for each in jobs.values())
            accuracy = metrics["test_accuracy"]
            print(f"test accuracy   {accuracy:.3f}")
            print(f"jobs            {len(jobs)}, {executions:,} executions")
            print(f"billed seconds  {ibm.usage():.1f}")
            return int(accuracy < ENOUGH)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
