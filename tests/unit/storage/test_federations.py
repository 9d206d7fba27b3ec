"""A federation in an object store has each committed round there, for any machine to go on from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.errors import StorageError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.result import FederatedResult
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.storage import lease
from qstore_ray.storage.address import address_of
from qstore_ray.storage.cloud import open_objects
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.find import find_run
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.train.run.summary import summarize
from tests.unit.storage.test_runs import Store, on_another_machine, store

__all__ = ["store"]
ROUNDS = 4
WHERE = "s3://memory/digits-1"


def federate(
    storage: str | Path, existing: Existing = "error", noise: str = "seeded"
) -> FederatedResult:
    clients = {}
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(16, 2))
        clients[f"c{seed}"] = ClientRows(x, (x[:, 0] > 0).astype(int), ("no", "yes"))
    federation = FederationConfig(
        rounds=ROUNDS, local_state="kept", strategy_options={"weights": "uniform"},
        privacy={"noise_multiplier": 1.0, "delta": 1e-3, "clip": 0.5, "noise": noise},
    )  # fmt: skip
    return FederatedTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(batch_size=8, schedule="constant"),
        federation, name="f", storage=storage, track=TrackConfig(mlflow=False, figures=False),
    ).fit(clients, existing=existing)  # fmt: skip


def _end(folder: Path) -> dict[str, bytes]:
    saved, problems = latest_checkpoint(folder / "checkpoints")
    assert problems == []
    assert saved is not None
    return {name: array.tobytes() for name, array in saved.arrays.items()}


def _begun_from(folder: Path) -> int:
    """The round that the last attempt began with."""
    records = read_records(folder / "metrics.jsonl")
    return [r["resumed_from_epoch"] for r in records if r["event"] == "start"][-1]


def test_a_federation_that_dies_before_any_write_goes_on_after_its_last_round_elsewhere(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.0)  # the dead are known at once
    whole = _end(federate(tmp_path / "plain").run_dir)
    federate(WHERE)
    writes = list(store.writer.written)
    saved = [place for place, what in enumerate(writes)
             if what.startswith("create") and what.endswith("manifest.json")]  # fmt: skip
    assert len(saved) == ROUNDS
    for dies_at in (*range(0, len(writes) - 1, 11), *(place + 1 for place in saved)):
        store.begin(dies_at)
        on_another_machine(monkeypatch, tmp_path)
        with pytest.raises(StorageError, match="dead before"):
            federate(WHERE)
        on_another_machine(monkeypatch, tmp_path)
        store.live()
        begun = store.whole.read("run.json") is not None
        folder = federate(WHERE, "resume" if begun else "error").run_dir
        assert _end(folder) == whole, f"dead before {writes[dies_at]}"
        assert _begun_from(folder) == sum(place < dies_at for place in saved)
        assert summarize(folder).status == "finished"


def test_a_federation_on_a_server_is_found_and_summarized_on_another_machine(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = federate(f"{bucket}/team", noise="secure")
    address = address_of(f"{bucket}/team/f")
    assert address is not None
    assert "privacy.key" not in open_objects(address).listing()  # it was, while the run went on
    on_another_machine(monkeypatch, tmp_path)
    folder = find_run("f", f"{bucket}/team")
    found = summarize(folder)
    assert (found.status, found.problem) == ("finished", "")
    assert (found.epochs, found.epochs_planned) == (ROUNDS, ROUNDS)
    assert _end(folder) == _end(result.run_dir)
    assert json.loads((folder / "privacy.json").read_text())["unit"]
