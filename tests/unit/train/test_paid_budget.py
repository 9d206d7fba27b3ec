"""A backend that reaches its budget stops the training at a checkpoint, and it can be resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qstore_ray import ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BudgetReachedError, InterruptedRunError
from qstore_ray.train.run.checkpoint import latest_checkpoint

X = np.random.default_rng(0).normal(size=(40, 2))
DATA = DatasetLoader.from_arrays(X, (X[:, 0] > 0).astype(int))


class Paid:
    """The exact simulator, for so many evaluations."""

    name = "paid"
    left = 10**9

    def check(self, template, observables, bindings) -> None:
        pass

    def evaluate(self, template, observables, bindings, *, shots=None, key=None):
        if self.left == 0:
            raise BudgetReachedError(
                "the run may use 600 seconds", fix="Continue with existing='resume'."
            )
        self.left -= 1
        exact = StatevectorBackend()
        return exact.evaluate(template, observables, bindings, shots=shots, key=key)


def trainer(storage, left: int) -> QuantumTrainer:
    backend = Paid()
    backend.left = left
    return QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=2, batch_size=8, checkpoint_every_epochs=9),
        name="paid",
        storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
        backend=backend,
    )


def test_a_run_that_reached_its_budget_resumes_as_if_it_had_not(tmp_path):
    """In the first step, between two steps, in a validation, and when the model is scored."""
    whole = trainer(tmp_path / "whole", 10**9).fit(DATA)
    used = 10**9 - whole.model.backend.left
    steps = set()
    for left in (0, used // 2, used - 1):
        storage = tmp_path / str(left)
        with pytest.raises(InterruptedRunError, match="600 seconds") as caught:
            trainer(storage, left).fit(DATA)
        assert caught.value.exit_code == 5
        assert "existing='resume'" in caught.value.fix
        saved, _ = latest_checkpoint(storage / "paid" / "checkpoints")
        assert saved is not None
        assert json.loads((storage / "paid" / "run.json").read_text())["status"] == "interrupted"
        steps.add(int(saved.arrays["step"]))
        resumed = trainer(storage, 10**9).fit(DATA, existing="resume")
        np.testing.assert_array_equal(resumed.model.theta, whole.model.theta)
    assert len(steps) == 3
