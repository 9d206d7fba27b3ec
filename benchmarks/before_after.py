"""What a user waits for, at two commits: both are built, and run in turns on the same machine.

Each commit gets a worktree with its kernels built in it; both use the packages of this environment.
A ratio is before / after within one pair of runs, so a machine that becomes slower meanwhile slows
both; the result is the median over the pairs. What each case is:

    whole         `qstore train jobs/digits.toml --workers 0`, from the shell's call to its return
    cold          the same with two workers, on a Ray of its own
    running       a fit of two epochs with two workers, on a Ray that this process has started
    import, help, runs   CPU seconds of a process; those of a bare interpreter are in the result
    search        40 trials of jobs/digits_tune.toml, as benchmarks/tune.py runs them
    long          20,000 steps in one process: its peak memory after 2,000 steps (early), after all
                  of them (late), and when the run has been scored (end)

`first` is the seconds to the first step, `cpu` the CPU seconds of all processes that were waited
for, `driver` and `worker` the peak memory (VmHWM) of the driver and of the largest worker.

Run: python benchmarks/before_after.py [--before COMMIT] [--pairs 7] [--cases whole,cold]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from record import RESULTS, origin, write
from startup import has_step

ROOT = Path(__file__).parents[1]
BEFORE = "bf0bfa40"
"""The last commit before the work on start-up: Ray Train's controller had its own process."""

Measured = dict[str, float]
_FIT = """
import time, tempfile, ray
from qstore_ray import JobConfig, QuantumTrainer, DatasetLoader
ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
job = JobConfig.load("jobs/digits.toml", ["trainer.epochs=2", "trainer.num_workers=2"])
data = DatasetLoader.load(job.dataset)
for name in ("first", "second"):
    began = time.monotonic()
    QuantumTrainer(job.model, job.trainer, name=name, storage=tempfile.mkdtemp(),
                   track=job.track).fit(data)
    print(name, time.monotonic() - began, flush=True)
"""
_LONG = """
import re, tempfile, sys
from qstore_ray import Callback, JobConfig, QuantumTrainer, DatasetLoader
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
class Peak(Callback):
    def on_batch_end(self, run, done):
        if run.state.step in (2000, 20000):
            print("early" if run.state.step == 2000 else "late", peak(), flush=True)
job = JobConfig.load("jobs/digits.toml", ["trainer.epochs=1053", "trainer.num_workers=0",
                     "track.mlflow=false", "track.figures=false"])
QuantumTrainer(job.model, job.trainer, name="long", storage=tempfile.mkdtemp(), track=job.track,
               callbacks=[Peak()]).fit(DatasetLoader.load(job.dataset))
print("end", peak(), flush=True)
"""


def built(commit: str, folder: Path) -> Path:
    """A worktree of the commit with its kernels built."""
    tree = folder / commit
    git = ["git", "-C", str(ROOT), "worktree", "add", "--force", "--detach", str(tree), commit]
    subprocess.run(git, check=True, capture_output=True)
    build = "from setuptools import setup; setup()"
    subprocess.run(
        [sys.executable, "-c", build, "--quiet", "build_ext", "--inplace"],
        cwd=tree, check=True, capture_output=True,
    )  # fmt: skip
    return tree


class Peaks(threading.Thread):
    """The peak memory of a process and of the Ray Train workers below it, MiB, while it runs."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.driver, self.worker = pid, 0.0, 0.0
        self.start()

    def run(self) -> None:
        """Look until the process has ended."""
        while Path(f"/proc/{self.pid}/status").exists():
            self.driver = max(self.driver, _peak(self.pid))
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                if b"TrainWorker" in _read(path):
                    self.worker = max(self.worker, _peak(int(path.parent.name)))
            time.sleep(0.05)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended
        return b""


def _peak(pid: int) -> float:
    lines = _read(Path(f"/proc/{pid}/status")).splitlines()
    return max(
        (int(line.split()[1]) / 1024 for line in lines if line.startswith(b"VmHWM")), default=0.0
    )


def train(tree: Path, workers: int) -> Measured:
    """One `qstore train` of the digits job: seconds, seconds to the first step, CPU, memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "qstore_ray", "train", "jobs/digits.toml", "--quiet", "--local"]
        command += ["--workers", str(workers), "--storage", folder]
        metrics, seen = Path(folder) / "digits" / "metrics.jsonl", 0.0
        spent, began = _cpu(), time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *command], cwd=tree, env=_environment(tree), stdout=subprocess.DEVNULL
        )
        peaks = Peaks(process.pid)
        while process.poll() is None:
            if not seen and metrics.exists() and has_step(metrics):
                seen = time.monotonic() - began
            time.sleep(0.02)
        whole = time.monotonic() - began
        if process.returncode:
            raise SystemExit(f"qstore train failed in {tree}")
    found = {"whole": whole, "first": seen, "cpu": _cpu() - spent, "driver": peaks.driver}
    return found | ({"worker": peaks.worker} if workers else {})


