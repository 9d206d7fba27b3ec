"""Cutting rows into train, val and test, and into folds: reproducibly, by one of four rules.

    seed      at random, class by class where asked: `split_rows`
    hash      by a key of each row, independent of all other rows: `split_by_hash`
    time      in order, so that nothing in train is later than what it is judged by: `split_by_time`
    groups    whole groups (patients, recordings) at random: `split_groups`

Every row gets a random 64-bit rank from the seed, and the rows are dealt out in the order of their
ranks. The ranks are raw PCG64 output, the one part of numpy's generators whose stream is promised
not to change between versions; so a seed means the same split for good, on any machine and for
any number of workers. A stratified split does the same within each class. Counts are rounded by
the method of largest remainders, and every part gets at least one row (of every class).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from qstore_ray.errors import ConfigError, DataError, UsageError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, IntArray

Method: TypeAlias = Literal["seed", "hash", "time"]
Ranks: TypeAlias = Literal["default_rng"] | None


def split_rows(
    n_rows: int,
    fractions: Mapping[str, float],
    seed: int,
    labels: IntArray | None = None,
    *,
    method: Method = "seed",
    keys: AnyArray | None = None,
    ranks: Ranks = None,
) -> dict[str, IntArray]:
    """Positions 0 … n_rows−1 dealt out to the parts: each in exactly one, sorted within a part.

    Args:
        n_rows: number of rows N.
        fractions: part to fraction; they sum to 1.
        seed: decides which row goes where (not by time).
        labels: class numbers (N,) for a stratified split, in which each class is divided by the
            fractions on its own, one with fewer rows than parts first to the first ones; by seed
            only.
        method: the rule, see above.
        keys: what a row is known by (N,), for `hash`, or when it was, for `time`; the row's
            position if None.
        ranks: see `SplitConfig`.

    Raises:
        DataError: fewer rows than there are parts.
        UsageError: labels for a split that cannot be stratified.
    """
    if method not in ("seed", "hash", "time"):
        raise unknown_name_error("method", method, ("seed", "hash", "time"), field="split.method")
    if method != "seed":
        if labels is not None:
            raise UsageError(
                f"a split by {method} cannot be stratified: a row's part follows from its "
                f"{'key' if method == 'hash' else 'place in time'} alone",
                field="stratify",
                fix='Leave the labels out, or use method = "seed".',
            )
        known = np.arange(n_rows) if keys is None else keys
        _check_one_each(known, n_rows, "keys")
        if method == "hash":
            return split_by_hash(known, fractions, seed)
        return split_by_time(known, fractions)
    parts = list(fractions)
    _check_enough(n_rows, parts)
    order = _random_order(n_rows, seed, ranks)
    groups = [order] if labels is None else _by_class(order, labels)
    dealt: dict[str, list[IntArray]] = {part: [] for part in parts}
    for group in groups:
        cut = _cut(group, fractions) if len(group) >= len(parts) else _first_to_first(group, parts)
        for part, piece in cut.items():
            dealt[part].append(piece)
    _check_filled(dealt)
    return {part: np.sort(np.concatenate(pieces)) for part, pieces in dealt.items()}


def split_by_hash(keys: AnyArray, fractions: Mapping[str, float], seed: int) -> dict[str, IntArray]:
    """Positions of the rows with these `keys` (N,), each dealt out by its own key alone.

    BLAKE2b of seed and key is a number in [0, 2^64); the parts are intervals of it, as long as
    their fractions. So a row stays in its part when rows are added, removed or reordered, rows
    with equal keys stay together, and the parts have their fractions on average only.

    Args:
        keys: whole numbers or text that rows are known by.
        fractions: part to fraction; they sum to 1.
        seed: another seed is another split.

    Raises:
        DataError: keys of another type, or a part that no row falls into.
    """
    if keys.dtype.kind not in "iuU":
        raise DataError(
            f"keys are whole numbers or text, these are of type {keys.dtype}",
            field="keys",
            fix="Use keys.astype(str).",
        )
    total = math.fsum(fractions.values())
    ends, reached = [], 0.0
    for fraction in fractions.values():
        reached += fraction / total
        ends.append(int(reached * 2**64))
    salt = seed.to_bytes(8, "little")
    found = (
        hashlib.blake2b(str(key).encode(), digest_size=8, key=salt).digest()
        for key in keys.tolist()
    )
    ranks = np.array([int.from_bytes(digest, "little") for digest in found], dtype=np.uint64)
    # The last part takes what is left, also where the ends lost a bit to rounding.
    inner = np.array(ends[:-1], dtype=np.uint64)
    number = np.searchsorted(inner, ranks, side="right")
    dealt = {part: np.flatnonzero(number == i) for i, part in enumerate(fractions)}
    for part, rows in dealt.items():
        if not len(rows):
            raise DataError(
                f"none of the {len(keys)} rows falls into {part}",
                field="split",
                fix='Use more rows, a larger fraction, another seed, or method = "seed".',
            )
    return dealt


def split_by_time(times: AnyArray, fractions: Mapping[str, float]) -> dict[str, IntArray]:
    """Positions of the rows of these `times` (N,), the earliest in the first part.

    No row of a part is later than any row of the next. Rows of one time are in the order of their
    positions, and may be in two parts.

    Raises:
        DataError: fewer rows than parts, or a time that is NaN.
    """
    _check_enough(len(times), list(fractions))
    if times.dtype.kind in "fM" and np.isnan(times).any():
        row = int(np.argmax(np.isnan(times)))
        raise DataError(f"the time of row {row} is missing", field="times", fix="Drop such rows.")
    order = np.argsort(times, kind="stable")
    return {part: np.sort(piece) for part, piece in _cut(order, fractions).items()}


def split_groups(
    groups: AnyArray, fractions: Mapping[str, float], seed: int, ranks: Ranks = None
) -> dict[str, IntArray]:
    """Positions of the rows of these `groups` (N,), no group in two parts.

    The groups come in random order, and each goes to the part that has most rows left to fill; so
    a part is off its fraction by less than the largest group, or has one group.

    Args:
        groups: what group a row belongs to: numbers or text.
        fractions: part to fraction; they sum to 1.
        seed: decides which group goes where.
        ranks: see `SplitConfig`.

    Raises:
        DataError: fewer groups than parts.
    """
    parts = list(fractions)
    names, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < len(parts):
        raise DataError(
            f"{len(names)} groups cannot be divided into {', '.join(parts)}",
            field="groups",
            fix=f"At least {len(parts)} groups are needed.",
        )
    total = math.fsum(fractions.values())
    left = [len(groups) * fraction / total for fraction in fractions.values()]
    empty = set(range(len(parts)))
    home = np.zeros(len(names), dtype=np.int64)
    for done, group in enumerate(_random_order(len(names), seed, ranks).tolist()):
        # The last groups are kept for parts that have none.
        open_to = sorted(empty) if len(names) - done <= len(empty) else range(len(parts))
        part = max(open_to, key=lambda i: left[i])
        home[group] = part
        left[part] -= int(sizes[group])
        empty.discard(part)
    return {name: np.flatnonzero(home[numbers] == i) for i, name in enumerate(parts)}


def folds(
    n_rows: int,
    k: int,
    seed: int,
    labels: IntArray | None = None,
    groups: AnyArray | None = None,
    *,
    classes: Sequence[Any] | None = None,
    ranks: Ranks = None,
) -> tuple[dict[str, IntArray], ...]:
    """k splits into train and val for cross-validation: each row is in val of exactly one.

    The sizes of the val parts differ by at most 1, in all and in each class; with groups, by
    about the size of a group. A class of fewer rows than folds is missing from some val parts.

    Args:
        n_rows: number of rows N.
        k: number of folds, at least 2.
        seed: decides which row is in which fold.
        labels: class numbers (N,), for folds with the proportions of the classes.
        groups: what group a row belongs to (N,), for folds that keep groups whole.
        classes: what the classes are called in error messages.
        ranks: see `SplitConfig`.

    Raises:
        ConfigError: fewer than 2 folds.
        DataError: fewer rows or groups than folds, or a class of one row.
        UsageError: labels and groups, which cannot both be kept.
    """
    if k < 2:
        raise ConfigError("cross-validation has at least 2 folds", field="k", value=k)
    if labels is not None and groups is not None:
        raise UsageError(
            "folds keep either the proportions of classes or groups whole",
            field="groups",
            fix="Give labels or groups, not both.",
        )
    if groups is not None:
        _check_one_each(groups, n_rows, "groups")
        parts = split_groups(groups, {f"fold {i}": 1 / k for i in range(k)}, seed, ranks)
        held = tuple(parts.values())
    else:
        _check_enough(n_rows, [f"fold {i}" for i in range(k)])
        order = _random_order(n_rows, seed, ranks)
        if labels is not None:
            _check_in_every_train(labels, k, classes)
            order = np.concatenate(_by_class(order, labels))
        held = tuple(np.sort(order[i::k]) for i in range(k))
    rows = np.arange(n_rows)
    return tuple({"train": np.setdiff1d(rows, val), "val": val} for val in held)


_STREAM = 0x5351
"""Beside the seed, so that ranks are not the stream of `numpy.random.default_rng(seed)`.

