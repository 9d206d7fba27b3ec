"""Folds and groups from the configuration: which rows they give, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.data.config import DatasetConfig, SplitConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.splits.cut import Cut, cut
from qstore_ray.errors import ConfigError, DataError, UnknownNameError

N = 60
X = np.random.default_rng(1).normal(size=(N, 2))
Y = np.arange(N) % 3
PATIENTS = np.array([f"p{k}" for k in np.random.default_rng(2).integers(0, 12, N)])
BY_GROUP = {"train": 0.6, "val": 0.2, "test": 0.2, "method": "group"}


def _asked(n_rows: int = N, **fields) -> Cut:
    usual = {"seed": 3, "official": frozenset(), "groups": None, "labels": None, "classes": ()}
    return Cut(n_rows=n_rows, rows=np.arange(n_rows), **{**usual, **fields})


def _table(folder: Path, ending: str, patients=PATIENTS) -> Path:
    path = folder / f"visits.{ending}"
    columns = {"a": X[:, 0], "b": X[:, 1], "patient": patients, "label": Y}
    table = pa.table({name: column.tolist() for name, column in columns.items()})
    if ending == "parquet":
        pa.parquet.write_table(table, path, row_group_size=13)
    elif ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        lines = [",".join(map(str, row.values())) for row in table.to_pylist()]
        path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


def _load(path: Path, split: dict, group: str | None = "patient", **fields) -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(
            name="visits",
            source="local",
            params={"path": str(path), "rows_per_task": 13},
            columns={"group": group} if group else None,
            split=split,
            **fields,
        )
    )


# ------------------------------------------------------------------------------------------ folds


@pytest.mark.parametrize("test", [None, 0.2])
@pytest.mark.parametrize("method", ["seed", "hash", "group"])
@pytest.mark.parametrize("stratified", [False, True])
def test_the_folds_share_test_and_hold_out_every_other_row_once(test, method, stratified):
    labels = Y if stratified and method == "seed" else None
    groups = PATIENTS if method == "group" else None
    asked = _asked(labels=labels, groups=groups, classes=(0, 1, 2))
    cuts = [cut(SplitConfig(folds=4, fold=i, test=test, method=method), asked) for i in range(4)]
    for parts in cuts:
        assert list(parts) == ["train", "val", *(["test"] if test else [])]
        np.testing.assert_array_equal(np.sort(np.concatenate([*parts.values()])), np.arange(N))
        assert all((np.diff(rows) > 0).all() for rows in parts.values())
        if test:
            np.testing.assert_array_equal(parts["test"], cuts[0]["test"])
        if groups is not None:
            kept = [set(groups[rows]) for rows in parts.values()]
            assert sum(map(len, kept)) == len(set(groups))
    held = np.concatenate([parts["val"] for parts in cuts])
    assert len(held) == len(set(held)) == N - len(cuts[0].get("test", ()))
    if labels is not None:
        each = [np.bincount(labels[parts["val"]]).tolist() for parts in cuts]
        assert each == ([[4, 4, 4]] * 4 if test else [[5, 5, 5]] * 4)


@settings(max_examples=30)
@given(st.integers(2, 6), st.integers(0, 2**63 - 1))
def test_folds_without_test_are_of_equal_size(k, seed):
    asked = _asked(seed=seed)
    sizes = [len(cut(SplitConfig(folds=k, fold=i), asked)["val"]) for i in range(k)]
    assert sum(sizes) == N
    assert max(sizes) - min(sizes) <= 1


def test_a_dataset_of_one_fold():
    split = {"folds": 4, "fold": 1, "test": 0.2}
    dataset = DatasetLoader.from_arrays(X, Y, split=split)
    assert dataset.sizes == {"train": 36, "val": 12, "test": 12}
    assert dataset.class_counts["val"] == (4, 4, 4)
    assert DatasetConfig.from_dict(dataset.config.to_dict()) == dataset.config
    others = DatasetLoader.from_arrays(X, Y, split={**split, "fold": 2})
    np.testing.assert_array_equal(others.rows("test"), dataset.rows("test"))
    assert not set(others.rows("val")) & set(dataset.rows("val"))
    assert others.fingerprint != dataset.fingerprint


def test_folds_beside_an_official_test_and_without_an_official_val():
    one = {"folds": 3, "fold": 0}
    dataset = DatasetLoader.from_arrays(X, Y, test=(X[:9], Y[:9]), split=one)
    assert dataset.sizes == {"train": 40, "val": 20, "test": 9}
    with pytest.raises(ConfigError, match="brings its own validation rows") as caught:
        DatasetLoader.from_arrays(X, Y, val=(X[:9], Y[:9]), split=one)
    assert (caught.value.field, caught.value.value) == ("split.folds", 3)
    assert '{"train": 1.0}' in caught.value.fix


def test_more_folds_than_rows_of_a_class():
    split = {"folds": 5, "fold": 4}
    labels = np.where(np.arange(N) < 3, "rare", "common")
    dataset = DatasetLoader.from_arrays(X, labels, split=split)
    rare = dataset.classes.index("rare")
    found = [dataset.class_counts[part][rare] for part in ("train", "val")]
    assert sum(found) == 3
    assert found[1] <= 1
    labels = np.where(np.arange(N) < 1, "rare", "common")
    with pytest.raises(DataError, match="class 'rare' has 1 row, which one of 5") as caught:
        DatasetLoader.from_arrays(X, labels, split={"folds": 5, "fold": 0})
    assert "stratify = false" in caught.value.fix
    with pytest.raises(DataError, match="2 groups cannot be divided"):
        cut(SplitConfig(folds=3, fold=0, method="group"), _asked(groups=np.array(["a", "b"] * 30)))


@pytest.mark.parametrize(
    ("split", "field", "value", "fix"),
    [
        ({"folds": 5, "fold": 5}, "fold", 5, "from 0 to 4"),
        ({"folds": 5}, "fold", None, "from 0 to 4"),
        ({"fold": 1}, "fold", 1, "folds = 5"),
        ({"folds": 1, "fold": 0}, "folds", 1, ""),
        ({"folds": 5, "fold": -1}, "fold", -1, ""),
        ({"folds": 5, "fold": 0, "train": 0.8}, "train", 0.8, "Leave train out"),
        ({"folds": 5, "fold": 0, "val": 0.2}, "val", 0.2, "Leave val out"),
        ({"folds": 5, "fold": 0, "test": 1.0}, "test", 1.0, ""),
        ({"folds": 5, "fold": 0, "method": "time"}, "method", "time", "hash or group"),
        ({}, "train", None, "folds and fold"),
    ],
    ids=str,
)
def test_folds_that_make_no_sense(split, field, value, fix):
    with pytest.raises(ConfigError) as caught:
        SplitConfig(**split)
    assert (caught.value.field, caught.value.value) == (field, value)
    assert fix in (caught.value.fix or "")


# ----------------------------------------------------------------------------------------- groups


@pytest.mark.parametrize("method", ["group", "hash"])
@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_no_group_of_a_table_is_in_two_parts(tmp_path, ending, method):
    dataset = _load(_table(tmp_path, ending), {**BY_GROUP, "method": method})
    assert dataset.schema.feature_names == ("a", "b")
    patients = {split: set(PATIENTS[dataset.rows(split)]) for split in dataset.sizes}
    assert sum(map(len, patients.values())) == len(set(PATIENTS))
    assert sum(dataset.sizes.values()) == N
    for split in dataset.sizes:
        np.testing.assert_allclose(dataset.materialize(split).x, X[dataset.rows(split)])


def test_the_same_groups_in_any_format_are_the_same_split(tmp_path):
    numbers = np.random.default_rng(3).integers(0, 15, N)
    paths = [_table(tmp_path, ending, numbers) for ending in ("csv", "parquet", "jsonl")]
    first, *others = (_load(path, BY_GROUP) for path in paths)
    for other in others:
        np.testing.assert_array_equal(first.rows("test"), other.rows("test"))


def test_by_hash_new_groups_move_no_old_ones(tmp_path):
    split = {"train": 0.5, "test": 0.5, "method": "hash"}
    asked = _asked(groups=PATIENTS)
    before = cut(SplitConfig(**split), asked)
    more = np.concatenate([PATIENTS, ["new"] * 5])
    after = cut(SplitConfig(**split), _asked(N + 5, groups=more))
    np.testing.assert_array_equal(after["test"][after["test"] < N], before["test"])


def test_a_changed_group_is_a_changed_source(tmp_path):
    path = _table(tmp_path, "parquet")
    dataset = _load(path, BY_GROUP)
    _table(tmp_path, "parquet", np.roll(PATIENTS, 1))
    with pytest.raises(DataError, match="changed since"):
        dataset.materialize("train")


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_group_that_is_missing_is_named(tmp_path, ending):
    holes = PATIENTS.astype(object)
    holes[17] = "" if ending == "csv" else None
    with pytest.raises(DataError, match="a group is missing") as caught:
        _load(_table(tmp_path, ending, holes), BY_GROUP)
    assert "'patient'" in caught.value.field
    assert "its group" in caught.value.fix


def test_groups_are_whole_numbers_or_text(tmp_path):
    for ending in ("parquet", "jsonl"):
        with pytest.raises(DataError, match="whole numbers or text") as caught:
            _load(_table(tmp_path, ending, np.linspace(0, 1, N)), BY_GROUP)
        assert "as text" in caught.value.fix
    mixed = PATIENTS.astype(object)
    mixed[5] = 7
    path = tmp_path / "mixed.jsonl"
    rows = ({"a": 1.0, "patient": mixed[i], "label": int(Y[i])} for i in range(N))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="not a text, as the first is") as caught:
        _load(path, BY_GROUP)
    assert caught.value.value == 7
    assert "line 6" in caught.value.field


def test_a_group_column_that_is_not_there(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown column") as caught:
        _load(_table(tmp_path, "csv"), BY_GROUP, group="patients")
    assert caught.value.field == "columns.group"
    assert "'patient'" in caught.value.fix
    with pytest.raises(DataError, match="the group is also the label") as also:
        _load(_table(tmp_path, "csv"), BY_GROUP, group="label")
    assert also.value.field == "columns.group"


@pytest.mark.parametrize(
    ("fields", "field", "value", "fix"),
    [
        ({"split": BY_GROUP}, "columns.group", None, "local and huggingface"),
        ({"split": BY_GROUP, "columns": {"group": "g"}}, "columns.group", "g", "Leave it out"),
        (
            {"source": "local", "params": {"path": "a.csv"}, "split": BY_GROUP},
            "columns.group",
            None,
            'columns = {group = "patient"}',
        ),
        (
            {"source": "local", "params": {"path": "a.csv"}, "columns": {"group": "g"}},
            "columns.group",
            "g",
            '"group" or "hash"',
        ),
        ({"columns": {"group": "g", "features": ["g"]}}, "columns.group", "g", "nothing else"),
    ],
    ids=str,
)
def test_groups_that_make_no_sense(fields, field, value, fix):
    with pytest.raises(ConfigError) as caught:
        DatasetConfig(**{"name": "x", "params": {"dataset": "iris"}, **fields})
    assert (caught.value.field, caught.value.value) == (field, value)
    assert fix in caught.value.fix


def test_arrays_in_files_have_no_groups(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    with pytest.raises(ConfigError, match="no columns with names") as caught:
        _load(tmp_path / "a.npz", BY_GROUP)
    assert (caught.value.field, caught.value.value) == ("columns.group", "patient")
