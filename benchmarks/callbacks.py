"""What watching a training costs: callbacks, trackers and logging, at n = 8, B = 256.

All in one process with one thread for the engine, so that trackers' threads compete with the loop
for Python's interpreter lock, as they do in every training without workers. Four measurements:

- step: what the hooks and the run's journal take at every step, of all the loop takes, with every
  built-in callback in use (target: below 3 %); and what they take at the end of an epoch, where
  files are written and flushed to the disk. In processor time of the loop's thread, which other
  programs on the machine change little, and beside it in wall time.
- pairs: short trainings with and without, in turns: speed with over speed without, for MLflow
  (sqlite) and TensorBoard (target: at least 0.99) and for these with every callback. As medians and
  quartiles over the pairs, of wall time and of *own* time: wall time less the time in which the
  loop's thread could have run but other programs had the processor (Linux counts it). A wait for
  the disk or for the interpreter's lock is own time.
- first: the same for the first training of a process and of a folder of runs, where MLflow is
  imported and makes its database: own seconds by which that delays the loop. In fresh processes.
- soak: growth of resident memory over 20,000 steps with all of it on (target: below 1 kB a step).

Run: python benchmarks/callbacks.py [--pairs 9] [--first 3] [--steps 20000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from record import write

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.train.callbacks import Callback
from qstore_ray.train.loop import hooks, loop
from qstore_ray.train.run import recorder

SEED, ROWS, BATCH, EPOCHS = 7, 60_160, 256, 4
MODEL = ModelConfig(n_qubits=8, layers=3)
WATCHED: list[dict[str, Any]] = [
    {"name": "budget", "circuits": 10**15},
    {"name": "convergence_monitor"},
    {"name": "early_stopping", "patience": 10**6},
    {"name": "gradient_stats"},
    {"name": "learning_rate_monitor", "every": 1},
    {"name": "metrics_logger"},
    {"name": "model_checkpoint", "best": 2, "last": True},
    {"name": "timer"},
]
ON = TrackConfig(mlflow=True, tensorboard=True, figures=False)
OFF = TrackConfig(mlflow=False, figures=False)
ARMS: dict[str, tuple[TrackConfig, list[dict[str, Any]]]] = {
    "bare": (OFF, []),
    "trackers": (ON, []),
    "trackers and callbacks": (ON, WATCHED),
}


class Seconds(NamedTuple):
    """Seconds of a thread so far, or between two such moments.

    Attributes:
        wall: passed. processor: computed. queued: ready to compute, but another program did.
    """

    wall: float
    processor: float
    queued: float

    @classmethod
    def now(cls) -> Self:
        """Of this thread."""
        queued = int(Path("/proc/thread-self/schedstat").read_text().split()[1])
        return cls(time.perf_counter(), time.thread_time(), queued / 1e9)

    def since(self, before: Seconds) -> Seconds:
        """What passed between."""
        return Seconds(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def own(self) -> float:
        """What it would take if nothing else ran."""
        return self.wall - self.queued


class Clock:
    """Adds up the seconds spent inside functions."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    def around(self, owner: type, name: str, wanted: Callable[[str], object] = str.strip) -> None:
        """Time every call of a method from now on, that is `wanted` by its first argument."""
        inner = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            if not wanted(str(arguments[1]) if isinstance(arguments[1], str) else name):
                return inner(*arguments, **options)
            wall, processor = time.perf_counter(), time.thread_time()
            try:
                return inner(*arguments, **options)
            finally:
                self.processor += time.thread_time() - processor
                self.wall += time.perf_counter() - wall

        setattr(owner, name, timed)


class Loops:
    """The seconds of every training loop that runs from now on, in its thread."""

    def __init__(self) -> None:
        self.seconds: list[Seconds] = []
        inner = loop.run

        def timed(*arguments: Any) -> Any:
            before = Seconds.now()
            outcome = inner(*arguments)
            self.seconds.append(Seconds.now().since(before))
            return outcome

        loop.run = timed


