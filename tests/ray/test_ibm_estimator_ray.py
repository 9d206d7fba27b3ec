"""IBM's Estimator behind the actor: two workers train, two actors predict, and the actor ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ray

from qstore_ray import ClusterConfig, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.ibm.gateway.actor import NAMESPACE
from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.ray.predict import predict_rows
from tests.ibm.launch import ROOT, in_thread

# Blocks have 16 rows: each worker has some.
X = np.random.default_rng(0).normal(size=(60, 1))


def train_and_predict(storage: Path) -> None:
    """One step with the Estimator, scores, and predictions by actors, the same ones twice."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    options = {
        "device": "fake_manila", "shots": 64, "level": 1, "ledger": str(storage / "ledgers"),
        "estimator": {"resilience_level": 1},
        "policy": {"first_poll": 0.05, "longest_poll": 0.2},
    }  # fmt: skip
    trainer = TrainerConfig(
        epochs=1, batch_size=60, backend="ibm", backend_options=options, num_workers=2
    )
    result = QuantumTrainer(
        ModelConfig(n_qubits=1, layers=1), trainer, name="estimated", storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
        cluster=ClusterConfig(cpus_per_worker=0.9),
    ).fit(DatasetLoader.from_arrays(X, (X[:, 0] > 0).astype(int)))  # fmt: skip
    seen = {"run": dict(result.metrics), "actors": [actors()]}
    model = TrainedModel.load(storage / "estimated", trainer.open_backend())
    found = [predict_rows(model, X[:8], num_workers=2)["prediction"].tolist() for _ in range(2)]
    seen["predictions"], seen["jobs"] = found, len(list((storage / "ledgers").rglob(LEDGER)))
    seen["actors"].append(actors())
    (storage / "seen.json").write_text(json.dumps(seen))


def actors() -> list[str]:
    """The gateways' actors that are there."""
    named = ray.util.list_named_actors(all_namespaces=True)
    return [each["name"] for each in named if each["namespace"] == NAMESPACE]


@pytest.mark.slow
def test_two_workers_train_with_the_estimator_and_two_actors_predict(tmp_path):
    with in_thread() as ibm:
        subprocess.run(
            [sys.executable, "-m", "tests.ray.test_ibm_estimator_ray", str(tmp_path)],
            cwd=ROOT, env={**os.environ, **ibm.environment(tmp_path)}, check=True, timeout=300,
        )  # fmt: skip
        accepted = ibm.accepted()
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["actors"] == [[], []], "they end with the run, and with the call"
    assert seen["predictions"][0] == seen["predictions"][1]
    ledgers = {path.parent.name: path.parent for path in (tmp_path / "ledgers").rglob(LEDGER)}
    (own,) = (name for name in ledgers if name.startswith("estimated-"))
    (call,) = (name for name in ledgers if name.startswith("predict-estimated-"))
    records = {name: replay(folder).records.values() for name, folder in ledgers.items()}
    assert len(ledgers) == 2
    assert seen["run"]["hardware_jobs"] == len(records[own])
    assert {job.state for each in records.values() for job in each} == {JobState.FINISHED}
    used = sorted(job.job_id for each in records.values() for job in each)
    assert used == sorted(accepted), "the second prediction is paid by the first"
    assert 1 <= len(records[call]) <= 8
    parts = max(len(job.requests) for job in records[own])
    assert parts == 2, "the shares of both workers are one job"


if __name__ == "__main__":
    train_and_predict(Path(sys.argv[1]))
