"""The data of a device in a run folder: compact, read by this version, and compared on resuming."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.config import read_toml, toml_writer
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import RunExistsError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer


def _config(device: object, epochs: int = 1) -> TrainerConfig:
    noise = {"device": device, "twirl": True, "test_trajectories": 1}
    return TrainerConfig(epochs=epochs, schedule="constant", noise=noise)


def _train(folder: Path, config: TrainerConfig, existing: str = "error") -> Path:
    rng = np.random.default_rng(0)
    dataset = DatasetLoader.from_arrays(rng.normal(size=(20, 2)), rng.integers(0, 2, 20))
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        config,
        name="run",
        storage=folder,
        track=TrackConfig(mlflow=False, figures=False),
    )
    return trainer.fit(dataset, existing=existing).run_dir


def test_a_device_takes_few_lines_and_is_read_again(tmp_path):
    config = _config("fake_guadalupe")
    file = _train(tmp_path, config) / "config.toml"
    assert len(file.read_text().splitlines()) < 200
    written = TrainerConfig.from_dict(read_toml(file)["trainer"])
    assert written == config
    assert written.fingerprint() == config.fingerprint()
    _train(tmp_path, _config(written.noise.device, epochs=2), "resume")
    other = config.noise.device.model_copy(update={"gates": config.noise.device.gates[1:]})
    with pytest.raises(RunExistsError) as caught:
        _train(tmp_path, _config(other, epochs=3), "resume")
    assert caught.value.field.startswith("trainer.noise.device.gates")


def test_a_device_on_thousands_of_lines_means_the_same(monkeypatch):
    """As earlier versions wrote it."""
    table = _config("fake_guadalupe").to_dict()
    short = toml_writer.dump_toml(table)
    monkeypatch.setattr(toml_writer, "_MOST_TABLES", 10**9)
    long = toml_writer.dump_toml(table)
    assert len(long.splitlines()) > 4 * len(short.splitlines())
    assert tomllib.loads(long) == tomllib.loads(short) == table