class Memory(Callback):
    """Notes the resident memory of this process every 100 steps."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_batch_end(self, run: Any, batch: Any) -> None:
        """Append step and bytes."""
        if run.state.step % 100 == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            with self.path.open("a") as file:
                file.write(f"{run.state.step} {pages * os.sysconf('SC_PAGE_SIZE')}\n")


def data() -> Dataset:
    """Rows of four classes that two of eight features tell apart."""
    rng = np.random.default_rng(SEED)
    x = rng.uniform(0, np.pi, (ROWS * 10 // 9, 8))
    y = (x[:, 0] > np.pi / 2) * 2 + (x[:, 1] > np.pi / 2)
    return DatasetLoader.from_arrays(x, y, split={"train": 0.9, "val": 0.1})


def fit(
    dataset: Dataset, folder: str, name: str, arm: str, *more: Callback, **options: Any
) -> dict[str, float]:
    """Metrics of one run."""
    track, callbacks = ARMS[arm]
    usual = {"batch_size": BATCH, "epochs": EPOCHS, "callbacks": callbacks}
    config = TrainerConfig(seed=SEED, backend_options={"threads": 1}, **{**usual, **options})
    trainer = QuantumTrainer(
        MODEL, config, name=name, storage=folder, track=track, callbacks=list(more)
    )
    return dict(trainer.fit(dataset).metrics)


def step_rows(dataset: Dataset, folder: str, loops: Loops) -> list[dict[str, Any]]:
    """Hooks and journal, at every step and at the end of an epoch; leaves its clocks in place."""
    each, ends = Clock(), Clock()
    each.around(hooks.Hooks, "__call__", lambda called: called.startswith("on_batch"))
    each.around(recorder.Recorder, "step")
    ends.around(hooks.Hooks, "__call__", lambda called: not called.startswith("on_batch"))
    for name in ("epoch", "save"):
        ends.around(recorder.Recorder, name)
    fit(dataset, folder, "timed", "trackers and callbacks", epochs=2 * EPOCHS)
    whole, epochs = loops.seconds[-1], 2 * EPOCHS
    return [
        {"measured": "share of the loop in hooks and journal of a step",
         "value": each.processor / whole.processor, "of_wall": each.wall / whole.wall,
         "us_a_step": 1e6 * each.processor / (epochs * ROWS / BATCH), "target": 0.03},
        {"measured": "hooks and journal at the end of an epoch, ms",
         "value": 1e3 * ends.processor / epochs, "of_wall": 1e3 * ends.wall / epochs,
         "epoch_ms": 1e3 * whole.processor / epochs},
    ]  # fmt: skip


def pair_rows(dataset: Dataset, folder: str, loops: Loops, pairs: int) -> list[dict[str, Any]]:
    """Speeds with over without, in turns; one training of each goes before and does not count."""
    found: dict[str, list[Seconds]] = {arm: [] for arm in ARMS}
    for number in range(pairs + 1):
        order = list(ARMS) if number % 2 else list(ARMS)[::-1]
        for arm in order:
            fit(dataset, folder, f"{arm.replace(' ', '-')}{number}", arm)
            found[arm].append(loops.seconds[-1])
    rows = []
    bare = found.pop("bare")[1:]
    for arm, all_seconds in found.items():
        seconds = list(zip(bare, all_seconds[1:], strict=True))
        own = np.quantile(
            [without.own / with_.own for without, with_ in seconds], (0.25, 0.5, 0.75)
        )
        wall = np.quantile([without.wall / with_.wall for without, with_ in seconds], 0.5)
        rows.append(
            {"measured": f"speed with {arm} over without", "value": float(own[1]),
             "quartiles": [float(own[0]), float(own[2])], "of_wall": float(wall),
             **({"target": 0.99} if arm == "trackers" else {})}
        )  # fmt: skip
    return rows


def first_row(times: int) -> dict[str, Any]:
    """By how much MLflow's import and its new database delay the first loop of a process."""
    command = [sys.executable, __file__, "--only-first"]
    found = {}
    for arm in ("bare", "trackers"):
        found[arm] = [
            json.loads(subprocess.run([*command, arm], check=True, stdout=subprocess.PIPE).stdout)
            for _ in range(times)
        ]
    own = {arm: float(np.median([one["own"] for one in some])) for arm, some in found.items()}
    waited = [one["own"] - one["processor"] for one in found["trackers"]]
    return {
        "measured": "own seconds by which a first start of MLflow delays the loop",
        "value": own["trackers"] - own["bare"], "of_them_waiting": float(np.median(waited)),
        "loop_s": own["bare"],
    }  # fmt: skip


def only_first(arm: str) -> None:
    """In a fresh process: print the seconds of a loop, after one that loads the engine."""
    loops, dataset = Loops(), data()
    with tempfile.TemporaryDirectory() as folder:
        fit(dataset, folder, "load", "bare", epochs=1)
        fit(dataset, folder, "first", arm, epochs=2 * EPOCHS)
    print(json.dumps({**loops.seconds[-1]._asdict(), "own": loops.seconds[-1].own}))


def soak(folder: str, steps: int) -> float:
    """Bytes a step by which memory grows, as a line through the second half of a long run."""
    rng = np.random.default_rng(SEED)
    x = rng.uniform(0, np.pi, (2000, 8))
    few = DatasetLoader.from_arrays(x, (x[:, 0] > 1.5) * 1, split={"train": 0.8, "val": 0.2})
    path = Path(folder) / "memory"
    fit(few, folder, "soak", "trackers and callbacks", Memory(path), batch_size=16,
        epochs=steps // 100)  # fmt: skip
    step, resident = np.loadtxt(path).T
    late = step > steps / 2
    return float(np.polyfit(step[late], resident[late], 1)[0])


def main() -> None:
    """Measure all four."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9, help="of trainings; 0 leaves them out")
    parser.add_argument("--first", type=int, default=3, help="fresh processes; 0 leaves them out")
    parser.add_argument("--steps", type=int, default=20_000, help="of the soak; 0 leaves it out")
    parser.add_argument("--only-first", choices=ARMS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only_first:
        only_first(asked.only_first)
        return
    loops, dataset, rows = Loops(), data(), []
    with tempfile.TemporaryDirectory() as folder:
        if asked.pairs:
            rows += pair_rows(dataset, folder, loops, asked.pairs)
        if asked.first:
            rows.append(first_row(asked.first))
        if asked.steps:
            rows.append(
                {"measured": "memory growth, bytes a step", "value": soak(folder, asked.steps),
                 "target": 1000.0}
            )  # fmt: skip
        rows = step_rows(dataset, folder, loops) + rows
    write("callbacks", SEED, rows, qubits=8, batch=BATCH, pairs=asked.pairs, first=asked.first,
          soak_steps=asked.steps)  # fmt: skip


if __name__ == "__main__":
    main()
