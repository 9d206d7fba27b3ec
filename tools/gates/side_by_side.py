"""`make check`: all gates side by side, as many at a time as there are processors.

mypy takes longer than all others together, so it begins first and they run beside it. What a gate
prints is shown when it ends, in one piece. All of them run to their end: a change that breaks two
rules hears of both at once. The exit code is 1 if one of them failed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple

from tools.gates.source import ROOT

CHECKS: Final = (
    "mypy --strict",
    "python -m tools.gates",
    "lint-imports --no-logo",
    "ruff check .",
    "ruff format --check .",
)
"""The gates, programs of the environment, the longest first; the pre-commit hooks are the same."""

_SECONDS: Final = 1800.0


class Outcome(NamedTuple):
    """What a gate printed on stdout and stderr, its exit code, and the seconds that it took."""

    command: str
    output: str
    code: int
    seconds: float


def run_all(commands: Sequence[str] = CHECKS, processes: int | None = None) -> int:
    """Run the commands, and print what they print; 1 if one of them failed.

    Args:
        processes: how many run at a time; None for as many as there are processors.
    """
    failed = []
    with ThreadPoolExecutor(processes or os.cpu_count() or 1) as pool:
        running = [pool.submit(_run, command) for command in commands]
        for done in as_completed(running, timeout=_SECONDS):
            outcome = done.result()
            print(f"+ {outcome.command}  ({outcome.seconds:.1f} s)", flush=True)
            print(outcome.output, end="", flush=True)
            if outcome.code:
                failed.append(f"{outcome.command} (exit code {outcome.code})")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _run(command: str) -> Outcome:
    program, *arguments = shlex.split(command)
    began = time.perf_counter()
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=_SECONDS,
    )  # fmt: skip
    return Outcome(command, done.stdout, done.returncode, time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(run_all())
