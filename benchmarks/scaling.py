"""Two Ray Train workers against one: samples/s of the training loop at n = 12, one CPU each.

Run: python benchmarks/scaling.py
"""

from __future__ import annotations

import statistics
import tempfile

import numpy as np
from record import write

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig

SEED, ROWS, BATCH, EPOCHS, ROUNDS = 7, 8192, 256, 4, 5


def rate(dataset: object, workers: int, folder: str, number: int) -> tuple[float, str]:
    """Samples a second with so many workers, and the trained parameters' bits."""
    model = ModelConfig(n_qubits=12, layers=4, ansatz="hardware_efficient", observables="z")
    trainer = TrainerConfig(epochs=EPOCHS, batch_size=BATCH, num_workers=workers, seed=SEED)
    result = QuantumTrainer(
        model,
        trainer,
        name=f"w{workers}-{number}",
        storage=folder,
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(dataset)
    # The first epoch loads the compiled kernels, which takes as long for any number of workers.
    first, last = result.history[0], result.history[-1]
    samples = last["samples"] - first["samples"]
    return samples / (last["seconds"] - first["seconds"]), result.model.theta.tobytes().hex()


def main() -> None:
    """Run them in turns."""
    rng = np.random.default_rng(SEED)
    x = rng.uniform(0, np.pi, (ROWS, 12))
    dataset = DatasetLoader.from_arrays(
        x, (x[:, 0] > np.pi / 2).astype(int), split={"train": 0.9, "val": 0.1}
    )
    results, bits = [], set()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            one, first_bits = rate(dataset, 1, folder, number)
            two, second_bits = rate(dataset, 2, folder, number)
            bits |= {first_bits, second_bits}
            results.append({"one_per_s": one, "two_per_s": two, "ratio": two / one})
    ratio = statistics.median(float(row["ratio"]) for row in results)
    write(
        "scaling", SEED, results, ratio=ratio, target="at least 1.7 on two cores",
        same_bits=len(bits) == 1, qubits=12, batch=BATCH,
    )  # fmt: skip


if __name__ == "__main__":
    main()
