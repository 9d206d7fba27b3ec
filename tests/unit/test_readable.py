"""What configurations and results look like on a console: short, and without secrets."""

from __future__ import annotations

from typing import Any

import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import ConfigError
from qstore_ray.job import JobConfig
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.callbacks.early_stopping import EarlyStopping
from qstore_ray.train.config import TrainerConfig
from qstore_ray.tune.study.trial_result import TrialResult

JOB: dict[str, Any] = {
    "name": "digits",
    "dataset": {"name": "d", "source": "local", "params": {"path": "a.csv"}},
    "trainer": {"epochs": 3},
}


def test_a_configuration_is_told_by_what_differs_from_the_defaults() -> None:
    assert repr(TrainerConfig()) == "TrainerConfig()"
    assert repr(TrainerConfig(epochs=7)) == "TrainerConfig(epochs=7)"
    assert repr(ModelConfig(n_qubits=3)) == "ModelConfig(n_qubits=3)"
    assert repr(EarlyStopping(patience=5)) == "EarlyStopping(patience=5)"
    job = JobConfig.from_dict(JOB)
    assert "name='digits'" in repr(job)
    assert "trainer=TrainerConfig(epochs=3)" in repr(job)
    assert str(job) == repr(job)
    assert len(repr(job)) < 400


def test_long_values_are_cut() -> None:
    job = JobConfig.from_dict({**JOB, "track": {"tags": {"note": "long " * 500}}})
    assert len(repr(job)) < 600
    assert "…" in repr(job)


def test_no_secret_is_told() -> None:
    track = TrackConfig(
        mlflow_uri="postgresql://ann:planted@db/runs", tags={"api_key": "planted", "a": "b"}
    )
    for told in (track, JobConfig.from_dict({**JOB, "track": track.to_dict()})):
        assert "planted" not in repr(told)
    assert "'a': 'b'" in repr(track)


@pytest.mark.parametrize("key", ["token", "apiKey", "db_password"])
def test_an_error_about_a_secret_does_not_tell_it(key: str) -> None:
    with pytest.raises(ConfigError, match=key) as caught:
        DatasetConfig(name="d", source="local", params={"path": "a.csv", key: "planted"})
    assert "planted" not in f"{caught.value} {caught.value.as_dict()} {caught.value.__cause__}"
    two = {"path": "a.csv", key: "planted", "limit": "most"}
    with pytest.raises(ConfigError, match="Also wrong") as caught:
        JobConfig.from_dict({**JOB, "dataset": {"name": "d", "source": "local", "params": two}})
    assert "planted" not in f"{caught.value} {caught.value.as_dict()}"


def test_a_half_made_configuration_can_be_looked_at() -> None:
    assert repr(TrainerConfig.__new__(TrainerConfig)) == "TrainerConfig()"


def test_a_trial_is_told_in_a_line() -> None:
    epochs = [{"epoch": number, "val_loss": 0.5} for number in range(400)]
    trial = TrialResult(
        number=4, status="failed", parameters={"trainer.learning_rate": 0.1, "token": "planted"},
        objectives={"val_loss": 0.25}, epochs=epochs,
        error="no answer from http://ann:planted@host/ " + "and so on " * 100,
    )  # fmt: skip
    told = repr(trial)
    assert told.startswith("TrialResult(4, 'failed', 400 epochs, parameters={")
    assert "'val_loss': 0.25" in told
    assert "planted" not in told
    assert len(told) < 600
    assert "\n" not in told
    assert repr(TrialResult(0, "waiting", {})) == "TrialResult(0, 'waiting', 0 epochs)"
