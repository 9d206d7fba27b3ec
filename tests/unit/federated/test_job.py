"""`qstore federate` from a job file."""

from __future__ import annotations

import json
from pathlib import Path

from qstore_ray.cli.app import main
from qstore_ray.federated.job import FederatedJob

JOBS = Path(__file__).resolve().parents[3] / "jobs"

JOB = """name = "f"
storage = "{storage}"
[dataset]
name = "iris"
params = {{dataset = "iris"}}
[partition]
kind = "dirichlet"
clients = 3
alpha = 1.0
fewest_rows = 5
[model]
n_qubits = 4
layers = 1
[trainer]
batch_size = 16
learning_rate = 0.2
[federation]
rounds = 3
strategy_options = {{weights = "uniform"}}
secure_sum = true
[track]
mlflow = false
figures = false
"""


def test_a_job_file_is_divided_trained_and_scored(tmp_path, capsys):
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"))
    assert main(["federate", str(path)]) == 0
    out = capsys.readouterr().out
    for text in ("accuracy", "client-0", "secure sums", "3 a round"):
        assert text in out
    assert main(["federate", str(path)]) == 2  # it has finished
    assert main(["federate", str(path), "--fresh", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clients"] == 3
    assert found["bytes_per_round"] >= 2 * 3 * 8 * found["parameters"]
    assert len(found["shards"]) == 3
    assert found["excluded"] == {}


def test_a_wrong_field_is_refused_with_its_name(tmp_path, capsys):
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"))
    assert main(["federate", str(path), "--set", "federation.strategy=krum"]) == 2
    assert "federation.strategy" in capsys.readouterr().err


def test_the_job_of_the_repository_is_one():
    job = FederatedJob.load(JOBS / "digits_federated.toml")
    assert job.partition.clients == 10
    assert job.federation.secure_sum
