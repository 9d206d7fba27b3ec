"""QN-SPSA where every value and fidelity comes from shots: a golden curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qstore_ray import ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.data.loader import DatasetLoader

X = np.random.default_rng(0).normal(size=(40, 2))
DATA = DatasetLoader.from_arrays(X, (X[:, 0] > X[:, 1]).astype(int))


def test_the_losses_are_these_since_every_draw_is_named(tmp_path: Path):
    trainer = TrainerConfig(
        epochs=4, batch_size=16, optimizer="qn_spsa", learning_rate=0.3, seed=1,
        optimizer_options={"directions": 4, "perturbation": 0.2, "regularization": 0.1},
        backend_options={"shots": 256},
    )  # fmt: skip
    quiet = TrackConfig(mlflow=False, figures=False)
    run = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), trainer, storage=tmp_path, track=quiet
    ).fit(DATA)
    losses = [epoch["train_loss"] for epoch in run.history]
    expected = [0.6952123291402891, 0.5991447280669531, 0.5905872433366152, 0.5637962573487423]
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    assert losses[-1] < losses[0]
