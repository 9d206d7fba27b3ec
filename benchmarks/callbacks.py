"""What watching a training costs: callbacks, trackers and logging, at n = 8, B = 256.

Three measurements, all in one process with one thread for the engine:

- share: seconds inside callbacks' hooks and the run's journal, over all seconds of the loop, with
  every built-in callback in use (target: below 3 % of a step);
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
from pathlib import Path
from typing import Any

import numpy as np
from record import write

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.data.dataset import Dataset
from qstore_ray.train import hooks, recorder
from qstore_ray.train.callbacks import Callback

SEED, ROWS, BATCH, EPOCHS, ROUNDS = 7, 8192, 256, 24, 7
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

    def around(self, owner: type, name: str) -> None:
        """Time every call of a method from now on."""
        inner = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
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
    config = TrainerConfig(
        batch_size=BATCH, seed=SEED, backend_options={"threads": 1}, **{"epochs": EPOCHS, **options}
    )
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
        clock = Clock()
        clock.around(hooks.Hooks, "__call__")
        for name in ("step", "epoch", "save"):
            clock.around(recorder.Recorder, name)
        full = fit(dataset, folder, "timed", ON, callbacks=WATCHED)
        loop_seconds = EPOCHS * ROWS / full["samples_per_second"]
        rows = [
            {"measured": "share of the loop in hooks and journal",
             "value": clock.seconds / loop_seconds, "target": 0.03},
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