Rows that were drawn from that generator would be sorted by their values, not mixed.
"""


def _random_order(n: int, seed: int, ranks: Ranks) -> IntArray:
    """0 … n−1 in the order of their ranks."""
    stream = seed if ranks == "default_rng" else [_STREAM, seed]
    return stable_order(np.random.PCG64(stream).random_raw(n))


def stable_order(ranks: AnyArray) -> IntArray:
    """`np.argsort(ranks, kind="stable")`, in half the time where no two ranks (N,) are equal."""
    order = np.argsort(ranks)
    sorted_ranks = ranks[order]
    if (sorted_ranks[1:] == sorted_ranks[:-1]).any():
        return np.argsort(ranks, kind="stable")
    return order


def _cut(order: IntArray, fractions: Mapping[str, float]) -> dict[str, IntArray]:
    """`order` (N,) cut into consecutive pieces, one a part."""
    counts = _apportion(len(order), [*fractions.values()])
    return dict(zip(fractions, np.split(order, np.cumsum(counts)[:-1]), strict=True))


def _first_to_first(order: IntArray, parts: Sequence[str]) -> dict[str, IntArray]:
    """Fewer rows than parts: one each to the first parts, so that train has one."""
    return dict(zip(parts, np.split(order, range(1, len(order))), strict=False))


def _check_filled(dealt: Mapping[str, Sequence[IntArray]]) -> None:
    for part, pieces in dealt.items():
        if not sum(map(len, pieces)):
            raise DataError(
                f"every class has too few rows for {', '.join(dealt)}: {part} has none",
                field="split",
                fix="Ask for fewer parts, or set stratify = false; if the labels are quantities, "
                'set task = "regression".',
            )


def _check_enough(n_rows: int, parts: Sequence[str]) -> None:
    if n_rows < len(parts):
        raise DataError(
            f"{n_rows} rows cannot be divided into {', '.join(parts)}",
            field="split",
            fix=f"At least {len(parts)} rows are needed.",
        )


def _check_one_each(values: AnyArray, n_rows: int, field: str) -> None:
    if len(values) != n_rows:
        raise DataError(f"{n_rows} rows but {len(values)} {field}", field=field)


def _check_in_every_train(labels: IntArray, k: int, classes: Sequence[Any] | None) -> None:
    """Raise `DataError` for a class of one row: the fold that holds it out trains without it.

    A class of fewer rows than folds is in as many val parts as it has rows, and in every train.
    """
    counts = np.bincount(labels)
    for number in np.flatnonzero(counts == 1).tolist():
        name = number if classes is None else classes[number]
        raise DataError(
            f"class {name!r} has 1 row, which one of {k} folds would hold out and train without",
            field="split",
            fix='Give it 2 rows, set rare_classes = "drop" or "merge", or set stratify = false.',
        )


def _by_class(order: IntArray, labels: IntArray) -> list[IntArray]:
    """`order` (N,) separated by class, in the order of the class numbers."""
    return [order[labels[order] == number] for number in np.unique(labels)]


def _apportion(n_rows: int, fractions: Sequence[float]) -> list[int]:
    """Whole numbers ≥ 1 that sum to `n_rows`, within one of `n_rows · fraction` where that is ≥ 1.

    Method of largest remainders (Hamilton); ties go to the earlier part.
    """
    total = math.fsum(fractions)
    exact = [n_rows * fraction / total for fraction in fractions]
    # A quota such as 6.999999999999999 is 7 that lost its last bit to rounding.
    counts = [int(quota + 1e-9) for quota in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for position in by_remainder[: n_rows - sum(counts)]:
        counts[position] += 1
    while 0 in counts:
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(0)] += 1
    return counts
