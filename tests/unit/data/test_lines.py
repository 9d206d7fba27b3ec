"""Ranges of lines: every record is in one, with its line; nothing but the ends of lines is read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.data.sources.local.csv.lines import first_lines, line_ranges
from qstore_ray.data.sources.local.params import LocalParams
from qstore_ray.data.splits.split import stable_order
from qstore_ray.errors import DataError


@given(
    st.lists(st.sampled_from(["", "a", "b,c", '"x\ny",2', "#"]), min_size=1, max_size=40),
    st.integers(1, 7),
    st.integers(0, 2),
)
def test_the_ranges_are_the_records_in_order_with_their_lines(tmp_path_factory, texts, rows, skip):
    path = tmp_path_factory.mktemp("lines") / "t.csv"
    path.write_text("".join(f"{text}\n" for text in texts))
    at, records = 1, []
    for text in texts:
        if text and text != "#":
            records.append((at, text))
        at += 1 + text.count("\n")
    params = LocalParams(path=str(path), rows_per_task=rows)
    signs = {"delimiter": b",", "comment": b"#"}
    if not records:
        with pytest.raises(DataError, match="empty"):
            list(line_ranges(str(path), params, **signs))
        return
    ranges = list(line_ranges(str(path), params, skipped=skip, **signs))
    wanted = records[skip:]
    assert [one.n_rows for one in ranges] == [
        len(wanted[i : i + rows]) for i in range(0, len(wanted), rows)
    ]
    assert [one.line for one in ranges] == [line for line, _ in wanted[::rows]]
    kept = io.StringIO(b"".join(one.read() for one in ranges).decode())
    text = kept.read()
    assert [line for line in text.split("\n") if line not in ("", "#")] == [
        part for _, record in wanted for part in record.split("\n")
    ]
    first = first_lines(str(path), params, 3, **signs)
    assert (first.n_rows, first.line) == (min(3, len(records)), records[0][0])


@given(st.lists(st.integers(0, 9), max_size=50))
def test_equal_ranks_keep_their_order(ranks):
    array = np.array(ranks, dtype=np.uint64)
    np.testing.assert_array_equal(stable_order(array), np.argsort(array, kind="stable"))


@pytest.mark.parametrize(
    ("fault", "message"), [("1,x,a", "not a number"), ("1,2", "2 values"), ("1,\0,a", "NUL")]
)
@pytest.mark.parametrize("line", [1500, 2400, 2999])
def test_a_fault_far_down_is_named_with_its_line(tmp_path, fault, message, line):
    lines = ["p,q,label", *(f"{i},{i % 7},{'ab'[i % 2]}" for i in range(2999))]
    lines[line - 1] = fault
    (tmp_path / "t.csv").write_text("\n".join(lines))
    params = {"path": str(tmp_path / "t.csv"), "rows_per_task": 100}
    with pytest.raises(DataError, match=message) as caught:
        DatasetLoader.load(DatasetConfig(name="t", source="local", params=params))
    assert f"line {line}" in caught.value.field


@pytest.mark.parametrize("long", [1, 2**20])
def test_a_table_of_several_blocks_is_one_table(tmp_path, long):
    """A block of the parser holds a line of any length; each block has texts of its own."""
    rows, names = 30_000, [f"{'x' * 60}{i:05}" for i in range(300)]
    text = "".join(f"{i},{names[i // 100]},{i % 2}\n" for i in range(rows))
    last = "ä\n" * long
    (tmp_path / "t.csv").write_text(f'n,name,label\n{text}{rows},"{last}",1\n')
    columns = {"label": "label", "max_categories": 400}
    params = {"path": str(tmp_path / "t.csv")}
    prepared = [{"name": "one_hot", "columns": ["name"]}]
    dataset = DatasetLoader.load(
        DatasetConfig(
            name="t", source="local", params=params, columns=columns, preprocessing=prepared
        )
    )
    every = np.concatenate([dataset.materialize(split).x for split in dataset.plans])
    order = np.argsort(every[:, 0])
    assert (every[order, 0] == np.arange(rows + 1)).all()
    assert (every[order, 1:].sum(axis=1) == 1).all()
    place = every[order, 1:].argmax(axis=1)[:rows]
    assert (place == np.arange(rows) // 100).all()
