"""Rare classes: weights, metrics and verdict of a training from data to report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.cli.app import main
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, RunExistsError, UnknownNameError
from qstore_ray.job import JobConfig, run_job
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.report.model_card import model_card
from qstore_ray.train.trainer import QuantumTrainer

PLAIN = TrackConfig(mlflow=False, figures=False)
SPLIT = {"train": 0.5, "val": 0.2, "test": 0.3}


def _table() -> tuple[np.ndarray, np.ndarray]:
    """600 rows of which 33 are oil spills, somewhat apart from the others."""
    rng = np.random.default_rng(3)
    x, spill = rng.normal(size=(600, 3)), np.arange(600) % 18 == 0
    x[spill] += [2.0, 1.5, 0.0]
    return x, np.where(spill, "oil spill", "clear")


@pytest.fixture(scope="module")
def spills() -> Dataset:
    x, y = _table()
    return DatasetLoader.from_arrays(x, y, split=SPLIT, preprocessing=[{"name": "minmax"}])


def _fit(
    dataset: Dataset, storage: Path, name: str = "run", *, existing="error", weight=None, **trainer
):
    config = {"epochs": 8, "batch_size": 32, "learning_rate": 0.1, "seed": 1, **trainer}
    fit = QuantumTrainer(
        ModelConfig(n_qubits=3, layers=1, input_scaling=True),
        TrainerConfig(**config), name=name, storage=storage, track=PLAIN,
    )  # fmt: skip
    return fit.fit(dataset, existing=existing, sample_weight=weight)


@pytest.mark.parametrize(
    "more", [{}, {"class_weight": "balanced"}, {"batches": "balanced"}], ids=str
)
def test_a_job_on_rare_classes_is_judged_by_balanced_accuracy(tmp_path, more):
    x, y = _table()
    table = tmp_path / "spills.csv"
    rows = [f"{a},{b},{c},{label}" for (a, b, c), label in zip(x, y, strict=True)]
    table.write_text("\n".join(["a,b,c,kind", *rows]), encoding="utf-8")
    job = JobConfig.from_dict(
        {
            "name": "spills", "storage": str(tmp_path / "runs"),
            "dataset": {
                "name": "spills", "source": "local", "params": {"path": str(table)},
                "columns": {"label": "kind"}, "split": SPLIT,
                "preprocessing": [{"name": "minmax"}],
            },
            "model": {"n_qubits": 3, "layers": 1, "input_scaling": True},
            "trainer": {"epochs": 12, "batch_size": 32, "learning_rate": 0.1, **more},
            "track": {"mlflow": False},
        }
    )  # fmt: skip
    result = run_job(job)
    assert "balanced accuracy" in result.verdict
    assert "as good" not in result.verdict
    assert result.metrics["majority_accuracy"] > 0.9
    assert result.metrics["majority_balanced_accuracy"] == 0.5
    found = result.metrics["test_recall_oil_spill"]
    assert ("finds no row of class oil spill" in result.verdict) == (found == 0.0)
    if more:
        assert found > 0.5
        assert not result.verdict.startswith("worse")
        assert "finds no row" not in result.verdict
    record = json.loads((result.run_dir / "run.json").read_text(encoding="utf-8"))
    assert record["verdict"] == result.verdict
    assert record["missing"] == {}
    assert record["metrics"]["test_roc_auc"] == result.metrics["test_roc_auc"]
    page = (result.run_dir / "report.html").read_text(encoding="utf-8")
    assert f"The model is {result.verdict.split('(')[0]}" in page
    assert "test balanced accuracy" in page
    assert f"The model is {result.verdict}." in model_card(result.run_dir)


def test_weights_find_the_rare_class(spills, tmp_path):
    plain = _fit(spills, tmp_path, "plain").metrics
    ways = [
        {"class_weight": "balanced"},
        {"class_weight": {"oil spill": 17.0}},
        {"weight": np.where(spills.materialize("train").y == 1, 17.0, 1.0)},
    ]
    found = [_fit(spills, tmp_path, f"way-{k}", **way).metrics for k, way in enumerate(ways)]
    for metrics in found:
        assert metrics["test_recall_oil_spill"] > plain["test_recall_oil_spill"]
        assert metrics["test_balanced_accuracy"] > plain["test_balanced_accuracy"]
    assert found[1]["train_loss"] == pytest.approx(found[2]["train_loss"], rel=1e-12)


def test_equal_weights_have_the_bits_of_none(spills, tmp_path):
    theta = _fit(spills, tmp_path, "none").model.theta.tobytes()
    for k, weight in enumerate((np.full(spills.sizes["train"], 0.1), 3.0)):
        assert _fit(spills, tmp_path, f"{k}", weight=weight).model.theta.tobytes() == theta
    same = _fit(spills, tmp_path, "table", class_weight={"clear": 2, "oil spill": 2.0})
    assert same.model.theta.tobytes() == theta


def test_what_is_monitored_is_recorded_unasked(spills, tmp_path):
    callbacks = [
        {"name": "early_stopping", "monitor": "val_balanced_accuracy", "patience": 3},
        {"name": "model_checkpoint", "monitor": "val_recall_oil_spill"},
    ]
    result = _fit(
        spills, tmp_path, class_weight="balanced", metrics=["f1_macro"], callbacks=callbacks,
        schedule="plateau", schedule_options={"patience": 0}, monitor="val_average_precision",
    )  # fmt: skip
    names = ("balanced_accuracy", "recall_oil_spill", "f1_macro", "average_precision")
    for record in result.history:
        assert {f"val_{name}" for name in names} <= record.keys()
        assert "val_roc_auc" not in record
    best = max(record["val_balanced_accuracy"] for record in result.history)
    assert result.metrics["val_balanced_accuracy"] == pytest.approx(best)
    index = json.loads((result.run_dir / "models" / "index.json").read_bytes())
    assert index[0]["value"] == max(r["val_recall_oil_spill"] for r in result.history)
    rates = [record["learning_rate"] for record in result.history]
    scores = [record["val_average_precision"] for record in result.history]
    for k in range(1, len(rates) - 1):  # the rate falls after an epoch that was no better
        assert (rates[k + 1] < rates[k]) == (scores[k] <= max(scores[:k]) * (1 + 1e-4))


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("trainer", "field", "said"),
    [
        ({"metrics": ["recall_rose"]}, "trainer.metrics", "unknown metric"),
        ({"metrics": ["r2"]}, "trainer.metrics", "unknown metric"),
        ({"monitor": "val_f2"}, "trainer.monitor", "unknown metric"),
        ({"class_weight": {"spill": 2.0}}, "trainer.class_weight", "unknown class"),
        ({"class_weight": {"clear": 0, "oil spill": 0}}, "trainer.class_weight", "zero"),
    ],
    ids=str,
)
def test_names_and_weights_that_do_not_fit_are_refused(spills, tmp_path, trainer, field, said):
    with pytest.raises(ConfigError, match=said) as caught:
        _fit(spills, tmp_path, **trainer)
    assert caught.value.field == field
    assert caught.value.fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [{"a": -1.0}, {"a": float("nan")}, {"a": "b"}, "even", {}, [1.0]])
def test_class_weights_that_are_none_are_refused_where_they_are_written(value):
    with pytest.raises(ConfigError) as caught:
        TrainerConfig(class_weight=value)
    assert caught.value.field.startswith("class_weight")
    assert ".." not in caught.value.field
    assert caught.value.fix


@pytest.mark.parametrize(
    "weight", [np.ones(3), np.full(300, np.nan), -np.ones(300), np.zeros(300), ["a"] * 300]
)
def test_row_weights_that_are_none_are_refused(spills, tmp_path, weight):
    with pytest.raises(ConfigError) as caught:
        _fit(spills, tmp_path, weight=weight)
    assert caught.value.field == "sample_weight"
    assert list(tmp_path.iterdir()) == []


def test_a_metric_that_val_does_not_define_cannot_be_followed(tmp_path):
    x, y = _table()
    val, test = (x[1:18], y[1:18]), (x[19:36], y[19:36])  # no spill in either
    data = DatasetLoader.from_arrays(x[36:], y[36:], val=val, test=test, split={"train": 1.0})
    for trainer in (
        {"monitor": "val_roc_auc", "schedule": "plateau"},
        {"callbacks": [{"name": "early_stopping", "monitor": "val_roc_auc"}]},
    ):
        with pytest.raises(ConfigError, match="every row is of class clear") as caught:
            _fit(data, tmp_path, **trainer)
        assert caught.value.field.endswith("monitor")
    result = _fit(data, tmp_path, metrics=["roc_auc"], epochs=1)
    assert "val_roc_auc" not in result.metrics
    assert "test_roc_auc" not in result.metrics
    assert result.missing["test_roc_auc"] == "every row is of class clear"
    assert result.missing["test_recall_oil_spill"] == "no row is of class oil spill"
    assert result.metrics["test_recall_clear"] >= 0.0


def test_metrics_of_val_need_val(tmp_path):
    x, y = _table()
    data = DatasetLoader.from_arrays(x, y, split={"train": 1.0})
    with pytest.raises(ConfigError, match="no validation rows") as caught:
        _fit(data, tmp_path, metrics=["roc_auc"])
    assert caught.value.field == "trainer.metrics"
    with pytest.raises(UnknownNameError, match="no validation rows"):
        _fit(data, tmp_path, monitor="val_roc_auc")


def test_other_weights_are_another_run(spills, tmp_path):
    """A resumed run has the same weights; a record without any is as it was before there were."""
    weight = np.linspace(1.0, 2.0, spills.sizes["train"])
    run = _fit(spills, tmp_path, weight=weight).run_dir
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    for other in (None, weight[::-1]):
        with pytest.raises(RunExistsError) as caught:
            _fit(spills, tmp_path, existing="resume", weight=other)
        assert caught.value.field == "sample_weight"
    with pytest.raises(RunExistsError) as caught:
        _fit(spills, tmp_path, existing="resume", weight=weight, class_weight="balanced")
    assert caught.value.field == "trainer.class_weight"
    resumed = _fit(spills, tmp_path, existing="resume", weight=weight, metrics=["roc_auc"])
    assert resumed.history
    plain = _fit(spills, tmp_path, "plain").run_dir
    recipe = json.loads((plain / "run.json").read_text(encoding="utf-8"))["recipe"]
    assert not {"class_weight", "metrics", "target_scaling"} & recipe["trainer"].keys()


def test_weights_of_classes_are_for_classes(tmp_path):
    x, _ = _table()
    data = DatasetLoader.from_arrays(x, x[:, 0], task="regression", split=SPLIT)
    with pytest.raises(ConfigError, match="one class a row") as caught:
        _fit(data, tmp_path, class_weight="balanced")
    assert caught.value.field == "trainer.class_weight"


def test_whole_numbers_as_labels_may_be_written_as_numbers(tmp_path):
    steps = [{"name": "pca", "components": 3}]
    config = DatasetConfig(name="iris", params={"dataset": "iris"}, preprocessing=steps)
    data = DatasetLoader.load(config)
    found = [
        _fit(data, tmp_path, str(k), class_weight=table).model.theta.tobytes()
        for k, table in enumerate(({0: 2.0}, {"0": 2.0}, {np.int64(0): 2}, {0.0: 2.0}))
    ]
    assert len(set(found)) == 1


def test_the_command_line_says_what_is_not_defined(tmp_path, capsys):
    """A split by time leaves the test rows without a spill."""
    x, _ = _table()
    rows = [
        f"{a},{b},{'spill' if k < 60 and k % 3 == 0 else 'clear'}" for k, (a, b, _) in enumerate(x)
    ]
    table = tmp_path / "spills.csv"
    table.write_text("\n".join(["a,b,kind", *rows[:200]]), encoding="utf-8")
    job = tmp_path / "job.toml"
    job.write_text(
        f"""
        name = "spills"
        storage = "{tmp_path / "runs"}"
        [dataset]
        name = "spills"
        source = "local"
        params = {{ path = "{table}" }}
        columns = {{ label = "kind" }}
        stratify = false
        split = {{ train = 0.5, test = 0.5, method = "time" }}
        [model]
        n_qubits = 2
        layers = 1
        [trainer]
        epochs = 1
        class_weight = {{ spill = 4.0 }}
        [track]
        mlflow = false
        figures = false
        """,
        encoding="utf-8",
    )
    assert main(["train", str(job), "--quiet", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["missing"]["test_roc_auc"] == "every row is of class clear"
    assert ": accuracy " in trained["verdict"]
    run = str(tmp_path / "runs" / "spills")
    assert main(["evaluate", run, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["roc_auc"] is None
    assert scores["recall_spill"] is None
    assert scores["missing"]["recall_spill"] == "no row is of class spill"
    assert scores["accuracy"] == scores["recall_clear"]
    assert main(["evaluate", run, "--split", "train"]) == 0
    shown = capsys.readouterr().out
    assert "balanced_accuracy" in shown
    assert "recall" in shown
    assert main(["evaluate", run]) == 0
    assert "not defined: every row is of class clear" in capsys.readouterr().out
    assert main(["train", str(job), "--quiet", "--fresh", "--name", "again", "--seed", "1"]) == 0
    assert "missing" in capsys.readouterr().out
    wrong = ["--set", "trainer.class_weight.oil=2", "--name", "wrong", "--json"]
    assert main(["train", str(job), *wrong]) == 2
    said = capsys.readouterr()
    assert "trainer.class_weight" in said.out + said.err
    assert main(["runs", "compare", run, str(tmp_path / "runs" / "again"), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["runs"][0]["metrics"]["test_f1_macro"] == scores["f1_macro"]
