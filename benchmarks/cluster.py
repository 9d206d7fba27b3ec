"""What a cluster costs: seconds to the first step, after a kill, and on every step.

The warm cluster is one of its own, in a temporary state folder. Beside seconds stand those of CPU
time up to the first step, of the command and of the cluster: they say more on a busy machine.

Run: python benchmarks/cluster.py        (about 6 minutes; draws docs/scaling.png, too)
     python benchmarks/cluster.py step   (the step alone, about 3 minutes; writes nothing)
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from record import write

ROOT = Path(__file__).parents[1]
JOB = ROOT / "jobs" / "digits.toml"
SEED, QUBITS, BATCH, EPOCHS, UNSTEADY = 7, 12, 256, 35, 5
WARM, COLD, KILLS, PAIRS = 5, 2, 3, 5
LONGEST = 120.0
STATE = "QSTORE_BENCHMARK_STATE"
WORDS = (sys.executable, "-m", "qstore_ray")


def steps(metrics: Path) -> int:
    """How many steps and epochs the file has."""
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    found = 0
    for line in lines:
        with suppress(ValueError):  # half a line
            found += json.loads(line)["event"] in ("step", "epoch")
    return found


def wait_until(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> float:
    """Seconds until it is true."""
    began = time.monotonic()
    while not true():
        if process.poll() is not None or time.monotonic() - began > LONGEST:
            raise SystemExit(f"it did not come to a step: exit code {process.poll()}")
        time.sleep(0.01)
    return time.monotonic() - began


def cpu_of(processes: list[psutil.Process]) -> float:
    """Seconds of CPU time of these processes and of those that they have waited for."""
    spent = 0.0
    for process in processes:
        with suppress(psutil.Error):
            spent += sum(process.cpu_times()[:4])
    return spent


def of_cluster(environment: dict[str, str]) -> list[psutil.Process]:
    """The processes of this benchmark's warm cluster."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(STATE) == environment[STATE]:
                found.append(process)
    return found


@contextmanager
def training(environment: dict[str, str], folder: Path, *words: str) -> Iterator[Any]:
    """The command in a process, and the file of its metrics; ended after the block."""
    command = [*WORDS, "train", str(JOB), "--quiet", "--storage", str(folder), *words]
    own = {name: value for name, value in environment.items() if name != STATE}
    process = subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL)
    try:
        yield process, folder / "digits" / "metrics.jsonl"
        process.wait(LONGEST)
    finally:
        process.kill()
        process.wait()


def first_step(environment: dict[str, str], *words: str) -> dict[str, float]:
    """From the command to its first step: seconds, and CPU time of the command and the cluster."""
    with tempfile.TemporaryDirectory() as folder:
        before = cpu_of(of_cluster(environment))
        with training(
            environment, Path(folder), "--workers", "2", "--set", "trainer.epochs=2", *words
        ) as (process, metrics):
            seconds = wait_until(lambda: steps(metrics) > 0, process)
            command = cpu_of([psutil.Process(process.pid)])
            cluster = cpu_of(of_cluster(environment)) - before
    return {"seconds": seconds, "command_cpu_s": command, "cluster_cpu_s": cluster}


