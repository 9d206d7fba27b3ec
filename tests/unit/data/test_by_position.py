"""A model of arrays knows no names: it takes the columns of a table by position, and says so."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrainerConfig
from qstore_ray.cli.app import app
from qstore_ray.errors import DataError, UnknownNameError
from qstore_ray.track.config import TrackConfig

N, F = 40, 3
X = np.random.default_rng(2).normal(size=(N, F))
Y = np.arange(N) % 2
RUN = CliRunner()
UNTRACKED = TrackConfig(mlflow=False, figures=False)
NOTE = "knows no names: the columns are taken by position: a, b, c"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was trained on arrays, and what the model scores on them."""
    folder = tmp_path_factory.mktemp("runs")
    X[:, -1] = np.where(np.arange(N) < 5, X[:, -1], 0.0)  # LIBSVM leaves zeros out
    dataset = DatasetLoader.from_arrays(X, Y, preprocessing=[{"name": "standard"}])
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=F, layers=1), TrainerConfig(epochs=1), name="run", storage=folder,
        track=UNTRACKED,
    )  # fmt: skip
    model = trainer.fit(dataset).model
    return folder / "run", model, model.evaluate(model.labelled(X, Y))


def _table(label: str = "label", place: int = F) -> pd.DataFrame:
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    table.insert(place, label, Y)
    return table


@pytest.mark.parametrize("label", ["label", "Target", "y"])
@pytest.mark.parametrize("place", [0, 1, F])
def test_a_table_is_scored_by_its_label_and_its_places(run, label: str, place: int):
    with pytest.warns(UserWarning, match=NOTE):
        assert run[1].evaluate(_table(label, place)) == run[2]


def test_a_label_of_another_name_is_named(run):
    with pytest.warns(UserWarning, match=NOTE):
        dataset = run[1].labelled(_table("species"), label="species")
    assert run[1].evaluate(dataset) == run[2]
    with pytest.raises(DataError, match="the table has 4 columns, the model takes 3 features"):
        run[1].predict(_table("species"))


def test_a_label_that_is_no_column_is_refused(run):
    with pytest.raises(UnknownNameError, match="unknown column") as caught:
        run[1].labelled(_table("species"), label="specie")
    assert "'species'" in caught.value.fix


def test_predictions_leave_the_label_and_the_index_out(run):
    expected = run[1].predict(X).tolist()
    with pytest.warns(UserWarning, match=NOTE):
        assert run[1].predict(_table()).tolist() == expected
    with pytest.warns(UserWarning, match=NOTE):
        assert run[1].predict(_table().drop(columns="label")).tolist() == expected
    indexed = _table().reset_index().rename(columns={"index": "Unnamed: 0"})
    with pytest.warns(UserWarning, match=NOTE):
        assert run[1].predict(indexed).tolist() == expected


