"""What an earlier version wrote opens, and means what it meant then.

`tests/golden/earlier.json` has the bytes of the files (deflated, in base64) that the version before
targets were standardised and rows were ranked by a stream of their own wrote about iris, and what
its models predicted: `lib`, a classifier of the species; `reg`, the petal width from the others.
"""

from __future__ import annotations

import base64
import csv
import json
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from qstore_ray import DatasetConfig, DatasetLoader, TrainedModel
from qstore_ray.cli.app import main
from qstore_ray.config import read_toml
from qstore_ray.data.config import SplitConfig
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import RunExistsError
from qstore_ray.train.config import TrainingJob
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.study.recipe import check_same, study_recipe

EARLIER = json.loads(
    (Path(__file__).resolve().parent.parent / "golden" / "earlier.json").read_text()
)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The folder of those files, beside the data that the run was trained on."""
    for name, text in EARLIER["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zlib.decompress(base64.b64decode(text)))
    iris = load_iris()
    with (tmp_path / "iris.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["a", "b", "c", "d", "species"])
        for row, species in zip(iris.data.tolist(), iris.target_names[iris.target], strict=True):
            table.writerow([*row, species])
    config = tmp_path / "runs" / "lib" / "config.toml"
    config.write_text(config.read_text().replace("/tmp/old/iris.csv", str(tmp_path / "iris.csv")))
    return tmp_path


@pytest.mark.parametrize("name", ["lib.qsm", "runs/lib"])
def test_a_classifier_predicts_the_same(earlier: Path, name: str):
    rows = load_iris().data[EARLIER["rows"]]
    given = TrainedModel.load(earlier / name).predict_proba(rows)
    np.testing.assert_allclose(given, EARLIER["lib"], rtol=0, atol=1e-12)


def test_a_regressor_predicts_the_same(earlier: Path):
    rows = load_iris().data[EARLIER["rows"], :3]
    given = TrainedModel.load(earlier / "reg.qsm").predict(rows)
    np.testing.assert_allclose(given, EARLIER["reg"], rtol=0, atol=1e-12)


def test_a_run_is_scored_on_the_rows_that_it_did_not_see(earlier: Path, capsys):
    assert main(["evaluate", str(earlier / "runs" / "lib"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["accuracy"] == EARLIER["test_accuracy"]


def test_a_run_on_other_data_is_still_refused(earlier: Path, capsys):
    table = earlier / "iris.csv"
    table.write_text(table.read_text().replace("5.1,3.5,1.4,0.2", "5.1,3.5,1.4,0.3", 1))
    assert main(["evaluate", str(earlier / "runs" / "lib")]) != 0
    assert "the data have changed" in " ".join(capsys.readouterr().err.split())


def test_the_earlier_ranks_give_the_earlier_parts(earlier: Path):
    saved = Dataset.load(earlier / "saved")
    config = DatasetConfig.from_dict(read_toml(earlier / "runs" / "lib" / "config.toml")["dataset"])
    split = SplitConfig(**config.split.to_dict(), ranks="default_rng")
    again = DatasetLoader.load(config.model_copy(update={"split": split}))
    assert again.fingerprint == saved.fingerprint
    assert DatasetLoader.load(config).fingerprint != saved.fingerprint
    for part in ("train", "val", "test"):
        np.testing.assert_array_equal(again.rows(part), saved.rows(part))
        np.testing.assert_array_equal(again.materialize(part).x, saved.materialize(part).x)


def test_a_study_is_shown(earlier: Path, capsys):
    assert main(["tune", "show", str(earlier / "runs" / "oldtune"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [trial["status"] for trial in shown["trials"]] == ["completed", "completed"]


def test_a_study_goes_on_with_the_earlier_ranks(earlier: Path):
    lines = (earlier / "runs" / "oldtune" / "study.journal").read_text().splitlines()
    noted = [json.loads(line).get("user_attr", {}) for line in lines]
    (recipe,) = [attributes["qstore"] for attributes in noted if "qstore" in attributes]
    table = read_toml(earlier / "runs" / "oldtune" / "config.toml")
    search = TuneConfig.from_dict(table.pop("tune"))

    def now(**split) -> dict:
        table["dataset"]["split"] |= split
        job = TrainingJob.from_dict(table)
        data = DatasetLoader.load(job.dataset).fingerprint
        return study_recipe(search.space, job, search.objectives, data)

    with pytest.raises(RunExistsError, match="other data") as caught:
        check_same(recipe, now())
    assert 'split.ranks = "default_rng"' in caught.value.fix
    check_same(recipe, now(ranks="default_rng"))


@pytest.mark.parametrize("name", ["lib.qsm", "runs/lib"])
def test_a_model_without_column_names_is_scored_on_a_table(earlier: Path, name: str, capsys):
    """Its columns but the label are taken by position, and that is said."""
    model, table = earlier / name, earlier / "iris.csv"
    assert main(["evaluate", str(model), "--data", str(table)]) != 0
    assert "no label column is known" in " ".join(capsys.readouterr().err.split())
    label = ["--set", "columns.label=species"]
    assert main(["evaluate", str(model), "--data", str(table), *label, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "by position: a, b, c, d\n" in err
    assert "Warning" not in err
    scores = json.loads(out.splitlines()[-1])
    assert scores["rows"] == 150

    frame = pd.read_csv(table)
    loaded = TrainedModel.load(model)
    with pytest.warns(UserWarning, match="kept no column names"):
        rows = loaded.labelled(frame, label="species")
    assert loaded.evaluate(rows)["accuracy"] == scores["accuracy"]
    arrays = loaded.labelled(load_iris().data, frame["species"].to_numpy())
    assert loaded.evaluate(arrays)["accuracy"] == scores["accuracy"]
