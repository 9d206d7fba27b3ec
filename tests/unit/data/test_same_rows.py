"""One model, the same rows in every format: the same predictions and scores, row by row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.unlabelled import read_labelled, read_unlabelled
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import DataError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.trainer import QuantumTrainer

N = 30
NAMES = ["width", "length", "height"]
TABLE = pd.DataFrame(np.random.default_rng(3).normal(size=(N, 3)), columns=NAMES)
KINDS = np.arange(N) % 3 + 1
ROWS = TABLE.iloc[::2].assign(Id=[f"r{k:02}" for k in range(0, N, 2)], kind=KINDS[::2])

Write = Callable[[pd.DataFrame, Path], None]


def _trained(x, folder: Path) -> TrainedModel:
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=3, layers=1), TrainerConfig(epochs=1), storage=folder,
        track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    scale = [{"name": "minmax"}]
    return trainer.fit(DatasetLoader.from_arrays(x, KINDS, preprocessing=scale)).model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> TrainedModel:
    """Trained on columns with names."""
    return _trained(TABLE, tmp_path_factory.mktemp("named"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> TrainedModel:
    """Trained on an array."""
    return _trained(TABLE.to_numpy(), tmp_path_factory.mktemp("plain"))


def _arff(rows: pd.DataFrame, path: Path) -> None:
    kinds = {"Id": "string"}
    lines = [f"@attribute {name} {kinds.get(name, 'numeric')}" for name in rows]
    data = [",".join(map(repr, row)) for row in rows.to_numpy(dtype=object).tolist()]
    path.write_text("\n".join(["@relation r", *lines, "@data", *data]) + "\n")


def _jsonl(rows: pd.DataFrame, path: Path) -> None:
    path.write_text("\n".join(map(json.dumps, rows.to_dict("records"))))


TABLES: dict[str, Write] = {
    ".csv": lambda rows, path: rows.to_csv(path, index=False),
    ".tsv": lambda rows, path: rows.to_csv(path, index=False, sep="\t"),
    ".parquet": lambda rows, path: rows.to_parquet(path, index=False),
    ".jsonl": _jsonl,
    ".arff": _arff,
}


def _npz(rows: pd.DataFrame, path: Path) -> None:
    np.savez(path, x=rows[NAMES].to_numpy(), y=rows["kind"].to_numpy())


def _hdf5(rows: pd.DataFrame, path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = rows[NAMES].to_numpy(), rows["kind"].to_numpy()


def _npy(rows: pd.DataFrame, path: Path) -> None:
    path.mkdir()
    np.save(path / "x.npy", rows[NAMES].to_numpy())
    np.save(path / "y.npy", rows["kind"].to_numpy())


def _libsvm(rows: pd.DataFrame, path: Path) -> None:
    lines = [
        " ".join([f"{kind}", *(f"{at}:{value!r}" for at, value in enumerate(values, start=1))])
        for kind, values in zip(rows["kind"], rows[NAMES].to_numpy().tolist(), strict=True)
    ]
    path.write_text("\n".join(lines))


ARRAYS: dict[str, Write] = {".npz": _npz, ".h5": _hdf5, "": _npy, ".libsvm": _libsvm}

IN_MEMORY = {
    "pandas": lambda rows: rows,
    "a dictionary": lambda rows: {name: rows[name].tolist() for name in rows},
    "records": lambda rows: rows.to_dict("records"),
    "a structured array": lambda rows: rows.to_records(index=False),
}

COLUMNS = {
    "in order": [*NAMES, "kind"],
    "permuted": ["kind", *NAMES[::-1]],
    "with more": ["Id", "height", "kind", "width", "length"],
}


def _read(model: TrainedModel, path: Path):
    return read_unlabelled(str(path), model.signature or Signature(3), kept=("Id", "kind"))


def _scores(model: TrainedModel, given, y=None) -> dict[str, float]:
    return model.evaluate(model.labelled(given, y, label=None if y is not None else "kind"))


def _expected(model: TrainedModel) -> tuple[np.ndarray, dict[str, float]]:
    x, y = ROWS[NAMES].to_numpy(), ROWS["kind"].to_numpy()
    return model.outputs(x), _scores(model, x, y)


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("suffix", TABLES)
def test_a_table_in_a_file(model, tmp_path: Path, suffix: str, columns: list[str]):
    outputs, scores = _expected(model)
    order = np.random.default_rng(1).permutation(len(ROWS))
    path = tmp_path / f"rows{suffix}"
    TABLES[suffix](ROWS.iloc[order][columns], path)
    found = _read(model, path).rows
    np.testing.assert_array_equal(model.outputs(found), outputs[order])
    if "Id" in columns:
        ids = found.arrow("Id").to_pylist()
        by_id = dict(zip(ids, model.predict(found).tolist(), strict=True))
        plain = dict(zip(ROWS["Id"], model.predict(ROWS[NAMES].to_numpy()).tolist(), strict=True))
        assert by_id == plain
    labelled = read_labelled(str(path), model.signature, "kind", "test")
    assert _scores(model, labelled.rows) == pytest.approx(scores, rel=1e-12)


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("made", IN_MEMORY.values(), ids=IN_MEMORY)
def test_a_table_in_memory(model, made, columns: list[str]):
    outputs, scores = _expected(model)
    given = made(ROWS[columns])
    np.testing.assert_array_equal(model.outputs(given), outputs)
    assert _scores(model, given) == scores


@pytest.mark.parametrize(
    ("which", "suffix"),
    [("model", suffix) for suffix in ARRAYS if suffix != ".libsvm"]
    + [("plain", suffix) for suffix in ARRAYS],
)
def test_arrays_in_a_file(request, tmp_path: Path, suffix: str, which: str):
    model = request.getfixturevalue(which)
    outputs, _ = _expected(model)
    path = tmp_path / f"rows{suffix}"
    ARRAYS[suffix](ROWS, path)
    np.testing.assert_array_equal(model.outputs(_read(model, path).rows), outputs)


@pytest.mark.parametrize("suffix", [suffix for suffix in ARRAYS if suffix != ".libsvm"])
@pytest.mark.parametrize("which", ["model", "plain"])
def test_scores_of_arrays_in_a_file(request, tmp_path: Path, suffix: str, which: str):
    model = request.getfixturevalue(which)
    path = tmp_path / f"rows{suffix}"
    ARRAYS[suffix](ROWS, path)
    found = read_labelled(str(path), model.signature or Signature(3), None, "test")
    assert _scores(model, found.rows, found.y) == _expected(model)[1]


def test_columns_without_names_are_refused_by_a_model_with_names(model, tmp_path: Path):
    _libsvm(ROWS, tmp_path / "rows.libsvm")
    with pytest.raises(DataError, match="columns of LIBSVM files have no names"):
        _read(model, tmp_path / "rows.libsvm")


@pytest.mark.parametrize("suffix", TABLES)
def test_a_missing_column_in_a_file_is_named(model, tmp_path: Path, suffix: str):
    path = tmp_path / f"rows{suffix}"
    TABLES[suffix](ROWS.drop(columns="length"), path)
    with pytest.raises(DataError, match="1 of the model's 3 features are missing: length"):
        _read(model, path)


@pytest.mark.parametrize("made", IN_MEMORY.values(), ids=IN_MEMORY)
def test_a_missing_column_in_memory_is_named(model, made):
    with pytest.raises(DataError, match="1 of the model's 3 features are missing: length"):
        model.predict(made(ROWS.drop(columns="length")))


@pytest.mark.parametrize("suffix", ARRAYS)
def test_arrays_of_another_width_are_refused(plain, tmp_path: Path, monkeypatch, suffix: str):
    monkeypatch.setattr(f"{__name__}.NAMES", [*NAMES, "kind"])
    path = tmp_path / f"rows{suffix}"
    ARRAYS[suffix](ROWS, path)
    with pytest.raises(DataError, match=r"4 (features|columns)|3 (features|columns)"):
        plain.predict(_read(plain, path).rows)
