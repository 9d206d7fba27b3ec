"""Labels that a model is scored against: what is wrong with one, and in which line it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.unlabelled import read_labelled, read_unlabelled
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.rows.labels import ClassLabels
from qstore_ray.errors import DataError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.trainer import QuantumTrainer

N = 24
LARGE = (2**53, 2**53 + 1, 2**53 + 2)
TABLE = {"a": [float(row % 7) for row in range(N)], "b": [float(row % 5) for row in range(N)]}
CLASSES = {
    "text": ("red", "green"),
    "integer": (3, 7),
    "boolean": (True, False),
}


def _model(folder: Path, labels, **fields) -> TrainedModel:
    """A model of the two columns of `TABLE`, trained for one epoch on the first of every label."""
    dataset = DatasetLoader.from_arrays(TABLE, np.resize(np.array(labels), N), **fields)
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(epochs=1), storage=folder,
        track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    return trainer.fit(dataset).model


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, TrainedModel]:
    folder = tmp_path_factory.mktemp("models")
    made = {kind: _model(folder / kind, labels) for kind, labels in CLASSES.items()}
    made["large"] = _model(folder / "large", LARGE)
    quantities = np.linspace(0.0, 1.0, N)
    return made | {"number": _model(folder / "number", quantities, task="regression")}


def _scored(model: TrainedModel, path: Path) -> dict[str, float]:
    found = read_labelled(str(path), model.signature or Signature(2), "kind", "test")
    return model.evaluate(model.labelled(found.rows, found.y, label="kind"))


def _write(path: Path, rows: list[tuple[object, object, object]]) -> Path:
    """The rows in the format of the suffix; line k + 1 of a CSV file is row k, from 0."""
    if path.suffix == ".csv":
        path.write_text("".join(f"{a},{b},{y}\n" for a, b, y in [("a", "b", "kind"), *rows]))
    elif path.suffix == ".jsonl":
        lines = [json.dumps({"a": a, "b": b, "kind": y}) for a, b, y in rows]
        path.write_text("\n".join(lines))
    elif path.suffix == ".arff":
        names = sorted({str(row[2]) for row in rows})
        kind = (
            "numeric" if all(isinstance(row[2], int) for row in rows) else f"{{{','.join(names)}}}"
        )
        head = f"@relation r\n@attribute a numeric\n@attribute b numeric\n@attribute kind {kind}\n"
        path.write_text(head + "@data\n" + "".join(f"{a},{b},{y}\n" for a, b, y in rows))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".arff"])
@pytest.mark.parametrize("kind", CLASSES)
def test_an_unknown_label_has_file_line_and_column(models, tmp_path: Path, kind: str, suffix: str):
    known = CLASSES[kind][0]
    path = _write(tmp_path / f"rows{suffix}", [(1, 2, str(known).lower()), (2, 1, "blue")])
    with pytest.raises(DataError, match="a label is not among the classes") as caught:
        _scored(models[kind], path)
    line = {".csv": 3, ".jsonl": 2, ".arff": 7}[suffix]
    assert caught.value.field == f"{path}, line {line}, column 'kind'"
    assert caught.value.value == "blue"
    assert all(repr(label) in caught.value.fix for label in CLASSES[kind])
    assert "feature" not in str(caught.value)


@pytest.mark.parametrize(("kind", "label"), [("integer", 5), ("text", "blue")])
def test_an_unknown_label_in_memory_has_row_and_column(models, kind: str, label: object):
    rows = pd.DataFrame({"a": [1.0], "b": [2.0], "kind": [label]})
    with pytest.raises(DataError, match="a label is not among the classes") as caught:
        models[kind].labelled(rows, label="kind")
    assert caught.value.field == "row 0, column 'kind'"


def test_an_unknown_label_of_an_array_has_its_row(models):
    with pytest.raises(DataError, match="first in row 1"):
        models["integer"].labelled(np.ones((3, 2)), np.array([3, 4, 7]))


def test_an_unknown_number_has_its_line(models, tmp_path: Path):
    path = _write(tmp_path / "rows.csv", [(1, 2, 3), (2, 1, 7), (2, 1, 12)])
    with pytest.raises(DataError, match="not among the classes") as caught:
        _scored(models["integer"], path)
    assert caught.value.field == f"{path}, line 4, column 'kind'"


def test_a_text_among_the_numbers_of_a_regression_is_a_label(models, tmp_path: Path):
    path = _write(tmp_path / "rows.csv", [(1, 2, 0.5), (2, 1, "high")])
    with pytest.raises(DataError, match="a label is not a number") as caught:
        _scored(models["number"], path)
    assert caught.value.field == f"{path}, line 3, column 'kind'"


@pytest.mark.parametrize("written", [("true", "False"), (1, 0), ("1", "0")])
def test_true_and_false_are_labels_however_they_are_written(models, tmp_path: Path, written):
    yes, no = written
    path = _write(tmp_path / "rows.csv", [(1, 2, yes), (2, 1, no)])
    found = read_labelled(str(path), models["boolean"].signature, "kind", "test")
    dataset = models["boolean"].labelled(found.rows, label="kind")
    assert dataset.materialize("test").y.tolist() == [1, 0]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".arff"])
def test_large_whole_numbers_are_read_as_they_are_written(models, tmp_path: Path, suffix: str):
    path = _write(tmp_path / f"rows{suffix}", [(1, 2, label) for label in LARGE[::-1]])
    found = read_labelled(str(path), models["large"].signature, "kind", "test")
    dataset = models["large"].labelled(found.rows, label="kind")
    assert dataset.materialize("test").y.tolist() == [2, 1, 0]


def test_a_missing_value_to_predict_on_has_file_and_line(models, tmp_path: Path):
    path = _write(tmp_path / "rows.csv", [(1, 2, "red"), ("", 1, "red")])
    rows = read_unlabelled(str(path), models["text"].signature).rows
    for use in (models["text"].predict, models["text"].features):
        with pytest.raises(DataError, match=r"NaN in column 0 \('a'\)") as caught:
            use(rows)
        assert caught.value.field == f"{path}, line 3"
    with pytest.raises(DataError, match="NaN in column 0") as caught:
        _scored(models["text"], path)
    assert caught.value.field == f"{path}, line 3"


def test_the_name_of_merged_classes_is_a_label_of_rows_to_score():
    labels = ClassLabels(("a", "b", "other"), merged=("c", "d"))
    found = labels.encode(np.array(["a", "other", "d", "b"]))
    assert found.tolist() == [0, 2, 2, 1]
    with pytest.raises(DataError, match="not among the classes") as caught:
        labels.encode(np.array(["c", "e"]))
    assert (caught.value.row, caught.value.value) == (1, "e")
    assert "'a', 'b', 'other'" in caught.value.fix


@pytest.mark.parametrize("form", [list, lambda y: pd.Series(y, dtype=object)])
def test_a_label_that_is_missing_in_memory_has_its_row(models, form):
    name, model = next(iter(models.items()))
    x = pd.DataFrame({column: [1.0, 2.0, 3.0] for column in model.signature.table.names})
    labels = [model.classes[0] if model.classes else 1.0, None, None]
    with pytest.raises(DataError, match="a label is missing") as caught:
        model.labelled(x, form(labels))
    assert "row 1" in str(caught.value), name
