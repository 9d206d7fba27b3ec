"""A backend whose values are random, given as an object: training, scores and predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray import QuantumClassifier
from qstore_ray.backends import open_backend
from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.report.execution import execution
from qstore_ray.train.trainer import QuantumTrainer

FLIPS = {"gates": [{"channel": {"name": "bit_flip", "p": 0.1}}]}
BACKENDS = {
    "shots": lambda: StatevectorBackend(shots=16),
    "noise": lambda: StatevectorBackend(noise=FLIPS),
    "both": lambda: StatevectorBackend(noise=FLIPS, shots=16),
    "aer": lambda: AerBackend(shots=16),
}
every_backend = pytest.mark.parametrize("make", BACKENDS.values(), ids=BACKENDS)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 2))
Y = (X[:, 0] > 0).astype(int)


@every_backend
def test_an_object_is_trained_on_and_scores_test_rows(make, tmp_path: Path):
    result = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=1, optimizer="spsa"),
        storage=tmp_path,
        track=TrackConfig(mlflow=False, figures=False),
        backend=make(),
    ).fit(DatasetLoader.from_arrays(X, Y))
    assert result.metrics["test_loss"] > 0.0
    drawn = TrainedModel.load(result.run_dir, make())
    exact = TrainedModel.load(result.run_dir)
    first = drawn.predict_proba(X)
    np.testing.assert_array_equal(drawn.predict_proba(X), first)
    assert (first != exact.predict_proba(X)).any()


@pytest.mark.parametrize("options", [{"shots": 16}, {"noise": FLIPS}])
def test_estimators_predict_with_shots_and_noise(options):
    model = QuantumClassifier(
        n_qubits=2, epochs=1, optimizer="spsa", backend_options=options, random_state=0
    ).fit(X, Y)
    first = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X), first)
    exact = model.set_params(backend_options=None).predict_proba(X)
    assert (first != exact).any()


def _trained(trainer: TrainerConfig, folder: Path):
    return QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        trainer,
        storage=folder,
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(DatasetLoader.from_arrays(X, Y))


def test_noise_in_the_options_of_the_backend_is_noise(tmp_path: Path):
    inside = _trained(TrainerConfig(epochs=1, backend_options={"noise": FLIPS}), tmp_path / "a")
    beside = _trained(TrainerConfig(epochs=1, noise=FLIPS), tmp_path / "b")
    for name in ("test_loss", "noisy_test_loss"):
        assert inside.metrics[name] == beside.metrics[name]
    assert inside.metrics["test_loss"] != inside.metrics["noisy_test_loss"]
    said = dict(execution(TrainerConfig(backend_options={"noise": FLIPS}).to_dict()))
    assert (said["backend"], said["noise"].split(";")[0]) == (
        "statevector",
        "bit_flip (p = 0.1) after all",
    )


def test_noise_is_given_once():
    with pytest.raises(ConfigError, match="given twice") as caught:
        TrainerConfig(noise=FLIPS, backend_options={"noise": {"readout": 0.1}})
    assert caught.value.field == "backend_options.noise"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"noise": "fake_torino"}, "noise"),
        ({"noise": 0.1}, "noise"),
        ({"threads": "2"}, "threads"),
        ({"threads": 0}, "threads"),
        ({"shots": 10**19}, "shots"),
    ],
)
@pytest.mark.parametrize("name", ["statevector", "aer"])
def test_options_of_another_kind_are_refused(name: str, options, field: str):
    with pytest.raises(ConfigError) as caught:
        open_backend(name, options)
    assert caught.value.field == field


@pytest.mark.parametrize("shots", [0, -1, 0.5, True, "100"])
def test_shots_are_checked_where_they_are_written(shots):
    with pytest.raises(ConfigError, match="whole number") as caught:
        TrainerConfig(backend_options={"shots": shots})
    assert caught.value.field == "backend_options.shots"
