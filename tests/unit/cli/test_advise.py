"""`qstore advise`: what it prints, and the job that it writes."""

from __future__ import annotations

import json

import pytest

from qstore_ray import DatasetLoader
from qstore_ray.cli.app import main
from qstore_ray.job import JobConfig
from qstore_ray.train.checks import checked

IRIS = """\
name = "iris"
[dataset]
name = "iris"
source = "sklearn"
params = { dataset = "iris" }
split = { train = 0.7, test = 0.3 }
stratify = true
[model]
n_qubits = 4
[trainer]
epochs = 2
[track]
mlflow = false
"""


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "iris.toml"
    path.write_text(IRIS)
    return path


def test_a_recommendation_as_text_and_as_json(job, capsys):
    assert main(["advise", "recommend", str(job)]) == 0
    text = capsys.readouterr().out
    assert "beat first" in text
    assert "90 % interval" in text
    assert main(["advise", "recommend", str(job), "--count", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["ranked"]) == 2
    assert found["ranked"][0]["candidate"]["encoding"]
    assert found["nearest"][0]["name"].startswith("iris")


def test_the_job_that_it_writes_can_be_trained(job, tmp_path, capsys):
    output = tmp_path / "best.toml"
    assert main(["advise", "recommend", str(job), "--output", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["job"] == str(output)
    advised = JobConfig.load(str(output), [])
    assert advised.name == "iris-advised"
    assert advised.track.mlflow is False
    assert checked(advised.model, advised.trainer, DatasetLoader.load(advised.dataset)).held.n_rows
    assert main(["advise", "recommend", str(job), "--output", str(output)]) == 2
    assert "the file exists" in capsys.readouterr().err


def test_one_class_is_said_plainly(job, capsys):
    words = ["--set", 'dataset.select.classes=["setosa"]']
    assert main(["advise", "recommend", str(job), *words]) in {2, 3}
    assert "Traceback" not in capsys.readouterr().err


def test_a_prediction_as_text_and_as_json(job, capsys):
    assert main(["advise", "predict", str(job), "--set", "trainer.epochs=20"]) == 0
    text = capsys.readouterr().out
    assert "90 % interval" in text
    assert "balanced" in text
    assert main(["advise", "predict", str(job), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] is None
    assert found["outside"] == ["2 epochs, and the table has 30"]
    assert found["circuits"] > 0


@pytest.mark.parametrize("place", ["no/such/folder/best.toml", ".", "a-file/best.toml"])
def test_a_job_that_cannot_be_written_is_said_plainly(job, tmp_path, monkeypatch, capsys, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("")
    assert main(["advise", "recommend", str(job), "--output", place, "--json"]) == 2
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["field"] == "--output"
    assert found["fix"]


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("--seconds=nan", "seconds"),
        ("--depth=-1", "depth"),
        ("--qubit=none", "qubit"),
        ("--error-budget=nan", "error_budget"),
    ],
)
def test_limits_that_mean_nothing_are_refused(job, capsys, option, field):
    assert main(["advise", "resources", str(job), option, "--json"]) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["field"] == field
