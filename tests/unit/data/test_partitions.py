"""Columns in the names of folders, as Hive and Spark write Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import DataError

N = 60


def _table() -> pa.Table:
    row = np.arange(N)
    return pa.table(
        {
            "a": row + 0.5,
            "year": 2020 + row % 3,
            "place": pa.array(["north sea", "a/b"]).take(pa.array(row // 30)),
            "label": row % 2,
        }
    )


def _load(path: Path, **more):
    return DatasetLoader.load(
        DatasetConfig(name="m", source="local", params={"path": str(path)}, **more)
    )


def test_partition_columns_are_columns(tmp_path: Path):
    flavor = ds.partitioning(flavor="hive", schema=pa.schema([("year", "int64"), ("place", "str")]))
    ds.write_dataset(_table(), tmp_path / "d", format="parquet", partitioning=flavor)
    dataset = _load(tmp_path / "d")
    kinds = {column.name: column.kind for column in dataset.schema.table.features}
    assert kinds == {"a": "number", "year": "number", "place": "category"}
    rows = [dataset.plan(split).read_raw() for split in dataset.plans]
    x = np.concatenate([part.x for part in rows])
    row = (x[:, 0] - 0.5).astype(int)
    np.testing.assert_array_equal(x[:, 1], 2020 + row % 3)
    places = np.array(dataset.schema.table.features[2].categories)[x[:, 2].astype(int)]
    np.testing.assert_array_equal(places == "a/b", row >= 30)


def test_a_partition_may_be_the_label(tmp_path: Path):
    for label in ("cat", "dog"):
        folder = tmp_path / f"label={label}"
        folder.mkdir()
        pq.write_table(pa.table({"a": np.arange(20.0), "b": np.ones(20)}), folder / "0.parquet")
    assert _load(tmp_path).classes == ("cat", "dog")


def test_a_partition_that_names_a_part_is_the_part(tmp_path: Path):
    for part, n_rows in (("train", 40), ("test", 10)):
        folder = tmp_path / f"split={part}"
        folder.mkdir()
        table = pa.table({"a": np.arange(float(n_rows)), "label": np.arange(n_rows) % 2})
        pq.write_table(table, folder / "0.parquet")
    dataset = _load(tmp_path)
    assert dataset.sizes["test"] == 10
    assert dataset.schema.feature_names == ("a",)


def test_folders_of_other_names_are_refused(tmp_path: Path):
    for name in ("year=2020", "month=1"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"a": [1.0], "label": [0]}), tmp_path / name / "0.parquet")
    with pytest.raises(DataError, match="stand for the columns"):
        _load(tmp_path)


def test_folders_above_what_is_read_are_no_columns(tmp_path: Path):
    folder = tmp_path / "run=3"
    folder.mkdir()
    table = pa.table({"a": np.arange(20.0), "label": np.arange(20) % 2})
    pq.write_table(table, folder / "rows.parquet")
    for path in (folder, folder / "rows.parquet"):
        assert _load(path).schema.feature_names == ("a",)
