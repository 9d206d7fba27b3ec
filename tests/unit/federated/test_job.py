"""`qstore federate` from a job file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from qstore_ray.cli.app import main
from qstore_ray.federated.job import FederatedJob
from qstore_ray.serve.app import create_app
from qstore_ray.serve.settings import ServingSettings
from qstore_ray.train.model.trained import TrainedModel

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


def test_epochs_of_a_training_s_job_are_not_ignored_in_silence(tmp_path, capsys):
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"))
    few = ["--set", "federation.rounds=1", "--json"]
    assert main(["federate", str(path), *few]) == 0
    assert "trainer.epochs" not in capsys.readouterr().err
    assert main(["federate", str(path), *few, "--fresh", "--set", "trainer.epochs=9"]) == 0
    assert "note: trainer.epochs is not used" in capsys.readouterr().err


def test_a_wrong_field_is_refused_with_its_name(tmp_path, capsys):
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"))
    assert main(["federate", str(path), "--set", "federation.strategy=krum"]) == 2
    assert "federation.strategy" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "estimate", "submit", "advise predict"])
def test_commands_for_one_owner_name_the_command_of_a_federation(tmp_path, capsys, command):
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"))
    assert main([*command.split(), str(path)]) == 2
    assert "qstore federate" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_batch_larger_than_the_rows_of_all_clients_is_refused(tmp_path, capsys):
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"))
    assert main(["federate", str(path), "--set", "trainer.batch_size=1000"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "trainer.batch_size" in told
    assert "all clients together have 105 rows" in told
    assert not (tmp_path / "runs" / "f").exists()


def test_the_job_of_the_repository_is_one():
    job = FederatedJob.load(JOBS / "digits_federated.toml")
    assert job.partition.clients == 10
    assert job.federation.secure_sum


REPORTED = """[track]
mlflow = false
figures = true
"""


def test_a_run_has_a_report_and_its_model_predicts_is_scored_exported_and_continued(
    tmp_path, capsys
):
    """What any command does with a run of a training, on one of a federation."""
    path, storage = tmp_path / "f.toml", tmp_path / "runs"
    path.write_text(JOB.format(storage=storage).partition("[track]")[0] + REPORTED)
    assert main(["federate", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    page = Path(result["report"]).read_text()
    for text in ("Federation", "Rows of each class", "client-2", "bytes to clients",
                 "the server does not see them", "confusion matrix", "accuracy"):  # fmt: skip
        assert text in page
    run = result["run_dir"]
    assert main(["evaluate", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == result["test_accuracy"]
    names = [f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")]
    (tmp_path / "rows.csv").write_text(f"{','.join(names)}\n5.1,3.5,1.4,0.2\n6.2,2.9,4.3,1.3\n")
    assert main(["export", run, "--output", str(tmp_path / "model.qsm")]) == 0
    capsys.readouterr()
    for model in (run, str(tmp_path / "model.qsm")):
        assert main(["predict", model, str(tmp_path / "rows.csv")]) == 0
        assert len(capsys.readouterr().out.splitlines()) >= 2
    assert main(["runs", "list", "--storage", str(storage), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["runs"]
    assert (listed["status"], listed["problem"], listed["epochs"]) == ("finished", "", 3)
    app = create_app(TrainedModel.load(run), ServingSettings())
    server = TestClient(app, base_url="http://127.0.0.1")
    answer = server.post("/invocations", json={"instances": [[5.1, 3.5, 1.4, 0.2]]})
    assert answer.json()["predictions"] == [0]
    more = ["federate", str(path), "--resume", "--set", "federation.rounds=5", "--json"]
    assert main([*more, "--set", "trainer.schedule=cosine"]) == 2  # laid out for three rounds
    assert "federation.rounds" in capsys.readouterr().err


def test_more_rounds_of_a_schedule_without_a_length_continue_a_finished_run(tmp_path, capsys):
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"))
    constant = ["--set", "trainer.schedule=constant"]
    assert main(["federate", str(path), *constant]) == 0
    more = ["federate", str(path), "--resume", "--set", "federation.rounds=5", "--json", *constant]
    capsys.readouterr()
    assert main(more) == 0
    assert json.loads(capsys.readouterr().out)["rounds"] == 5


def test_losses_of_clients_are_drawn_where_the_server_sees_them(tmp_path, capsys):
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs").partition("[track]")[0] + REPORTED)
    assert main(["federate", str(path), "--set", "federation.secure_sum=false", "--json"]) == 0
    page = Path(json.loads(capsys.readouterr().out)["report"]).read_text()
    assert "loss of each client by round" in page
    assert "<dt>rounds</dt><dd>3 of 3</dd>" in page
    assert "in round</th>" in page
    assert "Warnings" not in page


def test_exclusions_are_a_line_a_round_and_a_table_of_the_report(tmp_path, capsys, caplog):
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs").partition("[track]")[0] + REPORTED)
    plain = ["--set", "federation.secure_sum=false", "--set", "partition.clients=8"]
    hostile = ["--set", "federation.largest_change=1e-9", "--set", "federation.failed_rounds=9"]
    assert main(["federate", str(path), *plain, *hostile]) == 1
    page = (tmp_path / "runs" / "f" / "report.html").read_text()
    assert "Warnings" not in page
    assert "<dt>updates excluded</dt><dd>24</dd>" in page
    assert page.count("moves θ by") == 24
    records = map(json.loads, (tmp_path / "runs/f/metrics.jsonl").read_text().splitlines())
    said = [record["message"] for record in records if record["event"] == "warning"]
    assert [line.partition(" had")[0] for line in said] == ["round 1", "round 2", "round 3"]
    assert all(line.endswith("and 3 more, see rounds.jsonl") for line in said)


def test_clients_are_divided_by_a_column_of_a_job(tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = [f"h{i % 3},{a},{b},{'yes' if a > 0 else 'no'}" for i, (a, b) in
             enumerate(rng.normal(size=(90, 2)))]  # fmt: skip
    (tmp_path / "visits.csv").write_text("\n".join(["hospital,width,length,label", *lines]))
    path = tmp_path / "v.toml"
    path.write_text(f"""name = "v"
storage = "{tmp_path / "runs"}"
[dataset]
name = "visits"
source = "local"
params = {{ path = "{tmp_path / "visits.csv"}" }}
columns = {{ label = "label", features = ["width", "length"] }}
split = {{ train = 0.8, test = 0.2 }}
[partition]
kind = "by_value"
column = "hospital"
[model]
n_qubits = 2
layers = 1
[federation]
rounds = 2
[track]
mlflow = false
figures = false
""")
    assert main(["federate", str(path), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["shards"]) == {"h0", "h1", "h2"}


@pytest.mark.slow  # MLflow is imported in the sidecar; trackers are fed as those of a training
def test_each_round_is_in_mlflow(tmp_path, capsys):
    from mlflow.tracking import MlflowClient

    path = tmp_path / "f.toml"
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    path.write_text(
        JOB.format(storage=tmp_path / "runs").partition("[track]")[0]
        + f'[track]\nmlflow_uri = "{uri}"\nfigures = false\n'
    )
    assert main(["federate", str(path), "--json"]) == 0
    client = MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "clients")] == [0, 1, 2]
    assert (
        run.data.metrics["summary.test_accuracy"]
        == json.loads(capsys.readouterr().out)["test_accuracy"]
    )
