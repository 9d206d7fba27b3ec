"""Cutting rows into train, val and test: by seed, reproducibly, class by class where asked.

Every row gets a random 64-bit rank from the seed, and the rows are dealt out in the order of their
ranks. The ranks are raw PCG64 output, the one part of numpy's generators whose stream is promised
not to change between versions; so a seed means the same split for good, on any machine and for
any number of workers. A stratified split does the same within each class. Counts are rounded by
the method of largest remainders, and every part gets at least one row (of every class).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import IntArray


def split_rows(
    n_rows: int,
    fractions: Mapping[str, float],
    seed: int,
    labels: IntArray | None = None,
    classes: Sequence[Any] | None = None,
) -> dict[str, IntArray]:
    """Positions 0 … n_rows−1 dealt out to the parts: each in exactly one, sorted within a part.

    Args:
        n_rows: number of rows N.
        fractions: part to fraction; they sum to 1.
        seed: decides which row goes where.
        labels: class numbers (N,) for a stratified split, in which each class is divided by the
            fractions on its own.
        classes: what the classes are called in error messages.

    Raises:
        DataError: fewer rows, in all or of one class, than there are parts.
    """
    parts = list(fractions)
    if n_rows < len(parts):
        raise DataError(
            f"{n_rows} rows cannot be divided into {', '.join(parts)}",
            field="split",
            fix=f"At least {len(parts)} rows are needed.",
        )
    ranks = np.random.PCG64(seed).random_raw(n_rows)
    order = np.argsort(ranks, kind="stable")
    groups = [order] if labels is None else _by_class(order, labels, len(parts), classes)
    dealt: dict[str, list[IntArray]] = {part: [] for part in parts}
    for group in groups:
        counts = _apportion(len(group), [fractions[part] for part in parts])
        pieces = np.split(group, np.cumsum(counts)[:-1])
        for part, piece in zip(parts, pieces, strict=True):
            dealt[part].append(piece)
    return {part: np.sort(np.concatenate(pieces)) for part, pieces in dealt.items()}


def _by_class(
    order: IntArray, labels: IntArray, n_parts: int, classes: Sequence[Any] | None
) -> list[IntArray]:
    """`order` (N,) separated by class, in the order of the class numbers."""
    counts = np.bincount(labels)
    for number in np.flatnonzero((counts > 0) & (counts < n_parts)).tolist():
        name = number if classes is None else classes[number]
        raise DataError(
            f"class {name!r} has {counts[number]} rows, too few for {n_parts} stratified parts",
            field="split",
            fix="Merge or drop the class, ask for fewer parts, or set stratify = false.",
        )
    return [order[labels[order] == number] for number in np.flatnonzero(counts)]


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
