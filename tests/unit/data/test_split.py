"""Splitting: each row once, sizes as asked, classes everywhere, and one seed for good."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.data.config import SplitConfig
from qstore_ray.data.splits.split import (
    folds,
    split_by_hash,
    split_by_time,
    split_groups,
    split_rows,
)
from qstore_ray.errors import ConfigError, DataError, UnknownNameError, UsageError

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
        "train": [0, 1, 3, 5, 6, 8, 9],
        "val": [7],
        "test": [2, 4],
    }


@pytest.mark.parametrize("draw", ["uniform", "normal", "random"])
def test_rows_drawn_under_the_seed_of_the_split_are_mixed_all_the_same(draw):
    """A first draw from `default_rng(0)`, cut with seed 0, must not be cut by its values."""
    values = getattr(np.random.default_rng(0), draw)(size=300)
    order = np.argsort(values)
    ranks = np.argsort(order)
    for part in split_rows(300, THREE, 0).values():
        assert 100 < ranks[part].mean() < 200


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


def test_rows_of_a_class_too_small_for_all_parts_go_to_the_first_ones():
    for rare, expected in ((1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1])):
        labels = np.array([0] * 10 + [1] * rare)
        dealt = split_rows(10 + rare, THREE, 0, labels)
        assert [int(labels[rows].sum()) for rows in dealt.values()] == expected
    with pytest.raises(DataError, match="every class has too few rows for train, val, test"):
        split_rows(4, THREE, 0, np.array([0, 1, 2, 3]))


def _everything(dealt) -> np.ndarray:
    return np.sort(np.concatenate([*dealt.values()]))


@given(st.integers(200, 300), st.integers(0, 2**63 - 1))
def test_by_hash_a_row_keeps_its_part_whatever_rows_are_added(n_rows, seed):
    rng = np.random.default_rng(seed)
    keys = rng.integers(-(2**63), 2**63 - 1, n_rows)
    dealt = split_by_hash(keys, THREE, seed)
    np.testing.assert_array_equal(_everything(dealt), np.arange(len(keys)))
    some = rng.permutation(n_rows)[:150]  # in another order, too
    fewer = split_by_hash(keys[some], THREE, seed)
    for part, rows in fewer.items():
        assert set(keys[some][rows]) <= set(keys[dealt[part]])


def test_by_hash_the_parts_have_their_fractions_on_average():
    dealt = split_rows(20_000, THREE, 3, method="hash")
    for part, fraction in THREE.items():
        assert abs(len(dealt[part]) / 20_000 - fraction) < 0.01


def test_by_hash_a_seed_and_a_key_mean_this_part_for_good():
    keys = np.array(["a", "b", "c", "d", "e", "f", "g", "h"])
    dealt = split_by_hash(keys, {"train": 0.5, "test": 0.5}, 7)
    assert {part: "".join(keys[rows]) for part, rows in dealt.items()} == {
        "train": "cdfh",
        "test": "abeg",
    }
    other = split_by_hash(keys, {"train": 0.5, "test": 0.5}, 8)
    assert other["train"].tolist() != dealt["train"].tolist()
    numbers = split_by_hash(np.arange(50), THREE, 1)
    same = split_by_hash(np.arange(50).astype(str), THREE, 1)
    assert all((numbers[part] == same[part]).all() for part in THREE)


def test_by_hash_rows_of_one_key_stay_together():
    dealt = split_by_hash(np.arange(60) // 3, THREE, 0)
    homes = [{int(row) // 3 for row in rows} for rows in dealt.values()]
    assert sum(len(home) for home in homes) == 20


def test_by_hash_a_part_may_stay_empty_which_is_an_error():
    with pytest.raises(DataError, match="none of the 3 rows falls into val") as caught:
        split_by_hash(np.arange(3), {"train": 0.998, "val": 0.002}, 0)
    assert caught.value.field == "split"
    with pytest.raises(DataError, match="whole numbers or text") as kind:
        split_by_hash(np.array([0.5]), {"train": 1.0}, 0)
    assert kind.value.field == "keys"


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=80), fractions())
def test_by_time_nothing_in_a_part_is_later_than_the_next(times, parts):
    times = np.array(times)
    dealt = split_by_time(times, parts)
    np.testing.assert_array_equal(_everything(dealt), np.arange(len(times)))
    pieces = list(dealt.values())
    for earlier, later in pairwise(pieces):
        assert times[earlier].max() <= times[later].min()


def test_by_time_rows_are_taken_in_their_order():
    dealt = split_rows(10, THREE, 0, method="time")
    assert [rows.tolist() for rows in dealt.values()] == [[*range(7)], [7], [8, 9]]
    days = np.array(["2024-03-01", "2024-01-01", "2024-02-01"], dtype="datetime64[D]")
    dealt = split_rows(3, THREE, 0, method="time", keys=days)
    assert [rows.tolist() for rows in dealt.values()] == [[1], [2], [0]]


@pytest.mark.parametrize(
    "times", [np.array([1.0, 2.0, np.nan]), np.array(["2024-01-01", "2024-01-02", "NaT"], "M8[D]")]
)
def test_a_missing_time_names_its_row(times):
    with pytest.raises(DataError, match="the time of row 2 is missing"):
        split_by_time(times, THREE)


def test_other_methods_take_no_labels_and_as_many_keys_as_rows():
    for method in ("hash", "time"):
        with pytest.raises(UsageError, match=f"a split by {method} cannot be stratified") as caught:
            split_rows(4, {"train": 1.0}, 0, np.zeros(4, dtype=int), method=method)
        assert caught.value.field == "stratify"
        with pytest.raises(DataError, match="4 rows but 3 keys"):
            split_rows(4, {"train": 1.0}, 0, method=method, keys=np.arange(3))
    with pytest.raises(UnknownNameError, match="unknown method"):
        split_rows(4, {"train": 1.0}, 0, method="luck")


def test_the_method_is_part_of_a_split_configuration():
    assert SplitConfig(train=1.0).method == "seed"
    config = SplitConfig(train=0.5, test=0.5, method="time")
    assert SplitConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError) as caught:
        SplitConfig(train=1.0, method="groups")
    assert caught.value.field == "method"


GROUPS = st.lists(st.integers(0, 12), min_size=3, max_size=100).filter(lambda g: len(set(g)) >= 3)


@given(GROUPS, fractions(), st.integers(0, 1000))
def test_groups_stay_whole_and_every_part_has_one(groups, parts, seed):
    groups = np.array(groups)
    dealt = split_groups(groups, parts, seed)
    np.testing.assert_array_equal(_everything(dealt), np.arange(len(groups)))
    homes = [set(groups[rows].tolist()) for rows in dealt.values()]
    assert all(homes)
    assert sum(map(len, homes)) == len(set(groups.tolist()))


def test_groups_come_near_the_fractions_and_follow_the_seed():
    groups = np.random.default_rng(0).integers(0, 200, 5000).astype(str)
    largest = np.unique(groups, return_counts=True)[1].max()
    cuts = set()
    for seed in range(5):
        dealt = split_groups(groups, THREE, seed)
        cuts.add(tuple(dealt["test"]))
        for part, rows in dealt.items():
            assert abs(len(rows) - THREE[part] * 5000) <= largest
    assert len(cuts) == 5


def test_too_few_groups_name_the_number():
    with pytest.raises(DataError, match="2 groups cannot be divided into train, val, test") as few:
        split_groups(np.array([4, 4, 4, 5]), THREE, 0)
    assert few.value.field == "groups"


@given(st.integers(2, 7), st.integers(0, 60), st.integers(0, 1000))
def test_each_row_is_held_out_by_exactly_one_fold(k, more, seed):
    n_rows = k + more
    cut = folds(n_rows, k, seed)
    assert len(cut) == k
    np.testing.assert_array_equal(
        np.sort(np.concatenate([fold["val"] for fold in cut])), np.arange(n_rows)
    )
    for fold in cut:
        np.testing.assert_array_equal(_everything(fold), np.arange(n_rows))
        assert abs(len(fold["val"]) - n_rows / k) < 1


@given(st.lists(st.integers(4, 30), min_size=1, max_size=5), st.integers(0, 1000))
def test_stratified_folds_have_equal_shares_of_each_class_and_of_all(sizes, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    cut = folds(len(labels), 4, seed, labels)
    for fold in cut:
        assert abs(len(fold["val"]) - len(labels) / 4) < 1
        counts = np.bincount(labels[fold["val"]], minlength=len(sizes))
        for count, size in zip(counts, sizes, strict=True):
            assert abs(count - size / 4) < 1


@given(GROUPS, st.integers(0, 1000))
def test_grouped_folds_keep_groups_whole(groups, seed):
    groups = np.array(groups)
    for fold in folds(len(groups), 3, seed, groups=groups):
        assert not set(groups[fold["train"]]) & set(groups[fold["val"]])
        assert len(fold["val"])


@given(st.integers(2, 6), st.integers(2, 8), st.integers(0, 1000))
def test_a_class_of_fewer_rows_than_folds_is_in_every_train(rare, k, seed):
    labels = np.array([0] * 20 + [1] * rare)
    held = [int(labels[fold["val"]].sum()) for fold in folds(len(labels), k, seed, labels)]
    assert sum(held) == rare
    assert max(held) - min(held) <= 1
    assert all(labels[fold["train"]].any() for fold in folds(len(labels), k, seed, labels))


def test_folds_that_cannot_be():
    with pytest.raises(ConfigError, match="at least 2 folds") as caught:
        folds(10, 1, 0)
    assert (caught.value.field, caught.value.value) == ("k", 1)
    with pytest.raises(DataError, match="3 rows cannot be divided"):
        folds(3, 4, 0)
    with pytest.raises(DataError, match="class 1 has 1 row, which one of 3 folds would hold out"):
        folds(6, 3, 0, np.array([0, 0, 0, 0, 0, 1]))
    with pytest.raises(UsageError, match="either the proportions"):
        folds(4, 2, 0, labels=np.zeros(4, dtype=int), groups=np.arange(4))
    with pytest.raises(DataError, match="4 rows but 2 groups"):
        folds(4, 2, 0, groups=np.arange(2))
