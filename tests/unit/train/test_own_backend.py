"""A backend object of the user's own in the trainer, and a backend of another package by name."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest

from qstore_ray import ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends import BACKENDS, open_backend
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, RunExistsError

X = np.random.default_rng(0).normal(size=(24, 2))
DATA = DatasetLoader.from_arrays(X, (X[:, 0] > 0).astype(int))


class Counting:
    """The exact simulator, and a count of the rows that it evaluated."""

    def __init__(self) -> None:
        self._inner = StatevectorBackend()
        self.rows = 0

    def check(self, template, observables, bindings) -> None:
        self._inner.check(template, observables, bindings)

    def evaluate(self, template, observables, bindings, *, shots=None, key=None):
        self.rows += len(bindings.rows)
        return self._inner.evaluate(template, observables, bindings, shots=shots, key=key)


def _trainer(storage, *, workers: int = 0, **options) -> QuantumTrainer:
    config = TrainerConfig(epochs=1, batch_size=16, num_workers=workers)
    track = TrackConfig(mlflow=False, figures=False)
    model = ModelConfig(n_qubits=2, layers=1)
    return QuantumTrainer(model, config, name="own", storage=storage, track=track, **options)


def test_a_backend_of_ones_own_trains_and_is_that_of_the_model(tmp_path):
    own = Counting()
    result = _trainer(tmp_path / "a", backend=own).fit(DATA)
    assert own.rows > len(X)
    assert result.model.backend is own
    exact = _trainer(tmp_path / "b").fit(DATA)
    np.testing.assert_allclose(result.model.theta, exact.model.theta, atol=1e-9)


def test_a_run_is_resumed_with_the_backend_that_it_was_begun_with(tmp_path):
    _trainer(tmp_path, backend=Counting()).fit(DATA)
    longer = _trainer(tmp_path)
    longer.trainer = TrainerConfig(epochs=2, batch_size=16)
    with pytest.raises(RunExistsError):
        longer.fit(DATA, existing="resume")


@pytest.mark.parametrize("given", ["aer", StatevectorBackend, 3])
def test_what_is_no_backend_is_refused(tmp_path, given):
    with pytest.raises(ConfigError, match="not a backend") as caught:
        _trainer(tmp_path, backend=given)
    assert caught.value.field == "backend"


def test_workers_get_a_copy_and_what_cannot_be_copied_is_refused_before_anything_is_written(
    tmp_path,
):
    assert pickle.loads(pickle.dumps(Counting())).rows == 0
    own = Counting()
    own.lock = threading.Lock()
    with pytest.raises(ConfigError, match="cannot be pickled") as caught:
        _trainer(tmp_path, workers=2, backend=own).fit(DATA)
    assert "num_workers = 0" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_backend_by_name_need_not_know_threads(tmp_path, monkeypatch):
    monkeypatch.setitem(BACKENDS._registered, "counting", Counting)
    assert isinstance(open_backend("counting", {}, threads=3), Counting)
    trainer = _trainer(tmp_path)
    trainer.trainer = TrainerConfig(epochs=1, batch_size=16, backend="counting")
    assert isinstance(trainer.fit(DATA).model.backend, Counting)
