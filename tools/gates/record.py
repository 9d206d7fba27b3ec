"""Time and memory of the main job and of some tests, against the last record, as ratios.

Time is CPU time, divided by that of a fixed loop that runs in between, so that another machine, or
a busy one, can be compared with the record. Each is run several times, and the smallest counts:
disturbances only add. A ratio over `LARGEST` fails; `make record` writes a new record, for a change
that is worth its price.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypedDict

from tools.gates.score.history import git
from tools.gates.source import ROOT

FILE: Final = Path(__file__).with_name("record.json")
LARGEST: Final = 1.25
"""The largest ratio of time or memory to the record."""
REPEATS: Final = 3
_SECONDS: Final = 600.0

CALIBRATION: Final = """
import numpy as np
x = np.linspace(0.0, 1.0, 4096)
total = 0.0
for i in range(12000):
    total += float(np.cos(x * i).sum())
for i in range(3000000):
    total += i % 7
"""
"""Python and numpy in about equal parts; about a second of CPU time, with the imports."""

_PYTHON = (sys.executable, "-W", "ignore")
_PYTEST: Final = f"import os, sys, pytest; os.chdir({str(ROOT)!r}); sys.exit(pytest.main())"
WORK: Final = {
    "main job": (
        *_PYTHON, "-m", "qstore_ray", "train", str(ROOT / "jobs" / "digits.toml"),
        "--set", "trainer.num_workers=0", "--fresh",
    ),
    "tests": (
        *_PYTHON, "-c", _PYTEST, "-q", "-p", "no:cacheprovider", "-m", "not slow",
        *(f"tests/unit/{room}" for room in ("circuits", "learn/test_model.py")),
        *(f"tests/unit/simulate/test_{name}.py" for name in ("engines", "program", "states")),
    ),
}  # fmt: skip
"""What is measured; each in a new folder, with one thread."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Cost(TypedDict):
    """CPU time in loops of the calibration, and the peak of memory in MiB."""

    loops: float
    mib: float


class Record(TypedDict):
    """What was measured, at which commit, and how many CPU seconds a loop took there."""

    commit: str
    loop_seconds: float
    work: dict[str, Cost]


class Run(NamedTuple):
    """One run of a program: CPU seconds with its children, and MiB of the largest process."""

    seconds: float
    mib: float


_LAUNCH: Final = """
import json, os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=2)
_, status, used = os.wait4(child.pid, 0)
code = os.waitstatus_to_exitcode(status)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""
"""Starts a program from a small process: its peak of memory begins at that of its parent."""


def run_once(command: Sequence[str]) -> Run:
    """Run a program in an empty folder.

    Raises:
        RuntimeError: it failed; the end of its output is in the message.
        TimeoutExpired: it takes more than ten minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-S", "-c", _LAUNCH, *command],
            cwd=folder,
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=_SECONDS,
        )
    code, seconds, peak = json.loads(done.stdout)
    if code:
        raise RuntimeError(f"{' '.join(command[:6])} … ended with {code}: {done.stderr[-2000:]}")
    return Run(seconds, peak / (1024.0**2 if sys.platform == "darwin" else 1024.0))


def measure(
    work: dict[str, tuple[str, ...]] = WORK, repeats: int = REPEATS, root: Path = ROOT
) -> Record:
    """Run everything several times, in turns with the calibration.

    Raises:
        RuntimeError: a program failed.
        CalledProcessError: git fails in `root`.
    """
    loop = (sys.executable, "-c", CALIBRATION)
    loops, runs = [run_once(loop)], dict[str, list[Run]]()
    for _ in range(repeats):
        for name, command in work.items():
            runs.setdefault(name, []).append(run_once(command))
            loops.append(run_once(loop))
    seconds = min(each.seconds for each in loops)
    costs = {
        name: Cost(
            loops=round(min(each.seconds for each in some) / seconds, 3),
            mib=round(min(each.mib for each in some), 1),
        )
        for name, some in runs.items()
    }
    commit = git(root, "log", "-1", "--format=%h")
    return Record(commit=commit, loop_seconds=round(seconds, 3), work=costs)


def read_record(file: Path = FILE) -> Record | None:
    """The last record; None if there is none."""
    if not file.exists():
        return None
    record: Record = json.loads(file.read_text(encoding="utf-8"))
    return record


def write_record(record: Record, file: Path = FILE) -> None:
    """Make this the record."""
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


class Ratio(NamedTuple):
    """One quantity beside its record."""

    name: str
    before: float
    now: float

    @property
    def ratio(self) -> float:
        """Now over before."""
        return self.now / self.before

    @property
    def is_too_large(self) -> bool:
        """Whether it has grown by more than is allowed."""
        return self.ratio > LARGEST

    def __str__(self) -> str:
        verdict = f"over {LARGEST}" if self.is_too_large else "ok"
        return f"{self.name}: {self.before} → {self.now}, ratio {self.ratio:.2f} ({verdict})"


def ratios(record: Record, now: Record) -> list[Ratio]:
    """Time and memory of everything that both have measured."""
    found = []
    for name, before in record["work"].items():
        if name in now["work"]:
            after = now["work"][name]
            found.append(Ratio(f"time of {name}, in loops", before["loops"], after["loops"]))
            found.append(Ratio(f"memory of {name}, in MiB", before["mib"], after["mib"]))
    return found


def check_record(now: Record, file: Path = FILE) -> int:
    """Print the ratios; 1 if one is too large, or if there is nothing to compare with."""
    record = read_record(file)
    if record is None:
        print("There is no record. Type `make record` to write one.")
        return 1
    found = ratios(record, now)
    print(f"Record of commit {record['commit']}; a loop took {now['loop_seconds']} CPU seconds.")
    print(*found, sep="\n")
    if any(each.is_too_large for each in found):
        print("Find out why, or type `make record` if the change is worth it.")
        return 1
    return 0
