"""Rows with NaN or infinity: an error by default, left out and counted where that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray import DatasetLoader
from qstore_ray.data.quality.report import validate
from qstore_ray.errors import DataError


def _rows(bad: dict[int, float], n_rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(2.0 * n_rows).reshape(n_rows, 2)
    for row, value in bad.items():
        x[row, row % 2] = value
    return x, np.arange(n_rows) % 2


def test_by_default_the_first_one_is_named_and_the_way_out_too() -> None:
    with pytest.raises(DataError, match=r"column 1, first in row 7") as caught:
        DatasetLoader.from_arrays(*_rows({7: np.inf, 9: np.nan}))
    assert "drop" in caught.value.fix


@settings(max_examples=30, deadline=None)
@given(
    bad=st.dictionaries(st.integers(0, 39), st.sampled_from([np.nan, np.inf, -np.inf]), max_size=9),
    per_task=st.integers(1, 50),
)
def test_dropped_rows_are_in_no_split_and_all_others_in_one(bad, per_task) -> None:
    x, y = _rows(bad)
    dataset = DatasetLoader.from_arrays(x, y, bad_values="drop", rows_per_task=per_task)
    used = np.concatenate([dataset.rows(split) for split in dataset.plans])
    assert sorted(used.tolist()) == [row for row in range(40) if row not in bad]
    for split in dataset.plans:
        assert (dataset.materialize(split).x == x[dataset.rows(split)]).all()
    said = "dropped" in dataset.describe()
    assert said == bool(bad)


def test_dropping_is_like_never_having_had_them() -> None:
    x, y = _rows({3: np.nan, 30: np.inf})
    good = np.isfinite(x).all(axis=1)
    dropped = DatasetLoader.from_arrays(x, y, bad_values="drop", seed=5)
    never = DatasetLoader.from_arrays(x[good], y[good], seed=5)
    for split in never.plans:
        for mine, other in zip(dropped.materialize(split), never.materialize(split), strict=True):
            assert (mine == other).all()


def test_an_official_split_loses_its_bad_rows_too() -> None:
    x, y = _rows({})
    x_test, y_test = _rows({0: np.nan, 1: np.nan}, 10)
    dataset = DatasetLoader.from_arrays(x, y, test=(x_test, y_test), bad_values="drop")
    assert dataset.sizes["test"] == 8
    assert "2 rows with NaN or infinity dropped" in dataset.describe()


def test_nothing_left_is_an_error_with_the_reason() -> None:
    x, y = _rows(dict.fromkeys(range(40), np.nan))
    with pytest.raises(DataError, match="0 rows after") as caught:
        DatasetLoader.from_arrays(x, y, bad_values="drop")
    assert caught.value.field == "bad_values"


def test_an_impute_step_fills_what_is_missing_from_train_alone() -> None:
    x, y = _rows(dict.fromkeys(range(0, 40, 3), np.nan))
    steps = [{"name": "impute", "strategy": "mean"}]
    dataset = DatasetLoader.from_arrays(x, y, preprocessing=steps)
    train = x[dataset.rows("train")]
    for split in dataset.plans:
        filled, raw = dataset.materialize(split).x, x[dataset.rows(split)]
        holes = np.isnan(raw)
        assert (filled[~holes] == raw[~holes]).all()
        expected = np.broadcast_to(np.nanmean(train, axis=0), raw.shape)
        np.testing.assert_allclose(filled[holes], expected[holes], rtol=1e-12)


def test_no_step_fills_an_infinity() -> None:
    with pytest.raises(DataError, match=r"an infinite value in split .* first in row 4") as caught:
        DatasetLoader.from_arrays(
            *_rows({3: np.nan, 4: np.inf}), preprocessing=[{"name": "impute"}]
        )
    assert "impute" not in caught.value.fix


def test_what_is_filled_is_not_dropped() -> None:
    x, y = _rows({3: np.nan, 4: np.inf})
    dataset = DatasetLoader.from_arrays(x, y, bad_values="drop", preprocessing=[{"name": "impute"}])
    used = np.concatenate([dataset.rows(split) for split in dataset.plans])
    assert sorted(used.tolist()) == [row for row in range(40) if row != 4]


def test_what_will_be_filled_can_be_looked_at() -> None:
    x, y = _rows({3: np.nan})
    dataset = DatasetLoader.from_arrays(x, y, preprocessing=[{"name": "impute"}])
    report = validate(dataset)
    assert any(3 in finding.rows for finding in report.findings if finding.check != "duplicates")
    for split in dataset.plans:
        raw = dataset.plan(split).read_raw()
        np.testing.assert_array_equal(raw.x, x[dataset.rows(split)])
        assert (raw.y == y[dataset.rows(split)]).all()


def test_a_split_in_time_keeps_the_order() -> None:
    x, y = _rows({})
    split = {"train": 0.5, "val": 0.25, "test": 0.25, "method": "time"}
    dataset = DatasetLoader.from_arrays(x, y, split=split)
    assert [dataset.rows(name).tolist() for name in ("train", "val", "test")] == [
        list(range(20)), list(range(20, 30)), list(range(30, 40)),
    ]  # fmt: skip


def test_a_split_by_hash_keeps_rows_where_they_are_when_others_are_added() -> None:
    split = {"train": 0.6, "val": 0.2, "test": 0.2, "method": "hash"}
    fewer = DatasetLoader.from_arrays(*_rows({}, 200), split=split)
    more = DatasetLoader.from_arrays(*_rows({}, 300), split=split)
    for name in fewer.plans:
        assert set(fewer.rows(name).tolist()) <= set(more.rows(name).tolist())


def test_a_row_that_takes_no_part_may_have_bad_values() -> None:
    """NaN in a class that is not chosen is no error; the first row that is used is named."""
    x, y = np.ones((60, 2)) * np.arange(60)[:, None], np.arange(60) % 3
    x[4, 1] = np.nan  # of class 1
    chosen = {"classes": [0, 2]}
    dataset = DatasetLoader.from_arrays(x, y, select=chosen)
    assert sum(dataset.sizes.values()) == 40
    x[8, 0] = np.inf  # of class 2
    with pytest.raises(DataError, match="first in row 8"):
        DatasetLoader.from_arrays(x, y, select=chosen)
