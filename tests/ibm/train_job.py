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
from typing import Any

from tests.ibm.launch import ROOT, in_process

ENOUGH = 0.95
OF_THE_USER = ("QISKIT_IBM_", "XDG_", "MLFLOW_", "RAY_ADDRESS")
POLICY = "trainer.backend_options.policy"
QUICK = ["--set", f"{POLICY}.first_poll=0.05", "--set", f"{POLICY}.longest_poll=0.5"]
"""The stand-in has the result of a job in a moment; a device would be asked less often."""


def main(job: str, changes: list[str]) -> int:
    """Train, and print result, jobs and billed seconds; 1 if the result or the forecast is bad."""
    with tempfile.TemporaryDirectory(prefix="ibm-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        with in_process() as ibm:
            environment = {k: v for k, v in os.environ.items() if not k.startswith(OF_THE_USER)}
            environment |= ibm.environment(folder / "home") | {"PYTHONPATH": str(ROOT)}
            (folder / "home").mkdir()
            own = ["--storage", str(folder / "runs"), "--name", "on-ibm"]

            def qstore(*words: str) -> dict[str, Any]:
                command = [sys.executable, "-m", "qstore_ray", *words, "--json", *QUICK, *changes]
                done = subprocess.run(
                    command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
                    check=False,
                )  # fmt: skip
                if done.returncode:
                    sys.exit(done.returncode)
                answer: dict[str, Any] = json.loads(done.stdout)
                return answer

            forecast = qstore("estimate", job)["hardware"]["total"]
            accuracy = qstore("train", job, *own)["test_accuracy"]
            jobs = ibm.accepted()
            executions = sum(each.executions for each in jobs.values())
            print(  # noqa: T201 - what it is run for
                f"test accuracy   {accuracy:.3f}\n"
                f"jobs            {len(jobs)}, forecast {forecast['jobs']}\n"
                f"executions      {executions:,}, forecast {forecast['executions']:,}\n"
                f"billed seconds  {ibm.usage():.1f}, forecast {forecast['billed_seconds']:.1f}"
            )
            is_exact = (len(jobs), executions) == (forecast["jobs"], forecast["executions"])
            return int(accuracy < ENOUGH or not is_exact)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
