"""Seconds to the same noisy accuracy on digits, ours and those of a density matrix.

    python benchmarks/noise.py; python benchmarks/noise_accuracy.py     into results/

Our steps follow one random trajectory a row, so their gradients are noisy; a density matrix has the
exact gradient of the noisy loss and may need fewer steps. Its training is imitated by ours with 64
trajectories a row, whose gradient differs from the exact one by an eighth as much. The steps that
both need are counted, and each is multiplied by the seconds of a step in results/noise.json, for
the same width and depth. The spread of the gradients is stated beside them.

Noise: depolarizing 0.1 % after gates of one qubit and 1 % after gates of two, readout 2 %. The
accuracy is that of held-out rows under the noise, mean of 16 trajectories. Medians of the seeds.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE / "peers"), str(HERE.parent)]

import numpy as np  # noqa: E402
from noise_page import write_page  # noqa: E402
from record import RESULTS, write  # noqa: E402

from qstore_ray import (  # noqa: E402
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.backends.keys import DrawKey  # noqa: E402
from qstore_ray.backends.statevector import StatevectorBackend  # noqa: E402
from qstore_ray.data.read.dataset import Dataset  # noqa: E402
from qstore_ray.learn import step  # noqa: E402
from qstore_ray.learn.gradients import get_gradient  # noqa: E402
from qstore_ray.train.checks import model_for  # noqa: E402

SEEDS, EXACT = (0, 1, 2), 64
TASKS = {"two digits": ([3, 5], 0.95), "ten digits": (list(range(10)), 0.85)}
NOISE: dict[str, Any] = {
    "gates": [
        {"on": "one_qubit", "channel": {"name": "depolarizing", "p": 0.001}},
        {"on": "two_qubit", "channel": {"name": "depolarizing", "p": 0.01}},
    ],
    "readout": 0.02,
    "test_trajectories": 16,
}
EPOCHS, BATCH = 40, 32
PEERS = ("PennyLane default.mixed", "Aer density matrix")


def digits(classes: list[int]) -> Dataset:
    """Rows of these digits on 16 principal components; four in ten are held out."""
    return DatasetLoader.load(
        DatasetConfig(
            name="digits",
            params={"dataset": "digits"},
            select={"classes": classes},
            split={"train": 0.6, "val": 0.4},
            preprocessing=[{"name": "pca", "components": 16}, {"name": "scale", "factor": 0.03}],
        )
    )


def model(n_classes: int) -> ModelConfig:
    """8 qubits, 3 layers."""
    return ModelConfig(
        encoding="dense_angle", ansatz="hardware_efficient", entanglement="linear", n_qubits=8,
        layers=3, reuploading=True, input_scaling=True, initial_spread=0.5,
        observables="z+zz" if n_classes > 2 else "z",
    )  # fmt: skip


def steps_to(
    dataset: Dataset, target: float, trajectories: int, seed: int, storage: str
) -> int | None:
    """Steps until the held-out rows reach an accuracy under noise; None if they never do."""
    trainer = TrainerConfig(
        epochs=EPOCHS, batch_size=BATCH, learning_rate=0.1, schedule="constant", seed=seed,
        noise={**NOISE, "trajectories": trajectories},
    )  # fmt: skip
    fitted = QuantumTrainer(
        model(len(dataset.classes)), trainer, name=f"noise-{trajectories}-{seed}",
        track=TrackConfig(mlflow=False, figures=False), storage=storage,
    ).fit(dataset, existing="replace")  # fmt: skip
    for record in fitted.history:
        if record["val_accuracy"] >= target:
            return int(record["step"])
    return None


def spread(dataset: Dataset, trajectories: int) -> float:
    """‖standard deviation of a step's gradient‖ over ‖its mean‖ at the start, by the errors."""
    built = model_for(model(len(dataset.classes)), dataset)
    theta, (x, y) = built.initial(0), dataset.materialize("train")[:2]
    backend = StatevectorBackend(noise={**NOISE, "trajectories": trajectories})
    method = get_gradient("adjoint", backend)
    found = [
        step.value_and_grad(built, theta, x[:BATCH], y[:BATCH], backend, method, None,
                            DrawKey((7, call)))[:, : len(theta)].sum(axis=0)
        for call in range(200)
    ]  # fmt: skip
    mean, deviation = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    return float(np.linalg.norm(deviation) / np.linalg.norm(mean))


def compare(task: str, step_ratio: dict[str, float], storage: str) -> dict[str, Any]:
    """The steps that both need for a task, and how much sooner ours are there."""
    classes, target = TASKS[task]
    dataset = digits(classes)
    ours = [steps_to(dataset, target, 1, seed, storage) for seed in SEEDS]
    exact = [steps_to(dataset, target, EXACT, seed, storage) for seed in SEEDS]
    row: dict[str, Any] = {
        "task": task, "accuracy": target, "our_steps": ours, "exact_steps": exact,
        "our_spread": spread(dataset, 1), "exact_spread": spread(dataset, EXACT),
    }  # fmt: skip
    if None not in (*ours, *exact):
        fewer = statistics.median(map(int, exact)) / statistics.median(map(int, ours))
        row["sooner"] = {peer: fewer * ratio for peer, ratio in step_ratio.items()}
    print(row, flush=True)
    return row


def main() -> None:
    """Train, multiply, write."""
    measured = json.loads((RESULTS / "noise.json").read_text())["rows"]
    step_ratio = {
        row["peer"]: row["ratio"]
        for row in measured
        if (row["qubits"], row["layers"], row["p"]) == (8, 3, 0.01)
        and "ratio" in row
        and row["peer"] in PEERS
    }
    with tempfile.TemporaryDirectory() as storage:
        rows = [compare(task, step_ratio, storage) for task in TASKS]
    write("noise_accuracy", SEEDS[0], rows, target=30.0, step_ratio=step_ratio)
    write_page()


if __name__ == "__main__":
    main()
