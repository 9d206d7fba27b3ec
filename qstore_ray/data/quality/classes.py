"""Checks of labels: class sizes, missing classes, a column that determines the label.

Labels (N,) are class numbers 0 … C−1; a regression has only the last check.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from qstore_ray.data.quality.finding import NOWHERE, Finding, RowOrigin, each_column

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray

_CHANCE: Final = 0.01
_ROWS_A_VALUE: Final = 5


def find_imbalance(
    y: IntArray,
    class_names: Sequence[str],
    *,
    min_per_class: int = 10,
    max_imbalance: float = 10.0,
    origin: RowOrigin = NOWHERE,
) -> list[Finding]:
    """Warnings: a class with rows, but few, and a largest class that outnumbers the smallest."""
    counts = np.bincount(y, minlength=len(class_names))
    here = origin.inside
    found = [
        Finding(
            "balance",
            "warning",
            f"class {class_names[k]!r} has {counts[k]} rows{here}, fewer than {min_per_class}",
            field="y",
            value=int(counts[k]),
            fix="Collect more rows of it, or merge it with another class.",
        )
        for k in np.flatnonzero((counts > 0) & (counts < min_per_class)).tolist()
    ]
    present = counts[counts > 0]
    if len(present) and present.max() > max_imbalance * present.min():
        ratio = float(present.max() / present.min())
        most, least = int(counts.argmax()), int(np.where(counts > 0, counts, len(y) + 1).argmin())
        found.append(
            Finding(
                "imbalance",
                "warning",
                f"class {class_names[most]!r} has {ratio:.3g} times the rows of class "
                f"{class_names[least]!r}{here}: {counts[most]} to {counts[least]}",
                field="y",
                value=ratio,
                fix="Judge the model by class, not by accuracy; consider weighting or resampling.",
            )
        )
    return found


def find_missing_classes(
    y: IntArray, class_names: Sequence[str], origin: RowOrigin = NOWHERE
) -> list[Finding]:
    """A warning for each class without a row; in a split called `train` it is an error."""
    counts = np.bincount(y, minlength=len(class_names))
    shown = ", ".join(f"{name} {count}" for name, count in zip(class_names, counts, strict=True))
    return [
        Finding(
            "missing-class",
            "error" if origin.split == "train" else "warning",
            f"no row of class {class_names[k]!r}{origin.inside} (rows by class: {shown})",
            field="y",
            value=0,
            fix="Split by seed with stratify = true, or ask for larger splits.",
        )
        for k in np.flatnonzero(counts == 0).tolist()
    ]


def find_label_leaks(
    x: FloatArray, y: AnyArray, *, regression: bool = False, origin: RowOrigin = NOWHERE
) -> list[Finding]:
    """A warning for each column that alone gives the label of every row, beyond chance.

    For classes: every value belongs to one class, and either the classes lie side by side, one
    interval each, or the column has few values (five rows a value or more), as a code does. The
    number of ways to label the rows that well, over the number of all ways to label them with the
    same counts, bounds the probability of it by chance; times F it must be below 0.01.

    For a regression: the label is a linear function of the column.
    """
    usable = [j for j in range(x.shape[1]) if np.isfinite(x[:, j]).all()]
    if regression:
        leaks = [j for j in usable if _is_linear(x[:, j], y)]
    else:
        leaks = [j for j in usable if _separates(x[:, j], y, x.shape[1])]

    def finding(column: int) -> Finding:
        return Finding(
            "label-leak",
            "warning",
            f"this column alone gives every label{origin.inside}",
            field=origin.column(column),
            fix="Drop it if it was derived from the label or is not known when predicting.",
        )

    return each_column(leaks, finding, origin)


def _separates(values: FloatArray, y: AnyArray, n_columns: int) -> bool:
    """Whether `values` (N,) give the class numbers `y` (N,), less likely by chance than 0.01."""
    order = np.lexsort((y, values))
    same = np.diff(values[order]) == 0.0
    changes = np.diff(y[order]) != 0
    if (same & changes).any():
        return False
    n_distinct, n_runs = int((~same).sum()) + 1, int(changes.sum()) + 1
    counts = np.unique_counts(y).counts
    n_classes = len(counts)
    if n_classes < 2 or (n_runs != n_classes and len(y) < _ROWS_A_VALUE * n_distinct):
        return False
    # Runs: choose where they begin, C classes for the first and C − 1 for each other one.
    ways = _log_choose(n_distinct - 1, n_runs - 1)
    ways += math.log(n_classes) + (n_runs - 1) * math.log(n_classes - 1)
    every = math.lgamma(len(y) + 1) - sum(math.lgamma(n + 1) for n in counts.tolist())
    return ways + math.log(n_columns) - every < math.log(_CHANCE)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _is_linear(values: FloatArray, y: AnyArray) -> bool:
    """Whether `y` (N,) = a·values + b, to 9 digits, for five rows or more."""
    if len(y) < _ROWS_A_VALUE:
        return False
    centred = [_unit(array.astype(np.float64)) for array in (values, y)]
    return bool(abs(float(centred[0] @ centred[1])) > 1.0 - 1e-9)


def _unit(values: FloatArray) -> FloatArray:
    """values − mean, of length 1; zeros where constant. Scaled first, so nothing overflows."""
    largest = np.abs(values).max()
    if not (np.isfinite(largest) and largest > 0.0 and values.min() < values.max()):
        return np.zeros(len(values))
    scaled = values / largest
    centred: FloatArray = scaled - scaled.mean()
    length = np.linalg.norm(centred)
    return centred / length if length > 0.0 else centred
