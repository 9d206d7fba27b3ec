"""Runs in an object store are watched, checked and counted from another machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.errors import DivergenceError
from qstore_ray.ops.alerts import read_alerts
from qstore_ray.ops.health import HealthScope, examine_health, worst
from qstore_ray.ops.usage.report import usage_report
from qstore_ray.ops.watch.watcher import RunWatcher
from tests.object_store import KEYS, make_bucket, s3_server

STORAGE = "s3://watched/runs"
PLAIN = TrackConfig(mlflow=False, figures=False)


def _train(name: str, **options: object) -> None:
    x = np.random.default_rng(0).normal(size=(24, 2))
    data = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))
    config = TrainerConfig(epochs=2, batch_size=12, **options)  # type: ignore[arg-type]
    model = ModelConfig(n_qubits=2, layers=1)
    QuantumTrainer(model, config, name=name, storage=STORAGE, track=PLAIN).fit(data)


def test_a_run_of_another_machine_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with s3_server() as endpoint:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        make_bucket(endpoint, "watched")
        there, here = str(tmp_path / "there"), str(tmp_path / "here")
        monkeypatch.setenv("XDG_CACHE_HOME", there)
        _train("before")
        monkeypatch.setenv("XDG_CACHE_HOME", here)
        with RunWatcher(STORAGE) as watcher:
            assert watcher.poll() == []
            monkeypatch.setenv("XDG_CACHE_HOME", there)
            with pytest.raises(DivergenceError):
                _train("after", optimizer="sgd", learning_rate=1e307)
            monkeypatch.setenv("XDG_CACHE_HOME", here)
            assert {(a.run, a.rule) for a in watcher.poll()} == {
                ("after", "nan"),
                ("after", "failed"),
            }
            assert watcher.poll() == []
            assert not watcher.problems
        assert len(read_alerts(STORAGE)) == 2
        found = examine_health(HealthScope(STORAGE, PLAIN), 60.0)
        assert worst([each for each in found if not each.name.startswith("alert")]) == "ok"
        assert usage_report(STORAGE).runs == {"finished": 1, "failed": 1}
