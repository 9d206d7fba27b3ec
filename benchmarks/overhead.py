"""What training costs beyond the engine: samples/s of `fit()` over samples/s of the bare engine.

Both in one process, one thread, n = 8, B = 256, in turns. The bare engine evaluates and
differentiates the same circuit for the same rows, and does nothing else. `fit()` adds the row
order, encoding, head, loss, optimizer, schedule, validation after every epoch, metrics and
checkpoints.

Run: python benchmarks/overhead.py
"""

from __future__ import annotations

import statistics
import tempfile
import time

import numpy as np
from record import write

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.learn.model import build_model

SEED, ROWS, BATCH, EPOCHS, ROUNDS = 7, 8192, 256, 24, 7
CIRCUITS = {
    "3 layers, ⟨Z_i⟩": ModelConfig(n_qubits=8, layers=3),
    "6 layers re-uploading, ⟨Z_i⟩ and ⟨Z_iZ_j⟩": ModelConfig(
        n_qubits=8, layers=6, ansatz="strongly_entangling", reuploading=True, input_scaling=True,
        observables="z+zz",
    ),
}  # fmt: skip


def engine_rate(config: ModelConfig, x: np.ndarray) -> float:
    """Samples a second of values and gradients alone."""
    model = build_model(config, n_features=8, n_classes=4)
    backend, theta = StatevectorBackend(threads=1), model.initial(SEED)
    batch = x[:BATCH]
    parts = model.split(theta)
    cotangent = np.ones((BATCH, len(model.observables)))

    def step() -> None:
        bindings = model.bindings(parts, batch, model.circuit.angles(batch))
        _, pullback = backend.vjp(
            model.circuit.template, model.observables, bindings, rows_gradient=config.input_scaling
        )
        pullback(cotangent)

    step()
    steps = EPOCHS * ROWS // BATCH
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * BATCH / (time.perf_counter() - began)


def fit_rate(config: ModelConfig, dataset: object, folder: str, number: int) -> float:
    """Samples a second of the training loop."""
    trainer = TrainerConfig(
        epochs=EPOCHS, batch_size=BATCH, seed=SEED, backend_options={"threads": 1}
    )
    result = QuantumTrainer(
        config,
        trainer,
        name=f"fit{number}",
        storage=folder,
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(dataset)
    return result.metrics["samples_per_second"]


def main() -> None:
    """Compare them in turns, for a small and a large circuit."""
    rng = np.random.default_rng(SEED)
    x = rng.uniform(0, np.pi, (ROWS * 10 // 9, 8))
    y = (x[:, 0] > np.pi / 2) * 2 + (x[:, 1] > np.pi / 2)
    dataset = DatasetLoader.from_arrays(x, y, split={"train": 0.9, "val": 0.1})
    results = []
    for name, config in CIRCUITS.items():
        with tempfile.TemporaryDirectory() as folder:
            pairs = [
                (engine_rate(config, x), fit_rate(config, dataset, folder, number))
                for number in range(ROUNDS)
            ]
        engine, fit = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratios = [f / e for e, f in pairs]
        results.append(
            {"circuit": name, "engine_per_s": engine, "fit_per_s": fit,
             "ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        )  # fmt: skip
    write("overhead", SEED, results, target="ratio at least 0.9", qubits=8, batch=BATCH)


if __name__ == "__main__":
    main()
