"""`qstore train`: its results, what it refuses, and that a refusal leaves nothing behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qstore_ray.cli.app import main

JOB = """
name = "iris"
storage = "{storage}"

[dataset]
name = "iris"
params = {{ dataset = "iris" }}
preprocessing = [{{ name = "minmax" }}]

[model]
layers = 1

[trainer]
epochs = 2

[track]
mlflow = false
figures = false
"""


@pytest.fixture
def job(tmp_path: Path) -> str:
    path = tmp_path / "iris.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"), encoding="utf-8")
    return str(path)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Where the job's runs would be; it does not exist yet."""
    return tmp_path / "runs"


def _last_line(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_scores_exact_noisy_and_mitigated_stand_side_by_side(job, storage, capsys):
    """Wrong readout alone is inverted exactly."""
    noise = ["--set", "trainer.noise={readout=[[0.99, 0.45], [0.01, 0.55]]}"]
    mitigation = ["--set", 'trainer.mitigation={readout="inverse"}']
    assert main(["train", job, "--quiet", *noise, *mitigation]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if " accuracy " in line]
    shown = dict(re.split(r"  +", line, maxsplit=1) for line in lines)
    assert list(shown)[:3] == ["test", "with noise", "mitigated"]
    assert shown["mitigated"] == shown["test"]
    assert main(["train", job, "--quiet", "--json", "--fresh", *noise, *mitigation]) == 0
    result = _last_line(capsys)
    assert result["mitigated_test_loss"] == pytest.approx(result["test_loss"], abs=1e-9)
    assert result["noisy_test_loss"] != pytest.approx(result["test_loss"], abs=1e-3)


def test_scores_from_shots_are_not_called_noisy(job, capsys):
    options = ["--set", "trainer.backend_options={shots=50}", "--set", 'trainer.optimizer="spsa"']
    assert main(["train", job, "--quiet", *options]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^with shots +accuracy", out, re.MULTILINE)
    assert "noise" not in out


def test_a_run_ends_with_its_numbers_and_may_not_be_repeated_unasked(job, storage, capsys):
    assert main(["train", job, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    named = [line for line in out.splitlines() if not line.startswith(" ")]
    shown = dict(line.split(maxsplit=1) for line in named)
    assert shown["run"] == str(storage / "iris")
    assert re.match(r"accuracy [01]\.\d{4}$", shown["test"])
    assert re.match(r"accuracy [01]\.\d{4}$", shown["baseline"])
    assert "logistic regression" in shown["verdict"]
    assert shown["training"].startswith("2 epochs, ")
    assert re.match(r"\d+\.\d s for training", shown["time"])

    before = _content(storage)
    for flags in ([], ["--resume"], ["--resume", "--set", "trainer.learning_rate=0.2"]):
        assert main(["train", job, "--quiet", "--json", *flags]) == 2
        error = _last_line(capsys)
        assert error["error"] == "RunExistsError"
        assert "--fresh" in error["fix"]
    assert _content(storage) == before

    changes = ["--epochs", "1", "--seed", "3", "--set", "model.layers=2"]
    assert main(["train", job, "--quiet", "--json", "--fresh", *changes]) == 0
    result = _last_line(capsys)
    assert result["status"] == "finished"
    assert result["name"] == "iris"
    assert result["run_dir"] == str(storage / "iris")
    assert result["epochs"] == 1
    assert 0.0 <= result["test_accuracy"] <= 1.0
    assert result["baseline_accuracy"] > 0.8
    assert result["train_seconds"] > 0.0
    assert result["samples_per_second"] > 0.0
    assert result["verdict"]
    saved = (storage / "iris" / "config.toml").read_text(encoding="utf-8")
    assert "layers = 2" in saved
    assert "seed = 3" in saved


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_regression_without_baseline_has_nulls_for_what_it_has_not(job, capsys):
    regression = [
        "dataset.task=regression",
        "dataset.stratify=false",
        'dataset.params={dataset="make_friedman1"}',
        'dataset.preprocessing=[{name="pca",components=2},{name="minmax"}]',
        "baseline=false",
    ]
    flags = [word for change in regression for word in ("--set", change)]
    assert main(["train", job, "--quiet", "--json", "--epochs", "1", *flags]) == 0
    result = _last_line(capsys)
    assert result["test_accuracy"] is None
    assert result["baseline_accuracy"] is None
    assert result["test_loss"] > 0.0
    assert "the mean of the targets" in result["verdict"]


# typed, the end of the field's name, the value as shown, what the error expects or says to do
REFUSED = {
    "typo in a key": ("trainer.bach_size=3", "trainer.bach_size", "3", "batch_size"),
    "workers below 0": ("trainer.num_workers=-1", "trainer.num_workers", "-1", "equal to 0"),
    "more workers than CPUs": ("trainer.num_workers=64", "trainer.num_workers", "64", "workers"),
    "no qubits": ("model.n_qubits=0", "model.n_qubits", "0", "equal to 1"),
    "too many qubits": ("model.n_qubits=1001", "model.n_qubits", "1001", "1000 or less"),
    "ansatz": ("model.ansatz=basik", "ansatz", "'basik'", "'basic'"),
    "encoding": ("model.encoding=angel", "encoding", "'angel'", "'angle'"),
    "optimizer": ("trainer.optimizer=adamm", "trainer.optimizer", "'adamm'", "'adam'"),
    "schedule": ("trainer.schedule=cosin", "trainer.schedule", "'cosin'", "'cosine'"),
    "gradient": ("trainer.gradient=adjont", "trainer.gradient", "'adjont'", "'adjoint'"),
    "backend": ("trainer.backend=statvector", "trainer.backend", "'statvector'", "'statevector'"),
    "loss": ("model.loss=mze", "model.loss", "'mze'", "'mse'"),
    "no epochs": ("trainer.epochs=0", "trainer.epochs", "0", "equal to 1"),
    "epochs as text": ("trainer.epochs=many", "trainer.epochs", "'many'", "integer"),
    "rate not a number": ("trainer.learning_rate=nan", "trainer.learning_rate", "nan", "finite"),
    "empty batches": ("trainer.batch_size=0", "trainer.batch_size", "0", "equal to 1"),
    "dataset": ("dataset.params.dataset=irsi", "dataset.params.dataset", "'irsi'", "'iris'"),
    "source": ("dataset.source=sklern", "dataset.source", "'sklern'", "'sklearn'"),
    "split": ("dataset.split={train=0.5,test=0.6}", "dataset.split", "0.6", "not to 1"),
    "a path as name": ('name="../x"', "name", "'../x'", "letters"),
    "a number as name": ("name=5", "name", "5", "string"),
    "no override": ("trainer.epochs", "", "'trainer.epochs'", "key=value"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named_with_its_value_and_nothing_is_written(case, job, storage, capsys):
    typed, field, value, wanted = REFUSED[case]
    assert main(["train", job, "--quiet", "--json", "--set", typed]) == 2
    out, err = capsys.readouterr()
    error = json.loads(out.splitlines()[-1])
    assert error["exit_code"] == 2
    assert error["field"].endswith(field)
    assert value in error["value"]
    assert wanted in error["message"] + error["fix"]
    assert err.startswith("error ")
    assert all(error[name].split()[0] in err for name in ("message", "field") if error[name])
    assert not storage.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"a = = b", "line 1"), (b"\xff\xfe", "byte 0 is not UTF-8")],
    ids=["missing", "not TOML", "not text"],
)
def test_a_job_file_that_cannot_be_read_is_named(content, said, tmp_path, capsys):
    path = tmp_path / "job.toml"
    if content is not None:
        path.write_bytes(content)
    assert main(["train", str(path), "--json"]) == 2
    error = _last_line(capsys)
    assert said in error["message"]
    assert path.name in error["value"]


def test_data_that_do_not_exist_exit_with_3(job, storage, capsys):
    absent = 'dataset.params={path="/nowhere/absent.npz"}'
    sets = ["--set", "dataset.source=local", "--set", absent]
    assert main(["train", job, "--quiet", "--json", *sets]) == 3
    error = _last_line(capsys)
    assert error["error"] == "DataError"
    assert "absent.npz" in error["value"]
    assert not storage.exists()


def test_there_must_be_something_to_resume(job, storage, capsys):
    assert main(["train", job, "--quiet", "--json", "--resume"]) == 2
    error = _last_line(capsys)
    assert error["error"] == "RunExistsError"
    assert "--resume" in error["fix"]
    assert not storage.exists()


def test_resume_and_fresh_exclude_each_other(job, storage, capsys):
    assert main(["train", job, "--resume", "--fresh"]) == 2
    assert "--resume and --fresh exclude each other" in capsys.readouterr().err
    assert not storage.exists()


def test_a_name_of_digits_stays_text(job, storage, capsys):
    words = ["train", job, "--quiet", "--json", "--epochs", "1", "--name", "2024"]
    assert main([*words, "--storage", str(storage / "deeper")]) == 0
    assert _last_line(capsys)["run_dir"] == str(storage / "deeper" / "2024")
