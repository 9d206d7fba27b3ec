"""`qstore runs compare`, `plot` and `report` on runs really trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.cli.app import main
from qstore_ray.cli.commands import plot
from qstore_ray.figures import curves

FLOWERS = DatasetConfig(name="iris", params={"dataset": "iris"}, preprocessing=[{"name": "minmax"}])


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    """Two runs on iris and a regression on arrays in memory; nobody may change them."""
    folder = tmp_path_factory.mktemp("runs")
    flowers = DatasetLoader.load(FLOWERS)
    x = np.random.default_rng(0).normal(size=(40, 2))
    numbers = DatasetLoader.from_arrays(x, x[:, 0], task="regression", stratify=False)
    for name, data, layers, qubits in (
        ("one", flowers, 1, 4), ("two", flowers, 2, 4), ("numbers", numbers, 1, 2)
    ):  # fmt: skip
        QuantumTrainer(
            ModelConfig(layers=layers, n_qubits=qubits),
            TrainerConfig(epochs=2),
            name=name,
            storage=folder,
            track=TrackConfig(mlflow=False),
        ).fit(data)
    return folder


def _json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_compared_runs_show_what_differs_and_who_is_best(storage, capsys):
    assert main(["runs", "compare", "one", "two", "--storage", str(storage), "--json"]) == 0
    found = _json(capsys)
    assert [run["settings"] for run in found["runs"]] == [{"model.layers": 1}, {"model.layers": 2}]
    record = json.loads((storage / "one" / "run.json").read_text(encoding="utf-8"))
    first, second = (run["metrics"] for run in found["runs"])
    assert first["test_loss"] == record["metrics"]["test_loss"]
    assert found["best"]["test_loss"] == [
        "one" if first["test_loss"] < second["test_loss"] else "two"
    ]

    assert main(["runs", "compare", "one", "two", "--storage", str(storage)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["one", "two"]
    assert lines[2].split() == ["model.layers", "1", "2"]
    (loss,) = [line for line in lines if line.startswith("test_loss")]
    assert loss.count("*") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "one"], "at least two"),
        (["compare", "one", "one"], "named twice"),
        (["compare", "one", "tow"], "Did you mean 'two'"),
        (["plot", "one", "--kind", "los"], "Did you mean 'loss'"),
        (["plot", "one", "--format", "pdf"], "png"),
        (["plot", "numbers", "--kind", "accuracy"], "nothing of this kind"),
        (["plot", "numbers", "--kind", "confusion"], "one class a row"),
        (["report", "three"], "run"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_exits_with_2(words, said, storage, capsys):
    assert main(["runs", *words, "--storage", str(storage)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_a_run_is_plotted_whole(storage, tmp_path, capsys):
    words = ["runs", "plot", "one", "--storage", str(storage), "--output", str(tmp_path / "p")]
    assert main([*words, "--format", "svg", "--json"]) == 0
    names = [Path(path).stem for path in _json(capsys)["files"]]
    kinds = ["confusion_matrix" if kind == "confusion" else kind for kind in plot.OF_THE_MODEL]
    assert names == [*plot.CURVES, *kinds]
    assert sorted(path.stem for path in (tmp_path / "p").iterdir()) == sorted(names)


def test_runs_are_plotted_over_each_other(storage, tmp_path, capsys):
    words = ["runs", "plot", "one", "two", "numbers", "--storage", str(storage)]
    assert main([*words, "--kind", "loss", "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "loss.png")]
    assert main([*words, "--kind", "circuit", "--output", str(tmp_path)]) == 0
    assert [Path(path).name for path in capsys.readouterr().out.split()] == [
        "one-circuit.png", "two-circuit.png", "numbers-circuit.png",
    ]  # fmt: skip


def test_what_is_left_out_of_all_is_said(storage, tmp_path, capsys):
    words = ["runs", "plot", "numbers", "--storage", str(storage), "--output", str(tmp_path)]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert len(out.split()) == 4
    for kind in ("accuracy", "confusion", "landscape", "boundary"):
        assert f"numbers: no picture of kind {kind}" in err


def test_the_kinds_of_curves_are_those_that_can_be_drawn():
    """The command names them itself, so that its help needs no NumPy."""
    assert plot.CURVES == curves.CURVES


def test_a_report_has_the_matrix_of_data_loaded_again(storage, tmp_path, capsys):
    run = Path(shutil.copytree(storage / "one", tmp_path / "one"))
    assert main(["runs", "report", str(run)]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(run / "report.html")
    assert err == ""
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "versicolor" in text
    assert "train 105, val 15, test 30" in text


def test_a_report_without_the_data_says_so(storage, tmp_path, capsys):
    run = Path(shutil.copytree(storage / "numbers", tmp_path / "numbers"))
    assert main(["runs", "report", str(run), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["confusion"] is False
    assert "in memory" in err
    assert (run / "report.html").exists()


def test_a_compliance_document_is_written_beside_the_run(storage, tmp_path, capsys):
    run = Path(shutil.copytree(storage / "one", tmp_path / "one"))
    words = ["runs", "report", str(run), "--compliance"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(run / "compliance.html"), str(run / "compliance.json")]
    assert err == ""
    assert main([*words, "--json"]) == 0
    found = _json(capsys)
    table = json.loads((run / "compliance.json").read_text(encoding="utf-8"))
    assert sum(found["risks"].values()) == len(table["risks"])
    assert sum(found["maturity"].values()) == len(table["maturity"]["points"]) == 28
    assert found["open_questions"] == len(table["open_questions"])


def test_a_compliance_document_without_the_data_says_so(storage, tmp_path, capsys):
    run = Path(shutil.copytree(storage / "numbers", tmp_path / "numbers"))
    assert main(["runs", "report", str(run), "--compliance"]) == 0
    assert "in memory" in capsys.readouterr().err
    table = json.loads((run / "compliance.json").read_text(encoding="utf-8"))
    assert "data check" in {each["rule"] for each in table["risks"]}


def test_a_run_without_a_record_has_no_compliance_document(storage, tmp_path, capsys):
    run = Path(shutil.copytree(storage / "one", tmp_path / "one"))
    (run / "run.json").unlink()
    assert main(["runs", "report", str(run), "--compliance", "--json"]) == 1
    assert "run.json is missing" in _json(capsys)["message"]
    assert not (run / "compliance.json").exists()


def test_a_run_whose_tracker_was_away_is_completed(tmp_path, capsys):
    """The store is a file in a folder that cannot be made while the run goes on."""
    blocked = tmp_path / "store"
    blocked.write_text("not a folder")
    uri = f"sqlite:///{blocked}/mlflow.db"
    job = tmp_path / "job.toml"
    job.write_text(
        f"""
        name = "late"
        storage = "{tmp_path / "runs"}"
        [dataset]
        name = "iris"
        params = {{ dataset = "iris" }}
        preprocessing = [{{ name = "minmax" }}]
        [model]
        layers = 1
        [trainer]
        epochs = 2
        [track]
        mlflow_uri = "{uri}"
        figures = false
        """
    )
    assert main(["train", str(job), "--quiet"]) == 0
    assert "mlflow" in capsys.readouterr().err
    blocked.unlink()
    blocked.mkdir()
    assert main(["runs", "sync", "late", "--storage", str(tmp_path / "runs"), "--json"]) == 0
    assert _json(capsys)["trackers"] == ["mlflow"]
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    (experiment,) = (e for e in client.search_experiments() if e.name == "qstore_ray")
    (run,) = client.search_runs([experiment.experiment_id])
    points = client.get_metric_history(run.info.run_id, "train_loss")
    assert [point.step for point in points] == [0, 1]
    assert run.info.status == "FINISHED"
