"""Checks of whole rows: duplicates within a split, and rows that leaked from one split to another.

Equal rows are found by their bytes, −0 counted as 0. Nearly equal rows are found by the distance
to the nearest row of train, in columns divided by their standard deviation in train; what is near
is measured by the data themselves, as a share of the median distance between a row of train and
its nearest neighbour in train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from qstore_ray.data.quality.finding import NOWHERE, Finding, RowOrigin

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray

_MEDIAN_ROWS: Final = 2_000


class Near(NamedTuple):
    """Distances (M,) of rows to train, the limit below which they are near, and what was sampled.

    `positions` are those of the rows examined, `neighbours` those of the nearest rows of train.
    """

    distances: FloatArray
    limit: float
    positions: IntArray
    neighbours: IntArray
    sampled: bool


def find_duplicates(x: FloatArray, y: AnyArray, origin: RowOrigin = NOWHERE) -> list[Finding]:
    """A warning where rows occur again, and another where equal rows have different labels."""
    if len(x) < 2:
        return []
    keys = row_keys(x)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(x)))
    if not len(again):
        return []
    found = [
        Finding(
            "duplicates",
            "warning",
            f"{len(again)} of {len(x)} rows{origin.inside} repeat an earlier row; "
            f"row {origin.row(again[0])} repeats row {origin.row(first[inverse[again[0]]])}",
            field="x",
            value=len(again),
            rows=origin.first(again),
            fix="Drop them unless they were measured twice.",
        )
    ]
    differing = again[y[again] != y[first[inverse[again]]]]
    if len(differing):
        found.append(
            Finding(
                "contradictions",
                "warning",
                f"{len(differing)} of {len(x)} rows{origin.inside} equal a row of another label",
                field="y",
                value=len(differing),
                rows=origin.first(differing),
                fix="No model can distinguish such rows; check how they were labelled.",
            )
        )
    return found


def find_shared(
    train: FloatArray,
    x: FloatArray,
    *,
    max_leaked: float = 0.0,
    train_origin: RowOrigin = NOWHERE,
    origin: RowOrigin = NOWHERE,
) -> list[Finding]:
    """Where rows of `x` (M, F) are rows of `train` (N, F): an error above a share of `max_leaked`.

    At or below that share it is a warning.
    """
    match = twins(train, x)
    shared = np.flatnonzero(match >= 0)
    if not len(shared):
        return []
    twin = train_origin.row(match[shared[0]])
    return [
        Finding(
            "leakage",
            "error" if len(shared) / len(x) > max_leaked else "warning",
            f"{len(shared)} of {len(x)} rows{origin.inside} are also{train_origin.inside}; "
            f"row {origin.row(shared[0])} equals row {twin}",
            field="x",
            value=len(shared),
            rows=origin.first(shared),
            fix="Drop duplicates before splitting, or split by group; the scores are too good.",
        )
    ]


def find_near(
    train: FloatArray,
    x: FloatArray,
    *,
    near: float = 0.1,
    max_rows: int = 20_000,
    seed: int = 0,
    train_origin: RowOrigin = NOWHERE,
    origin: RowOrigin = NOWHERE,
) -> list[Finding]:
    """A warning where rows of `x` (M, F) are nearly, but not exactly, rows of `train` (N, F).

    Exact up to `max_rows` rows a split; of more, a sample of that many is searched, drawn by
    `seed`, and a finding says so.
    """
    result = nearest(train, x, near=near, max_rows=max_rows, seed=seed)
    if result is None:
        message = (
            f"too few different rows{train_origin.inside} to say what near means{origin.inside}"
        )
        return [Finding("near-leakage", "info", message, field="x")]
    sample = f"; searched a sample of {max_rows:,} rows a split" if result.sampled else ""
    close = np.flatnonzero(result.distances < result.limit)
    if not len(close):
        if not sample:
            return []
        message = f"no row{origin.inside} is nearly a row{train_origin.inside}{sample}"
        return [Finding("near-leakage", "info", message, field="x", value=0)]
    close = close[np.argsort(result.distances[close], kind="stable")]
    positions, twin = result.positions[close], result.neighbours[close[0]]
    return [
        Finding(
            "near-leakage",
            "warning",
            f"{len(close)} of {len(result.positions)} rows{origin.inside} are nearly rows"
            f"{train_origin.inside}; row {origin.row(positions[0])} is nearest to row "
            f"{train_origin.row(twin)}, at {result.distances[close[0]]:.3g} where "
            f"{result.limit / near:.3g} is usual{sample}",
            field="x",
            value=len(close),
            rows=origin.first(positions),
            fix="Split by group if these are copies, crops or repeated measurements.",
        )
    ]


def nearest(
    train: FloatArray, x: FloatArray, *, near: float, max_rows: int, seed: int
) -> Near | None:
    """Distance of each row of `x` to its nearest row of `train`; None if it is undefined.

    Rows that are not finite, and rows of `x` that are exactly in train, are left out. The median
    that sets the limit is taken over at most 2,000 rows of train.
    """
    from sklearn.neighbors import NearestNeighbors

    fresh = twins(train, x) < 0
    whole = train[np.isfinite(train).all(axis=1)]
    if len(whole) < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        spread = whole.std(axis=0)
        spread = np.where(np.isfinite(spread) & (spread > 0.0), spread, 1.0)
        scaled, others = train / spread, x / spread
    draw = np.random.default_rng(seed)
    inside = np.flatnonzero(_bounded(scaled))
    home, positions = (
        _sample(rows, max_rows, draw) for rows in (inside, np.flatnonzero(_bounded(others) & fresh))
    )
    if len(home) < 2:
        return None
    index = NearestNeighbors(n_neighbors=2).fit(scaled[home])
    some = _sample(home, _MEDIAN_ROWS, draw)
    usual = float(np.median(index.kneighbors(scaled[some])[0][:, 1]))
    if not usual > 0.0:
        return None
    sampled = len(inside) > max_rows or int(fresh.sum()) > max_rows
    if not len(positions):
        none = np.zeros(0, dtype=np.int64)
        return Near(np.zeros(0), near * usual, none, none, sampled)
    distances, neighbours = index.kneighbors(others[positions], n_neighbors=1)
    return Near(distances[:, 0], near * usual, positions, home[neighbours[:, 0]], sampled)


def row_keys(x: FloatArray) -> AnyArray:
    """The rows of `x` (N, F) as N comparable values: equal where the rows are equal."""
    content = np.ascontiguousarray(x + 0.0)  # −0 becomes 0
    keys: AnyArray = content.view(np.dtype((np.void, content.dtype.itemsize * x.shape[1])))[:, 0]
    return keys


def twins(train: FloatArray, x: FloatArray) -> IntArray:
    """For each row of `x` (M, F) the position of the first equal row of `train`, or −1: (M,)."""
    keys = np.concatenate([row_keys(train), row_keys(x)])
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    found: IntArray = first[inverse[len(train) :]].astype(np.int64)
    return np.where(found < len(train), found, -1)


def _bounded(scaled: FloatArray) -> AnyArray:
    """Which rows (N,) have values whose squares can be added up."""
    bounded: AnyArray = np.all(np.abs(scaled) < 1e100, axis=1)  # NaN is not below anything
    return bounded


def _sample(positions: IntArray, size: int, draw: np.random.Generator) -> IntArray:
    if len(positions) <= size:
        return positions
    return np.sort(draw.choice(positions, size, replace=False))
