"""What watching a training costs: callbacks, trackers and logging, at n = 8, B = 256.

Three measurements, all in one process with one thread for the engine:

- step: seconds inside callbacks' hooks and the run's journal at every step, over all seconds of the
  loop, with every built-in callback in use (target: below 3 %); and what they take at the end of an
  epoch, where files are written and flushed to the disk, in milliseconds;
- epoch: the loop's speed with MLflow (sqlite) and TensorBoard following, over the speed without,
  in turns (target: at least 0.99);
- soak: growth of resident memory over 20,000 steps with all of it on (target: below 1 kB a step).

Run: python benchmarks/callbacks.py [--steps 20000]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import write

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.data.dataset import Dataset
from qstore_ray.train import hooks, recorder
from qstore_ray.train.callbacks import Callback

SEED, ROWS, BATCH, EPOCHS, ROUNDS = 7, 60_160, 256, 10, 5
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


class Clock:
    """Adds up the seconds spent inside functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, owner: type, name: str, wanted: Callable[[str], object] = str.strip) -> None:
        """Time every call of a method from now on, that is `wanted` by its first argument."""
        inner = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            if not wanted(str(arguments[1])):
                return inner(*arguments, **options)
            began = time.perf_counter()
            try:
                return inner(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - began

        setattr(owner, name, timed)


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


def fit(
    dataset: Dataset, folder: str, name: str, track: TrackConfig, *more: Callback, **options: Any
) -> dict[str, float]:
    """Metrics of one run."""
    usual = {"batch_size": BATCH, "epochs": EPOCHS}
    config = TrainerConfig(seed=SEED, backend_options={"threads": 1}, **{**usual, **options})
    trainer = QuantumTrainer(
        MODEL, config, name=name, storage=folder, track=track, callbacks=list(more)
    )
    return dict(trainer.fit(dataset).metrics)


def epoch_ratios(dataset: Dataset, folder: str) -> list[float]:
    """Speed with trackers and callbacks over speed without, in turns."""
    ratios = []
    for number in range(ROUNDS):
        bare = fit(dataset, folder, f"bare{number}", OFF)
        full = fit(dataset, folder, f"full{number}", ON, callbacks=WATCHED)
        ratios.append(full["samples_per_second"] / bare["samples_per_second"])
    return ratios


def soak(folder: str, steps: int) -> float:
    """Bytes a step by which memory grows, as a line through the second half of a long run."""
    rng = np.random.default_rng(SEED)
    x = rng.uniform(0, np.pi, (2000, 8))
    data = DatasetLoader.from_arrays(x, (x[:, 0] > 1.5) * 1, split={"train": 0.8, "val": 0.2})
    path = Path(folder) / "memory"
    fit(data, folder, "soak", ON, Memory(path), batch_size=16, epochs=steps // 100,
        callbacks=WATCHED)  # fmt: skip
    step, resident = np.loadtxt(path).T
    late = step > steps / 2
    return float(np.polyfit(step[late], resident[late], 1)[0])


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20_000, help="of the soak; 0 leaves it out")
    steps = parser.parse_args().steps
    rng = np.random.default_rng(SEED)
    x = rng.uniform(0, np.pi, (ROWS * 10 // 9, 8))
    y = (x[:, 0] > np.pi / 2) * 2 + (x[:, 1] > np.pi / 2)
    dataset = DatasetLoader.from_arrays(x, y, split={"train": 0.9, "val": 0.1})
    with tempfile.TemporaryDirectory() as folder:
        ratios = epoch_ratios(dataset, folder)
        each, ends = Clock(), Clock()
        each.around(hooks.Hooks, "__call__", lambda called: called.startswith("on_batch"))
        each.around(recorder.Recorder, "step")
        ends.around(hooks.Hooks, "__call__", lambda called: not called.startswith("on_batch"))
        for name in ("epoch", "save"):
            ends.around(recorder.Recorder, name)
        full = fit(dataset, folder, "timed", ON, callbacks=WATCHED)
        loop_seconds = EPOCHS * ROWS / full["samples_per_second"]
        rows = [
            {"measured": "share of the loop in hooks and journal of a step",
             "value": each.seconds / loop_seconds, "target": 0.03},
            {"measured": "hooks and journal at the end of an epoch, ms",
             "value": 1e3 * ends.seconds / EPOCHS, "epoch_ms": 1e3 * loop_seconds / EPOCHS},
            {"measured": "speed with over without trackers and callbacks",
             "value": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios),
             "target": 0.99},
        ]  # fmt: skip
        if steps:
            rows.append(
                {"measured": "memory growth, bytes a step", "value": soak(folder, steps),
                 "target": 1000.0}
            )  # fmt: skip
    write("callbacks", SEED, rows, qubits=8, batch=BATCH, soak_steps=steps)


if __name__ == "__main__":
    main()
