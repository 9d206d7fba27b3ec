"""A run is resumed with a backend that says the same settings of itself."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.backends import described_backend, open_backend
from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.mitigation.backend import mitigated
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.config import fingerprint
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, RunExistsError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer

NOISE = {"gates": [{"channel": {"name": "bit_flip", "p": 0.1}}], "readout": 0.1}


class Plain:
    """The exact backend, which says nothing of itself."""

    name = "plain"

    def __init__(self):
        exact = open_backend("statevector", {})
        self.check, self.evaluate = exact.check, exact.evaluate


class Named(Plain):
    """It says one setting."""

    def __init__(self, setting=1):
        super().__init__()
        self.setting = setting

    def description(self):
        return {"setting": self.setting}


def _trainer(folder: Path, backend, epochs: int = 1) -> QuantumTrainer:
    return QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=epochs, schedule="constant"),
        name="run",
        storage=folder,
        backend=backend,
        track=TrackConfig(mlflow=False, figures=False),
    )


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)
    return DatasetLoader.from_arrays(rng.normal(size=(20, 2)), rng.integers(0, 2, 20))


@pytest.mark.parametrize(
    ("backend", "other"),
    [
        (StatevectorBackend(), StatevectorBackend(shots=10)),
        (StatevectorBackend(shots=10), StatevectorBackend(shots=11)),
        (StatevectorBackend(noise=NOISE), StatevectorBackend(noise=NOISE, trajectories=2)),
        (AerBackend(shots=10), AerBackend(shots=10, noise=NOISE)),
        (IbmBackend("ibm_fez"), IbmBackend("ibm_torino")),
        (IbmBackend("ibm_fez"), IbmBackend("ibm_fez", estimator={})),
        (IbmBackend("ibm_fez"), IbmBackend("ibm_fez", sampler={"twirling": {"enable_gates": 1}})),
        (
            mitigated(StatevectorBackend(shots=10), MitigationConfig(twirl=2), shots=10),
            mitigated(StatevectorBackend(shots=10), MitigationConfig(twirl=3), shots=10),
        ),
        (
            mitigated(StatevectorBackend(noise=NOISE), MitigationConfig(twirl=2)),
            mitigated(StatevectorBackend(noise={"readout": 0.1}), MitigationConfig(twirl=2)),
        ),
    ],
)
def test_our_backends_say_what_decides_their_values(backend, other):
    found, changed = described_backend(backend), described_backend(other)
    assert json.loads(json.dumps(found)) == found
    assert found["backend"] == changed["backend"]
    assert found["backend_description"] != changed["backend_description"]


def test_threads_and_engines_are_no_settings_of_values():
    paid = IbmBackend("ibm_fez", mode="batch", budget={"jobs": 3}, account="work")
    assert paid.description() == IbmBackend("ibm_fez").description()
    assert StatevectorBackend("numpy").description() == StatevectorBackend("native").description()
    assert AerBackend(threads=2).description() == AerBackend(threads=1).description()


def test_a_run_is_resumed_with_the_same_settings(dataset, tmp_path):
    _trainer(tmp_path, Named(1)).fit(dataset)
    with pytest.raises(RunExistsError, match="started with 1") as caught:
        _trainer(tmp_path, Named(2), 2).fit(dataset, existing="resume")
    assert caught.value.field == "backend_description.setting"
    _trainer(tmp_path, Named(1), 2).fit(dataset, existing="resume")


def test_a_run_of_an_earlier_version_knows_the_class_alone(dataset, tmp_path):
    _trainer(tmp_path, Named(1)).fit(dataset)
    file = tmp_path / "run" / "run.json"
    record = json.loads(file.read_text())
    del record["recipe"]["backend_description"]
    record["fingerprints"]["configuration"] = fingerprint(record["recipe"])
    file.write_text(json.dumps(record))
    with pytest.raises(RunExistsError) as caught:
        _trainer(tmp_path, Plain(), 2).fit(dataset, existing="resume")
    assert caught.value.field == "backend"
    _trainer(tmp_path, Named(2), 2).fit(dataset, existing="resume")


def test_a_backend_that_says_nothing_is_recorded_by_its_class_and_that_is_said(
    dataset, tmp_path, caplog
):
    with caplog.at_level(logging.WARNING, "qstore_ray.train.checks"):
        _trainer(tmp_path, Plain()).fit(dataset)
    assert "Plain has no method description" in caplog.text
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["recipe"]["backend"].endswith(".Plain")
    assert "backend_description" not in record["recipe"]
    caplog.clear()
    _trainer(tmp_path / "named", Named()).fit(dataset)
    assert "description" not in caplog.text


@pytest.mark.parametrize("setting", [object(), float("nan"), {1, 2}])
def test_a_description_that_json_cannot_hold_is_refused(setting, dataset, tmp_path):
    with pytest.raises(ConfigError, match="JSON-ready"):
        _trainer(tmp_path, Named(setting)).fit(dataset)
    assert not (tmp_path / "run").exists()
