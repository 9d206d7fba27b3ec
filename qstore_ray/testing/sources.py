"""The laws of a source of data: the rows do not depend on who reads them, or how."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.read.plan import Arrays

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

Load: TypeAlias = Callable[..., Dataset]
"""`load(rows_per_task, **fields)`: the data, in tasks of so many rows if the source has such a
parameter, with any other fields of its `DatasetConfig`."""


class SourceLaws:
    """Rows, splits and fingerprint are the same at every loading, in tasks of any size and order,
    in this process or another one.

    Fixtures: `load`; `official`, if the source brings parts of its own.
    """

    @pytest.fixture
    def load(self) -> Load:
        """Loads the data with the source under test; override it."""
        raise NotImplementedError

    @pytest.fixture
    def official(self) -> tuple[str, ...]:
        """The parts that the source defines itself: of `val` and `test`."""
        return ()

    def test_rows_are_finite_float64_with_a_label_each(self, load: Load) -> None:
        dataset = load(65_536)
        for split, n_rows in dataset.sizes.items():
            x, y = dataset.materialize(split)
            assert x.dtype == np.float64
            assert x.shape == (n_rows, dataset.schema.n_features)
            assert x.flags.c_contiguous
            assert np.isfinite(x).all()
            assert y.shape == (n_rows,)
            if dataset.classes:
                assert y.dtype == np.int64
                counts = np.bincount(y, minlength=len(dataset.classes))
                assert tuple(counts) == dataset.class_counts[split]
            else:
                assert y.dtype == np.float64

    def test_tasks_give_the_same_rows_in_any_order_and_through_pickle(self, load: Load) -> None:
        dataset = load(7)
        for split in dataset.sizes:
            # gate: QS102 because they were pickled here
            tasks = pickle.loads(pickle.dumps(dataset.plan(split).tasks))
            shuffled = np.random.default_rng(1).permutation(len(tasks))
            through_tasks = in_order([tasks[i]() for i in shuffled])
            x, y = dataset.materialize(split)
            np.testing.assert_array_equal(through_tasks.x, x)
            np.testing.assert_array_equal(through_tasks.y, y)

    def test_rows_and_fingerprint_do_not_depend_on_the_number_of_tasks(self, load: Load) -> None:
        whole, pieces = load(65_536), load(11)
        assert whole.fingerprint == pieces.fingerprint
        _same(whole, pieces)

    def test_two_loads_are_equal(self, load: Load) -> None:
        one, other = load(65_536), load(65_536)
        assert one.fingerprint == other.fingerprint
        assert len(one.fingerprint) == 64
        _same(one, other)

    def test_each_row_is_in_exactly_one_split(self, load: Load) -> None:
        dataset = load(65_536)
        rows = np.concatenate([dataset.rows(split) for split in dataset.sizes])
        np.testing.assert_array_equal(np.sort(rows), np.arange(len(rows)))
        assert tuple(dataset.sizes) == ("train", "val", "test")

    def test_another_seed_cuts_elsewhere_and_leaves_official_splits_alone(
        self, load: Load, official: tuple[str, ...]
    ) -> None:
        one, other = load(65_536), load(65_536, seed=1)
        nothing_to_cut = set(official) == {"val", "test"}
        assert (one.fingerprint == other.fingerprint) == nothing_to_cut
        for split in one.sizes:
            same = np.array_equal(one.rows(split), other.rows(split))
            assert same == (nothing_to_cut or split in official)

    def test_the_saved_preparation_prepares_to_the_last_bit(self, load: Load) -> None:
        dataset = load(65_536)
        spec = json.loads(json.dumps(dataset.preparation.spec()))
        loaded = Preparation.from_arrays(dataset.preparation.to_arrays(), spec)
        raw = np.random.default_rng(3).normal(size=(6, dataset.schema.n_raw_features))
        np.testing.assert_array_equal(loaded.transform(raw), dataset.preparation.transform(raw))

    def test_the_configuration_survives_toml_and_pickle(self, load: Load, tmp_path: Path) -> None:
        dataset = load(65_536)
        (tmp_path / "config.toml").write_text(dataset.config.to_toml(), encoding="utf-8")
        assert DatasetConfig.load(tmp_path / "config.toml") == dataset.config
        # gate: QS102 because it was pickled here
        assert pickle.loads(pickle.dumps(dataset.config)) == dataset.config


def in_order(blocks: Sequence[dict[str, AnyArray]]) -> Arrays:
    """Blocks in any order, joined into rows in the order of their row numbers.

    Rows of one number, an original and its copies, stay in the order of their block.
    """
    row, x, y = (np.concatenate([block[name] for block in blocks]) for name in ("row", "x", "y"))
    order = np.argsort(row, kind="stable")
    return Arrays(x[order], y[order])


def _same(a: Dataset, b: Dataset) -> None:
    assert a.sizes == b.sizes
    for split in a.sizes:
        np.testing.assert_array_equal(a.materialize(split).x, b.materialize(split).x)
        np.testing.assert_array_equal(a.materialize(split).y, b.materialize(split).y)
        np.testing.assert_array_equal(a.rows(split), b.rows(split))
