"""The dashboard of runs in an object store, seen from a machine that did not train them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.ops.dashboard import listing
from tests.object_store import KEYS, make_bucket, s3_server
from tests.unit.ops.dashboard.served import served
from tests.unit.ops.dashboard.test_server import take

STORAGE = "s3://seen/runs"


@pytest.mark.slow  # it trains, and draws figures
def test_runs_of_another_machine_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(listing, "REMOTE_SCAN_SECONDS", 0.0)
    x = np.random.default_rng(0).normal(size=(24, 2))
    data = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))
    config = TrainerConfig(epochs=2, batch_size=12, num_workers=0)
    plain = TrackConfig(mlflow=False, figures=True)
    with s3_server() as endpoint:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        make_bucket(endpoint, "seen")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
        model = ModelConfig(n_qubits=2, layers=1)
        QuantumTrainer(model, config, name="far", storage=STORAGE, track=plain).fit(data)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
        with served(STORAGE) as page:
            (row,) = page.json("/api/runs")["runs"]
            assert (row["id"], row["status"], row["epochs"]) == ("far", "finished", 2)
            found = page.json("/api/run?id=far")
            assert found["folder"] == f"{STORAGE}/far"
            assert [each["problem"] for each in found["checkpoints"]] == [None, None]
            assert "loss.png" in found["figures"]
            assert page.ask("/api/file?id=far&name=loss.png")[2].startswith(b"\x89PNG")
            events = page.events("/api/events?id=far")
            assert take(events, "runs")["rows"][0]["id"] == "far"
            assert [each["epoch"] for each in take(events, "curves")["records"][1:]] == [0, 1]


def test_a_store_without_its_bucket_is_a_problem_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with s3_server() as endpoint:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        with served("s3://absent/runs") as page:
            events = page.events()
            assert take(events, "runs")["rows"] == []
            content = take(events, "panel")
            assert content["name"] == "storage"
            assert "absent" in content["content"]["problem"]
