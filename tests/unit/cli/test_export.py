"""`qstore export`, and `qstore predict` from whatever holds a model."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainedModel,
    TrainerConfig,
)
from qstore_ray.cli.app import main

FLOWERS = DatasetConfig(name="iris", params={"dataset": "iris"}, preprocessing=[{"name": "minmax"}])
ROWS = np.random.default_rng(0).uniform(0.1, 5.0, (25, 4))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A finished run on iris; nobody may change it."""
    trainer = QuantumTrainer(
        ModelConfig(layers=1),
        TrainerConfig(epochs=2),
        name="trained",
        storage=tmp_path_factory.mktemp("runs"),
        track=TrackConfig(mlflow=False, figures=False),
    )
    result = trainer.fit(DatasetLoader.load(FLOWERS))
    assert result.model.known_origin().metrics == result.metrics, "known once the run has ended"
    return result.run_dir


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs" / "iris"))


@pytest.fixture
def rows(tmp_path: Path) -> str:
    np.save(tmp_path / "rows.npy", ROWS)
    return str(tmp_path / "rows.npy")


def _json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_run_is_exported_into_its_folder_or_where_asked(run: Path, tmp_path: Path, capsys):
    assert main(["export", "iris", "--storage", str(run.parent), "--json"]) == 0
    said = _json(capsys)
    assert said["model"] == str(run / "model.qsm")
    assert said["sha256"] == hashlib.sha256((run / "model.qsm").read_bytes()).hexdigest()
    assert said["bytes"] == (run / "model.qsm").stat().st_size

    other = tmp_path / "out.qsm"
    assert main(["export", str(run), "--output", str(other), "--card"]) == 0
    assert said["sha256"] in capsys.readouterr().out
    assert other.read_bytes() == (run / "model.qsm").read_bytes()
    card = (tmp_path / "model_card.md").read_text(encoding="utf-8")
    assert 'TrainedModel.load("out.qsm")' in card

    again = tmp_path / "again.qsm"
    assert main(["export", str(other), "--output", str(again)]) == 0
    assert again.read_bytes() == other.read_bytes()


def test_an_earlier_checkpoint_has_no_scores_of_the_last(run: Path, tmp_path: Path, capsys):
    first, last = sorted((run / "checkpoints").iterdir())
    for folder in (first, last):
        assert main(["export", str(folder), "--output", str(tmp_path / f"{folder.name}.qsm")]) == 0
    early = TrainedModel.load(tmp_path / f"{first.name}.qsm").origin
    late = TrainedModel.load(tmp_path / f"{last.name}.qsm").origin
    recorded = json.loads((run / "run.json").read_text(encoding="utf-8"))["metrics"]
    assert (early.epoch, early.metrics) == (1, {})
    assert (late.epoch, late.metrics) == (2, recorded)


def test_every_form_of_a_model_predicts_the_same(run: Path, rows: str, capsys):
    assert main(["export", str(run)]) == 0
    capsys.readouterr()
    newest = max((run / "checkpoints").iterdir())
    expected = TrainedModel.load(run).predict(ROWS).tolist()
    for model in (run, newest, run / "model.qsm"):
        assert main(["predict", str(model), rows, "--proba"]) == 0
        found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [int(row["prediction"]) for row in found] == expected


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "parquet"])
def test_the_ending_of_the_output_is_its_format(ending: str, run: Path, rows: str, tmp_path: Path):
    file = tmp_path / f"labels.{ending}"
    assert main(["predict", str(run), rows, "--proba", "--output", str(file)]) == 0
    if ending == "parquet":
        found = pq.read_table(file).to_pylist()
    elif ending == "csv":
        found = [
            {k: float(v) for k, v in row.items()}
            for row in csv.DictReader(io.StringIO(file.read_text()))
        ]
    else:
        found = [json.loads(line) for line in file.read_text().splitlines()]
    model = TrainedModel.load(run)
    assert [row["prediction"] for row in found] == model.predict(ROWS).tolist()
    names = [f"probability of {label}" for label in (0, 1, 2)]
    assert [[row[n] for n in names] for row in found] == model.predict_proba(ROWS).tolist()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["predict", "no.qsm", "x.npy"], 2, "there is no such model file"),
        (["export", "no.qsm"], 2, "that `qstore export` wrote, or a run."),
        (["evaluate", "no.qsm"], 2, "there is no such model file"),
        (["evaluate", "no.qsm", "--data", "x.csv"], 2, "there is no such model file"),
        (["evaluate", "{run}/damaged.qsm"], 2, "--data"),
        (["serve", "no.qsm"], 2, "there is no such model file"),
        (["export", "{run}", "--output", "/no/such/m.qsm"], 2, "--output"),
        (["export", "{run}", "--output", "model.pkl"], 2, "ends in .qsm"),
        (["export", "nothing", "--storage", "{run}/.."], 2, "unknown run"),
        (["predict", "{run}/damaged.qsm", "{run}/x.npy"], 1, "the archive is damaged"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_what_is_no_model_is_said(words, code, said, run: Path, capsys):
    (run / "damaged.qsm").write_bytes(b"PK")
    np.save(run / "x.npy", ROWS)
    assert main([word.format(run=run) for word in words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_a_model_trained_elsewhere_says_on_what_it_is_evaluated(run: Path, rows: str, capsys):
    config = (run / "config.toml").read_text(encoding="utf-8")
    (run / "config.toml").write_text(config.replace('"statevector"', '"aer"'), encoding="utf-8")
    assert main(["export", str(run)]) == 0
    assert main(["predict", str(run / "model.qsm"), rows]) == 0
    assert "trained on the backend aer, evaluated on statevector" in capsys.readouterr().err


def test_a_model_trained_with_noise_or_shots_says_that_it_is_evaluated_exactly(
    run: Path, rows: str, capsys
):
    config = (run / "config.toml").read_text(encoding="utf-8")
    config += "\n[trainer.noise]\nreadout = 0.1\n[trainer.backend_options]\nshots = 9\n"
    config = config.replace("[trainer.backend_options]\n\n", "").replace("backend_options = {}", "")
    (run / "config.toml").write_text(config, encoding="utf-8")
    said = "trained with noise and shots, evaluated exactly"
    assert main(["predict", str(run), rows]) == 0
    assert said in capsys.readouterr().err
    assert main(["export", str(run)]) == 0
    assert main(["predict", str(run / "model.qsm"), rows]) == 0
    assert said in capsys.readouterr().err
