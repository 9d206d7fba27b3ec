"""Columns that tell the rows apart are left out, in every format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.tables.index import NAMES, NUMBERS, Index
from qstore_ray.data.tables.names import tells_rows

N = 40
A = np.random.default_rng(3).normal(size=N).tolist()
Y = [i % 2 for i in range(N)]
MIXED = np.random.default_rng(4).permutation(10**6)[:N].tolist()
TEXTS = [f"Mazda {i}" for i in range(N)]


def _table(path: Path, values: dict[str, list], **config) -> TableSchema:
    if path.suffix == ".parquet":
        pq.write_table(pa.table(values), path, row_group_size=16)
    elif path.suffix == ".jsonl":
        rows = zip(*values.values(), strict=True)
        lines = (json.dumps(dict(zip(values, row, strict=True))) for row in rows)
        path.write_text("\n".join(lines))
    else:
        pyarrow.csv.write_csv(pa.table(values), path)
    params = {"path": str(path), "rows_per_task": 16}
    found = DatasetLoader.load(DatasetConfig(name="t", source="local", params=params, **config))
    assert found.schema.table is not None
    return found.schema.table


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("rownames", range(N), NUMBERS),
        ("rownames", TEXTS, NAMES),
        ("row.names", range(1, N + 1), NUMBERS),
        ("X", range(1, N + 1), NUMBERS),
        ("X", TEXTS, NAMES),
        ("index", range(N), NUMBERS),
        ("rownames", MIXED, NUMBERS),
        ("rowid", range(1, N + 1), NUMBERS),
        ("level_0", range(N), NUMBERS),
        ("id", range(N), NUMBERS),
        ("PassengerId", range(892, 892 + N), NUMBERS),
        ("Customer ID", MIXED, NUMBERS),
        ("customer_id", TEXTS, NAMES),
        ("tweet_id", [12345678901234567 + i for i in range(N)], NUMBERS),
        ("index", MIXED, ""),
        ("X", A, ""),
        ("x", range(N), ""),
        ("paid", range(N), ""),
        ("id", [i // 2 for i in range(N)], ""),
        ("id", A, ""),
    ],
)
def test_a_column_that_tells_rows_apart_is_left_out(tmp_path: Path, ending, name, values, reason):
    table = _table(tmp_path / f"t.{ending}", {name: list(values), "a": A, "label": Y})
    assert dict(table.left_out) == ({name: reason} if reason else {})
    assert table.names == (("a",) if reason else (name, "a"))


def test_it_is_a_feature_where_it_is_asked_for_or_stands_alone(tmp_path: Path):
    path, columns = tmp_path / "t.csv", {"id": list(range(N)), "a": A, "label": Y}
    assert _table(path, columns, columns={"features": ["id", "a"]}).names == ("id", "a")
    del columns["a"]
    assert _table(path, columns).names == ("id",)
    assert _table(path, {"a": A, "X": list(range(N)), "label": Y}).names == ("a", "X")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.sampled_from([0, 1]))
def test_the_answer_does_not_depend_on_where_blocks_end(sizes: list[int], begin: int):
    values = np.arange(sum(sizes)) + begin
    for name, shown in (("index", values), ("id", values[::-1])):
        index = Index(name)
        for block in np.split(shown, np.cumsum(sizes)[:-1]):
            index.add(pa.chunked_array([pa.array(block)]))
        assert index.reason == NUMBERS
        index.add(pa.chunked_array([pa.array([5, 5])]))
        assert index.reason == ""


@pytest.mark.parametrize("name", ["id", "ID", "Id", "user_id", "userId", "customerID", "x.uuid"])
def test_names_that_say_id(name: str):
    assert tells_rows(name)


@pytest.mark.parametrize("name", ["paid", "acid", "GRID", "humid", "idea", "Android", "id_card"])
def test_names_that_only_end_like_it(name: str):
    assert not tells_rows(name)
