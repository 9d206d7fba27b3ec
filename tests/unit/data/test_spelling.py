"""Texts that look alike: one Unicode form and no outer blanks, in every source."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.inputs.frame import by_name, frame_of
from qstore_ray.data.inputs.learnt import learnt
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.unlabelled import read_unlabelled
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.rows.labels import ClassLabels
from qstore_ray.data.rows.spelling import look_alike
from qstore_ray.errors import DataError, UnknownNameError, unknown_name_error

N = 12
NFC, NFD = (unicodedata.normalize(form, "Köln") for form in ("NFC", "NFD"))
NUMBERS = np.random.default_rng(0).normal(size=(N, 2))


def _npz(path: Path, labels: list[str]) -> None:
    np.savez(path, x=NUMBERS, y=np.array(labels))


def _hdf5(path: Path, labels: list[str]) -> None:
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = NUMBERS, np.array(labels, dtype=h5py.string_dtype())


def _csv(path: Path, labels: list[str]) -> None:
    pd.DataFrame(NUMBERS, columns=["a", "b"]).assign(y=labels).to_csv(path, index=False)


def _parquet(path: Path, labels: list[str]) -> None:
    pq.write_table(pa.table({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1], "y": labels}), path)


WRITERS = {".npz": _npz, ".h5": _hdf5, ".csv": _csv, ".parquet": _parquet}


@pytest.fixture(params=[*WRITERS, "memory"])
def load(request, tmp_path: Path) -> Callable[..., Dataset]:
    """Loads rows with these labels from a file of one kind, or from memory."""

    def loaded(labels: list[str], **fields) -> Dataset:
        if request.param == "memory":
            return DatasetLoader.from_arrays(NUMBERS, np.array(labels), **fields)
        path = tmp_path / f"rows{request.param}"
        WRITERS[request.param](path, labels)
        params = {"path": str(path)}
        return DatasetLoader.load(DatasetConfig(name="d", source="local", params=params, **fields))

    return loaded


def test_labels_that_look_alike_are_one_class_in_every_source(load):
    dataset = load([f" {NFC}", NFD, f"{NFC} ", "Ulm", " Ulm ", "Ulm"] * 2)
    assert dataset.classes == tuple(sorted((NFC, "Ulm")))
    rows = np.concatenate([dataset.rows(split) for split in dataset.sizes])
    numbers = np.concatenate([dataset.materialize(split).y for split in dataset.sizes])
    expected = [dataset.classes.index(name) for name in [NFC] * 3 + ["Ulm"] * 3] * 2
    assert numbers[np.argsort(rows)].tolist() == expected


def test_an_empty_label_is_missing_in_every_source(load):
    labels = ["a", "b", " ", "a", "b", ""] * 2
    with pytest.raises(DataError, match="a label is missing in row 2, and in 3 more"):
        load(labels)
    dataset = load(labels, bad_values="drop")
    assert dataset.classes == ("a", "b")
    assert sum(dataset.sizes.values()) == N - 4


def test_classes_that_differ_in_case_or_blanks_are_said_once(load):
    labels = ["Yes", "yes", "no", "new york", "newyork", "No."] * 2
    dataset = load(labels, split={"train": 1.0})
    said = (
        "classes that differ in case, blanks or notation only: 'Yes', 'yes'; 'new york', 'newyork'"
    )
    assert dataset.provenance["alike"] == said
    assert dataset.describe().count(said) == 1
    assert "alike" not in load(["yes", "no"] * 6).provenance


def test_chosen_classes_are_found_as_they_are_spelled(load):
    dataset = load([" a", "b ", "c"] * 4, select={"classes": ["a", "b"]})
    assert dataset.classes == ("a", "b")


def test_merged_classes_are_found_as_they_are_spelled(load):
    labels = ["a"] * 5 + ["b"] * 5 + [" c", "c "]
    dataset = load(labels, rare_classes="merge", split={"train": 1.0})
    assert dataset.classes == ("a", "b", "other")
    assert dataset.materialize("train").y.tolist() == [0] * 5 + [1] * 5 + [2] * 2


@pytest.mark.parametrize("classes", [(NFD, "Ulm"), (NFC, "Ulm"), (" Köln", "Ulm")])
def test_classes_that_an_earlier_version_kept_are_found(classes: tuple[str, str]):
    assert ClassLabels(tuple(sorted(classes))).encode(np.array([NFC, NFD, "Ulm"])).max() == 1


def test_classes_that_an_earlier_version_kept_apart_stay_apart():
    numbers = ClassLabels((" a", "a", "b")).encode(np.array(["a", " a", "b", "b "]))
    assert numbers.tolist() == [1, 0, 2, 2]


@pytest.mark.parametrize("trained", [NFC, NFD])
@pytest.mark.parametrize("given", [NFC, NFD, f" {NFD} "])
def test_a_category_is_found_in_any_form(trained: str, given: str):
    schema = learnt(frame_of({"town": [trained, "Ulm"]}))
    earlier = TableSchema((Column("town", "category", (trained, "Ulm")),))
    for table in (schema, earlier):
        assert by_name(frame_of({"town": [given]}), table).tolist() == [[0.0]]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_s_name_in_another_form_says_so(tmp_path: Path, suffix: str):
    signature = Signature(1, TableSchema((Column(NFC),)))
    frame, path = pd.DataFrame({NFD: [1.0]}), tmp_path / f"rows{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    for given in (lambda: signature.raw(frame), lambda: read_unlabelled(str(path), signature)):
        with pytest.raises(DataError, match="another Unicode form") as caught:
            given()
        assert ascii(NFD) in str(caught.value)
        assert ascii(NFC) in str(caught.value)


def test_an_unknown_name_in_another_form_says_so():
    error = unknown_name_error("column", NFC, [NFD, "Ulm"], field="columns.label")
    assert isinstance(error, UnknownNameError)
    assert "another Unicode form" in error.fix
    assert ascii(NFD) in error.fix


def test_numbers_in_another_notation_look_alike():
    assert look_alike(["0", "1", "00", "1.0", "1e0", "2", "x1"]) == (
        ("0", "00"),
        ("1", "1.0", "1e0"),
    )


def test_names_that_look_alike():
    names = ["Yes", "no", "yes ", "maybe", "may be"]
    assert look_alike(names) == (("Yes", "yes "), ("maybe", "may be"))