def said(tree: Path, code: str) -> Measured:
    """The numbers that a program prints, a name and a number a line."""
    lines = (line.split() for line in _output(tree, "-c", code))
    return {words[0]: float(words[1]) for words in lines if len(words) == 2}


def cpu(tree: Path, *arguments: str) -> Measured:
    """CPU seconds of a process: the best of three."""
    times = []
    for _ in range(3):
        spent = _cpu()
        subprocess.run(
            [sys.executable, *arguments], cwd=tree, env=_environment(tree), check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        times.append(_cpu() - spent)
    return {"cpu": min(times)}


def search(tree: Path, seed: int) -> Measured:
    """Seconds of a search of 40 trials, and of a trial besides its training."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        lines = _output(tree, "benchmarks/tune.py", "ours", folder, "40", str(seed), "long")
        whole = time.monotonic() - began
    found = json.loads(lines[-1])
    return {"whole": whole, "overhead": (2 * found["span_s"] - found["loops_s"]) / 40}


def _output(tree: Path, *arguments: str) -> list[str]:
    """The lines that a program prints; what it said if it failed."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=_environment(tree), text=True, check=False,
        capture_output=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{arguments[0]} failed in {tree}:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment(tree: Path) -> dict[str, str]:
    own = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **own, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


CASES: dict[str, Callable[[Path, int], Measured]] = {
    "whole": lambda tree, _: train(tree, 0),
    "cold": lambda tree, _: train(tree, 2),
    "running": lambda tree, _: said(tree, _FIT),
    "import": lambda tree, _: cpu(tree, "-c", "import qstore_ray"),
    "help": lambda tree, _: cpu(tree, "-m", "qstore_ray", "--help"),
    "runs": lambda tree, _: cpu(tree, "-m", "qstore_ray", "runs"),
    "search": search,
    "long": lambda tree, _: said(tree, _LONG),
}


def main() -> None:
    """All cases, or those named, in pairs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", default=BEFORE)
    parser.add_argument("--after", default="HEAD")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--cases", default=",".join(CASES))
    options = parser.parse_args()
    cases = options.cases.split(",")
    rows = _other_rows(options.before, cases)
    with ExitStack() as stack:
        stack.callback(_forget_trees)  # after the folder is gone, however this ends
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="qs"))
        trees = [built(commit, Path(folder)) for commit in (options.before, options.after)]
        for case in cases:
            for tree in trees:  # so that none is the first to compile its modules
                CASES[case](tree, 0)
            pairs = [[CASES[case](tree, n) for tree in trees] for n in range(options.pairs)]
            for name in pairs[0][0]:
                both = [(before[name], after[name]) for before, after in pairs]
                ratios = [a / b for a, b in both]
                rows.append({
                    "case": case, "what": name, "ratio": statistics.median(ratios),
                    "lowest": min(ratios), "highest": max(ratios),
                    "before": statistics.median(a for a, _ in both),
                    "after": statistics.median(b for _, b in both),
                    "pairs": both, **origin(),
                })  # fmt: skip
                print({k: v for k, v in rows[-1].items() if k != "pairs"}, flush=True)
    bare = cpu(ROOT, "-c", "pass")["cpu"]
    write("before_after", 0, rows, before=options.before, bare_interpreter_cpu_s=bare)


def _forget_trees() -> None:
    subprocess.run(["git", "-C", str(ROOT), "worktree", "prune"], check=True)


def _other_rows(before: str, cases: list[str]) -> list[dict[str, Any]]:
    """What was measured earlier, of other cases and against the same commit."""
    path = RESULTS / "before_after.json"
    found = json.loads(path.read_text()) if path.exists() else {"summary": {}, "rows": []}
    same = found["summary"].get("before") == before
    return [row for row in found["rows"] if same and row["case"] not in cases]


if __name__ == "__main__":
    main()