def test_names_that_are_places_need_no_word(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run[1].predict(pd.DataFrame(X))
        run[1].predict(X)


def test_a_feature_that_is_called_as_labels_are_is_a_feature(run):
    table = pd.DataFrame(X, columns=["a", "y", "c"])
    with pytest.warns(UserWarning, match="by position: a, y, c"):
        assert run[1].predict(table).tolist() == run[1].predict(X).tolist()


@pytest.mark.parametrize("width", [1, 2, 5])
def test_another_number_of_columns_is_refused_with_both_counts(run, width: int):
    table = pd.DataFrame(np.ones((4, width)), columns=[f"column {i}" for i in range(width)])
    message = f"the table has {width} columns, the model takes 3 features"
    with pytest.raises(DataError, match=message):
        run[1].predict(table)
    message = f"the table has {width} columns beside the label 'label', the model takes 3"
    with pytest.raises(DataError, match=message):
        run[1].evaluate(table.assign(label=0))


def test_a_text_is_no_number(run):
    table = _table()
    table["b"] = ["Bonn", "Ulm"] * (N // 2)
    with pytest.warns(UserWarning, match=NOTE), pytest.raises(DataError, match="'b'"):
        run[1].predict(table)


def _written(path: Path) -> list[str]:
    """The table as a file of this name, and what the command is given for it."""
    name = path.name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pandas(_table(), preserve_index=False), path)
    elif name.endswith(".arff"):
        head = [
            "@relation t",
            *(f"@attribute {n} numeric" for n in "abc"),
            "@attribute label {0,1}",
        ]
        lines = _table().to_csv(index=False, header=False)
        path.write_text("\n".join([*head, "@data", lines]))
    elif name.endswith(".jsonl"):
        _table().to_json(path, orient="records", lines=True, double_precision=15)
    elif name.endswith(".svm"):
        rows = zip(Y, X, strict=True)
        lines = (f"{y} " + " ".join(f"{i + 1}:{v}" for i, v in enumerate(x) if v) for y, x in rows)
        path.write_text("\n".join(lines) + "\n")
    elif name == "headless.csv":
        _table().to_csv(path, index=False, header=False)
        return [str(path), "--set", "columns.label=f3"]
    elif name == "indexed.csv":
        _table().to_csv(path)
    else:
        _table("species").to_csv(path, index=False)
        return [str(path), "--set", "columns.label=species"]
    return [str(path)]


@pytest.mark.parametrize(
    "name", ["t.csv", "headless.csv", "indexed.csv", "t.parquet", "t.jsonl", "t.arff", "t.svm"]
)
def test_files_of_every_format_are_scored_and_predicted_on(run, tmp_path: Path, name: str):
    given = _written(tmp_path / name)
    folder, model, scores = run
    found = RUN.invoke(app, ["evaluate", str(folder), "--data", *given, "--json"])
    assert found.exit_code == 0, found.output

    result = json.loads(found.stdout)
    assert result["rows"] == N
    assert result["loss"] == pytest.approx(scores["loss"], rel=1e-9)
    assert "3 features, by position (the model has no names): " in found.stderr
    predicted = RUN.invoke(app, ["predict", str(folder), *given])
    assert predicted.exit_code == 0, predicted.output
    expected = [str(label) for label in model.predict(X).tolist()]
    assert predicted.stdout.split()[1:] == expected
    assert predicted.stderr.count("by position") == 1


def test_an_id_is_no_feature(run, tmp_path: Path):
    table = _table().assign(id=np.arange(N) + 100)
    table.to_csv(tmp_path / "t.csv", index=False)
    found = RUN.invoke(app, ["predict", str(run[0]), str(tmp_path / "t.csv"), "--id", "id"])
    assert found.exit_code == 0, found.output
    assert found.stdout.split()[0] == "id,prediction"
    assert found.stdout.split()[1].startswith("100,")


def test_the_last_features_of_a_sparse_file_may_be_unwritten(run, tmp_path: Path):
    (tmp_path / "t.svm").write_text("0 1:0.5\n1 2:0.25\n")
    found = RUN.invoke(app, ["predict", str(run[0]), str(tmp_path / "t.svm")])
    expected = run[1].predict(np.array([[0.5, 0, 0], [0, 0.25, 0]])).tolist()
    assert found.stdout.split()[1:] == [str(label) for label in expected]


def test_a_file_of_another_width_is_refused_with_both_counts(run, tmp_path: Path):
    _table().drop(columns="b").to_csv(tmp_path / "t.csv", index=False)
    found = RUN.invoke(app, ["evaluate", str(run[0]), "--data", str(tmp_path / "t.csv")])
    assert found.exit_code != 0
    error = str(found.exception) if found.exception and not found.stderr else found.stderr
    assert "2 columns beside the label 'label'" in f"{error} {found.exception}"


def test_a_model_of_a_table_and_labels_finds_a_usual_label(run, tmp_path: Path):
    frame = _table().drop(columns="label")
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=F, layers=1), TrainerConfig(epochs=1), name="named", storage=tmp_path,
        track=UNTRACKED,
    )  # fmt: skip
    model = trainer.fit(DatasetLoader.from_arrays(frame, Y)).model
    expected = model.evaluate(model.labelled(frame, Y))
    assert model.evaluate(_table("Label", 1)) == expected
    _table("Label", 1).to_csv(tmp_path / "t.csv", index=False)
    found = RUN.invoke(
        app, ["evaluate", str(tmp_path / "named"), "--data", str(tmp_path / "t.csv"), "--json"]
    )
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["loss"] == pytest.approx(expected["loss"], rel=1e-9)