def submitted(environment: dict[str, str], dashboard: str, number: int) -> float:
    """From `qstore submit` to the first step of its job, seconds."""
    own = {name: value for name, value in environment.items() if name != STATE}
    own |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_of(environment)}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(*WORDS, "submit", str(JOB), "--address", dashboard, "--storage", folder),
            *("--id", f"benchmark-{number}", "--", "--set", "trainer.epochs=2"),
        ]
        process = subprocess.Popen(
            command, env=own, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        metrics = Path(folder) / "digits" / "metrics.jsonl"
        try:
            seconds = wait_until(lambda: steps(metrics) > 0, process)
            process.wait(LONGEST)
        finally:
            process.kill()
            process.wait()
    return seconds


def token_of(environment: dict[str, str]) -> str:
    """The token of the warm cluster."""
    (file,) = Path(environment["XDG_STATE_HOME"]).rglob("token")
    return file.read_text()


def recovery(environment: dict[str, str]) -> float:
    """From the kill of a worker in the middle of a training to the next step, seconds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        training(environment, Path(folder), "--workers", "2", "--set", "trainer.epochs=400") as (
            process,
            metrics,
        ),
    ):
        wait_until(lambda: steps(metrics) > 3, process)
        workers = [
            found
            for found in of_cluster(environment)
            if "RayTrainWorker" in " ".join(found.cmdline())
        ]
        workers[-1].kill()
        time.sleep(0.2)  # a step that was under way is written
        before = steps(metrics)
        seconds = 0.2 + wait_until(lambda: steps(metrics) > before, process)
        process.terminate()
    return seconds


# ---------------------------------------------------------------------------------------- a step


def step_seconds(workers: int, batch: int, name: str) -> float:
    """Seconds of a step while a training runs steadily, ends of epochs with them."""
    from qstore_ray import (
        ClusterConfig,
        DatasetLoader,
        ModelConfig,
        QuantumTrainer,
        TrackConfig,
        TrainerConfig,
    )
    from qstore_ray.train.request import RunRequest

    rows = batch * 16
    x = np.random.default_rng(SEED).uniform(0, np.pi, (rows, QUBITS))
    dataset = DatasetLoader.from_arrays(
        x, (x[:, 0] > np.pi / 2).astype(int), split={"train": 0.9, "val": 0.1}
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = QuantumTrainer(
            ModelConfig(
                n_qubits=QUBITS, layers=4, ansatz="hardware_efficient", observables="z"
            ),
            TrainerConfig(epochs=EPOCHS, batch_size=batch, num_workers=workers, seed=SEED),
            name=name, storage=folder, cluster=ClusterConfig(),
            track=TrackConfig(mlflow=False, figures=False),
        )  # fmt: skip
        history = trainer.run(dataset, RunRequest(threads=1)).history
    first, last = history[UNSTEADY], history[-1]
    return (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])


def side_by_side(_: int) -> float:
    """A step of the loop on half a batch, without Ray, in one of two processes at once."""
    return step_seconds(0, BATCH // 2, "bare")


def joined(rank: int, address: dict[str, Any]) -> float:
    """A step of the loop without Ray, in one of two processes that share the batch and add up."""
    from qstore_ray.train import trainer
    from qstore_ray.train.loop.reducer import CollectiveReducer, collective

    with collective(address, rank):
        trainer.LocalReducer = lambda: CollectiveReducer(rank, 2)  # type: ignore[misc]
        if not rank:
            return step_seconds(0, BATCH, "joined")
        with suppress(AssertionError):  # that there is no checkpoint: worker 0 writes them
            step_seconds(0, BATCH, "joined")
        return 0.0


def add_up(rank: int, address: dict[str, Any], size: int, times: int) -> float:
    """Median seconds of an all-reduce of so many numbers, in one of several processes."""
    from qstore_ray.train.loop.reducer import CollectiveReducer, collective

    with collective(address, rank):
        reducer = CollectiveReducer(rank, address["n_workers"])
        values, taken = np.ones(size), []
        for _ in range(times):
            began = time.perf_counter()
            reducer.all_reduce(values)
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def all_reduce_seconds(workers: int, size: int) -> float:
    """Median seconds of an all-reduce between so many processes of this machine."""
    from qstore_ray.train.loop.reducer import start_tracker

    address = start_tracker(workers, "127.0.0.1")
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers) as pool:
        words = [(rank, address, size, 300) for rank in range(workers)]
        return statistics.median(pool.starmap(add_up, words, chunksize=1))


def step_rows() -> list[dict[str, Any]]:
    """A step of two processes without Ray: apart, and joined; and one of two workers of Ray."""
    from qstore_ray.train.loop.reducer import start_tracker

    context, rows = multiprocessing.get_context("spawn"), []
    for number in range(PAIRS):
        with context.Pool(2) as pool:
            bare = statistics.mean(pool.map(side_by_side, range(2), chunksize=1))
        address = start_tracker(2, "127.0.0.1")
        with context.Pool(2) as pool:
            both = pool.starmap(joined, [(rank, address) for rank in range(2)], chunksize=1)
        on_ray = step_seconds(2, BATCH, f"ray-{number}")
        rows.append(
            {
                "what": "step", "bare_s": bare, "joined_s": both[0], "ray_s": on_ray,
                "overhead": on_ray / bare - 1, "overhead_of_ray": on_ray / both[0] - 1,
            }
        )  # fmt: skip
    return rows


# ---------------------------------------------------------------------------------- weak scaling


def weak_scaling(step: float, by_workers: dict[int, float], wire: float) -> list[dict[str, float]]:
    """Efficiency for up to 256 workers of half a batch each, by the model of docs/scaling.md.

    Args:
        step: seconds of a worker's own part of a step.
        by_workers: measured seconds of an all-reduce.
        wire: seconds that a message takes more between machines than inside one.
    """
    hop = statistics.median(taken / (2 * (count - 1)) for count, taken in by_workers.items())
    rows = []
    for workers in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        ring = 2 * (workers - 1) * (hop + wire)
        tree = 2 * np.log2(workers) * (hop + wire)
        rows.append(
            {
                "workers": workers,
                "ring_efficiency": step / (step + ring),
                "tree_efficiency": step / (step + tree),
            }
        )
    return rows


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """The plot of docs/scaling.md."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    workers = [row["workers"] for row in rows]
    for name, style in (("ring", "o-"), ("tree", "s--")):
        axes.plot(workers, [row[f"{name}_efficiency"] for row in rows], style, label=name)
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("workers, 128 rows a step each")
    axes.set_ylabel("efficiency, simulated")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """All of it, in one run; or the step alone."""
    if sys.argv[1:] == ["step"]:
        for row in step_rows():
            print(row)
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="qb-") as state:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "XDG_STATE_HOME": state, STATE: state, "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        up = [*WORDS, "cluster", "up", "--json"]
        told = subprocess.run(up, env=environment, check=False, capture_output=True, text=True)
        if told.returncode:
            raise SystemExit(told.stderr)
        dashboard = json.loads(told.stdout.splitlines()[-1])["dashboard"]
        try:
            time.sleep(10)
            for kind, times, words in (("warm", WARM, ()), ("cold", COLD, ("--local",))):
                for _ in range(times):
                    rows.append({"what": kind, **first_step(environment, *words)})
                    time.sleep(4)  # workers for the next one start
            rows += [{"what": "recovery", "seconds": recovery(environment)} for _ in range(KILLS)]
            rows += [
                {"what": "submit", "seconds": submitted(environment, dashboard, number)}
                for number in range(KILLS)
            ]
        finally:
            subprocess.run([*WORDS, "cluster", "down"], env=environment, check=False)
    rows += step_rows()
    by_workers = {count: all_reduce_seconds(count, 64) for count in (2, 3, 4)}
    rows += [
        {"what": "all-reduce", "workers": count, "seconds": taken}
        for count, taken in by_workers.items()
    ]
    bare = median(rows, "step", "bare_s")
    scaling = weak_scaling(bare, by_workers, wire=30e-6)
    draw(scaling, ROOT / "docs" / "scaling.png")
    rows += [{"what": "weak scaling", **row} for row in scaling]
    warm, cold = median(rows, "warm", "seconds"), median(rows, "cold", "seconds")
    write(
        "cluster", SEED, rows, warm_first_step_s=warm, cold_first_step_s=cold,
        sooner=cold / warm, submit_first_step_s=median(rows, "submit", "seconds"),
        recovery_s=median(rows, "recovery", "seconds"), overhead=median(rows, "step", "overhead"),
        overhead_of_ray=median(rows, "step", "overhead_of_ray"),
        target="warm 3 s and 5 times sooner than cold, submit 8 s, recovery 8 s, overhead 0.05",
    )  # fmt: skip


def median(rows: list[dict[str, Any]], what: str, name: str) -> float:
    """Of all rows of a kind."""
    return statistics.median(row[name] for row in rows if row["what"] == what)


if __name__ == "__main__":
    main()
