"""Splitting: each row once, sizes as asked, classes everywhere, and one seed for good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.data.split import split_rows
from qstore_ray.errors import DataError

THREE = {"train": 0.7, "val": 0.1, "test": 0.2}


@st.composite
def fractions(draw: st.DrawFn) -> dict[str, float]:
    weights = draw(st.lists(st.integers(1, 20), min_size=1, max_size=3))
    names = ("train", "val", "test")[: len(weights)]
    return {name: w / sum(weights) for name, w in zip(names, weights, strict=True)}


@given(st.integers(3, 400), fractions(), st.integers(0, 2**63 - 1))
def test_each_row_is_in_exactly_one_part_and_no_part_is_empty(n_rows, parts, seed):
    dealt = split_rows(n_rows, parts, seed)
    assert list(dealt) == list(parts)
    np.testing.assert_array_equal(np.sort(np.concatenate([*dealt.values()])), np.arange(n_rows))
    for name, rows in dealt.items():
        assert len(rows) >= 1
        assert (np.diff(rows) > 0).all()
        if min(parts.values()) * n_rows >= 1:
            assert abs(len(rows) - parts[name] * n_rows) < 1 + 1e-9


@given(st.lists(st.integers(3, 60), min_size=1, max_size=6), fractions(), st.integers(0, 1000))
def test_a_stratified_split_divides_each_class_by_the_fractions(sizes, parts, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    dealt = split_rows(len(labels), parts, seed, labels)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([*dealt.values()])), np.arange(len(labels))
    )
    for name, rows in dealt.items():
        counts = np.bincount(labels[rows], minlength=len(sizes))
        assert (counts >= 1).all()
        for count, size in zip(counts, sizes, strict=True):
            if min(parts.values()) * size >= 1:
                assert abs(count - parts[name] * size) < 1 + 1e-9


def test_exact_fractions_give_exact_counts():
    labels = np.arange(1000) % 10
    dealt = split_rows(1000, THREE, 0, labels)
    assert [len(rows) for rows in dealt.values()] == [700, 100, 200]
    for name, rows in dealt.items():
        assert set(np.bincount(labels[rows])) == {round(100 * THREE[name])}


def test_a_seed_means_this_split_for_good():
    dealt = split_rows(10, THREE, 7)
    assert {name: rows.tolist() for name, rows in dealt.items()} == {
        "train": [0, 2, 3, 4, 6, 8, 9],
        "val": [7],
        "test": [1, 5],
    }


def test_seeds_differ():
    cuts = {tuple(split_rows(50, THREE, seed)["test"].tolist()) for seed in range(20)}
    assert len(cuts) == 20


def test_one_part_takes_everything():
    np.testing.assert_array_equal(split_rows(5, {"train": 1.0}, 3)["train"], np.arange(5))


def test_small_fractions_still_get_a_row():
    dealt = split_rows(10, {"train": 0.98, "val": 0.01, "test": 0.01}, 0)
    assert {name: len(rows) for name, rows in dealt.items()} == {"train": 8, "val": 1, "test": 1}


def test_too_few_rows_name_the_number():
    with pytest.raises(DataError, match="2 rows cannot be divided into train, val, test"):
        split_rows(2, THREE, 0)


def test_a_class_too_small_is_named_with_its_count():
    labels = np.array([0] * 10 + [1] * 2)
    with pytest.raises(DataError, match="class 'rare' has 2 rows, too few for 3"):
        split_rows(12, THREE, 0, labels, classes=("common", "rare"))
