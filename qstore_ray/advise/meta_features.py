"""What a classification's data look like, in eighteen numbers that any table of rows has.

    size        log rows, log columns, classes, rows a column
    balance     share of the smallest class, entropy of the classes / log classes
    columns     skewness, excess kurtosis, |correlation|, share of two-valued columns, of zeros
    spectrum    share of the first principal component, share of columns that hold 90 % of variance
    difficulty  skill of a linear model, one neighbour, a stump, Gauss's naive Bayes, each in three
                folds; the largest ratio of the variance between the classes to that within

Skill is balanced accuracy from chance (0) to perfect (1), so that two and ten classes compare.

They are computed on at most `ROWS` rows, stratified, as the table's data sets have no more.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qstore_ray.types import AnyArray, FloatArray, IntArray

ROWS = 600
_FOLDS = 3
_FEWEST = 3
"""Rows that each class must have: one for every fold."""


class MetaFeatures(NamedTuple):
    """The numbers, each finite, in the order of `NAMES`; `rows`, `columns` of the whole data."""

    values: Mapping[str, float]
    rows: int
    columns: int

    def vector(self) -> FloatArray:
        """The numbers as an array (18,)."""
        return np.array([self.values[name] for name in NAMES])


def meta_features(x: Any, y: Any, *, seed: int = 0) -> MetaFeatures:
    """The numbers of rows x (N, F) with class numbers or labels y (N,).

    Raises:
        DataError: one class, a class of fewer than three rows, NaN or infinity, or no table.
    """
    rows, numbers = checked_table(x, y)
    picked = stratified_rows(numbers, ROWS, seed)
    part, label = _scaled(rows[picked]), numbers[picked]
    values = {
        **_size(part, label),
        **_columns(part),
        **_spectrum(part),
        **_difficulty(part, label, seed),
    }
    found = {name: float(values[name]) for name in NAMES}
    return MetaFeatures(found, *rows.shape)


def checked_table(x: Any, y: Any) -> tuple[FloatArray, IntArray]:
    """Finite rows (N, F), images flattened, and class numbers (N,).

    Raises:
        DataError: see `meta_features`.
    """
    rows = np.asarray(x, dtype=np.float64)
    labels: AnyArray = np.asarray(y)
    if rows.ndim < 2 or labels.ndim != 1 or len(rows) != len(labels):
        raise DataError(
            "advice needs rows (N, F) and one label for each",
            field="x",
            value=(rows.shape, labels.shape),
            fix="Give a table of numbers and a class for every row.",
        )
    rows = rows.reshape(len(rows), -1)
    if not np.isfinite(rows).all():
        raise DataError(
            "the rows hold NaN or infinity",
            field="x",
            fix="Impute or drop missing values first, see docs/data.md.",
        )
    classes, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise DataError(
            "there is one class, so there is nothing to tell apart",
            field="y",
            value=classes.tolist(),
            fix="Give rows of another class too.",
        )
    if counts.min() < _FEWEST:
        raise DataError(
            f"a class has {counts.min()} rows, and advice needs {_FEWEST} of each",
            field="y",
            value=classes[counts.argmin()].item(),
            fix="Give more rows of it, or leave the class out.",
        )
    return rows, numbers.astype(np.int64)


def stratified_rows(y: IntArray, count: int, seed: int) -> IntArray:
    """Numbers of at most about `count` rows, sorted, with the classes in their shares."""
    if len(y) <= count:
        return np.arange(len(y))
    rng = np.random.default_rng([seed, 0xAD])
    parts = []
    for k in np.unique(y):
        own = np.flatnonzero(y == k)
        parts.append(rng.permutation(own)[: max(_FEWEST, round(count * len(own) / len(y)))])
    return np.sort(np.concatenate(parts))


def _scaled(x: FloatArray) -> FloatArray:
    """Each column by a power of 2, to at most 1: its numbers stay what they are, and none overflow.

    Every meta-feature is the same for a column and for its multiples.
    """
    _, exponents = np.frexp(np.abs(x).max(axis=0))
    found: FloatArray = np.ldexp(x, -exponents)
    return found


def _size(x: FloatArray, y: IntArray) -> dict[str, float]:
    shares = np.bincount(y) / len(y)
    n_classes = len(shares)
    return {
        "log_rows": np.log(len(x)),
        "log_columns": np.log(x.shape[1]),
        "classes": n_classes,
        "log_rows_per_column": np.log(len(x) / x.shape[1]),
        "smallest_class": shares.min() * n_classes,
        "class_entropy": -(shares * np.log(shares)).sum() / np.log(n_classes),
    }


def _columns(x: FloatArray) -> dict[str, float]:
    spread = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    correlation = 0.0
    if x.shape[1] > 1:
        matrix = z.T @ z / len(z)
        correlation = np.abs(matrix[np.triu_indices(len(matrix), 1)]).mean()
    two_valued = np.mean([len(np.unique(column)) <= 2 for column in x.T])
    return {
        "skewness": np.log1p(np.abs((z**3).mean(axis=0)).mean()),
        "kurtosis": np.log1p(np.abs((z**4).mean(axis=0) - 3.0).mean()),
        "correlation": correlation,
        "two_valued": two_valued,
        "zeros": np.mean(x == 0.0),
    }


def _spectrum(x: FloatArray) -> dict[str, float]:
    spread = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    variance = np.linalg.svd(z, compute_uv=False) ** 2
    total = variance.sum()
    if total == 0.0:
        return {"first_component": 1.0, "components_90": 0.0}
    shares = np.cumsum(variance) / total
    needed = int(np.searchsorted(shares, 0.9)) + 1
    return {"first_component": shares[0], "components_90": needed / x.shape[1]}


def _difficulty(x: FloatArray, y: IntArray, seed: int) -> dict[str, float]:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    simple = {
        "linear": RidgeClassifier(),
        "one_neighbour": KNeighborsClassifier(1),
        "stump": DecisionTreeClassifier(max_depth=2, random_state=seed),
        "naive_bayes": GaussianNB(),
    }
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant columns; the score says how it went
        for name, model in simple.items():
            pipeline = make_pipeline(StandardScaler(), model)
            scores = cross_val_score(pipeline, x, y, cv=folds, scoring="balanced_accuracy")
            found[f"{name}_skill"] = skill(float(scores.mean()), int(y.max()) + 1)
    return {**found, "fisher_ratio": np.log1p(_largest_fisher_ratio(x, y))}


def skill(score: Any, classes: Any) -> Any:
    """Balanced accuracy as 0 for chance and 1 for perfect; of numbers or arrays."""
    return (score * classes - 1.0) / (classes - 1.0)


def unskilled(found: Any, classes: Any) -> Any:
    """The balanced accuracy of a skill: the inverse of `skill`."""
    return (found * (classes - 1.0) + 1.0) / classes


def _largest_fisher_ratio(x: FloatArray, y: IntArray) -> float:
    overall = x.mean(axis=0)
    between, within = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for k in np.unique(y):
        rows = x[y == k]
        between += len(rows) * (rows.mean(axis=0) - overall) ** 2
        within += ((rows - rows.mean(axis=0)) ** 2).sum(axis=0)
    known = within > 0.0
    return float(np.minimum(between[known] / within[known], 1e6).max(initial=0.0))


NAMES = (
    "log_rows", "log_columns", "classes", "log_rows_per_column", "smallest_class",
    "class_entropy", "skewness", "kurtosis", "correlation", "two_valued", "zeros",
    "first_component", "components_90", "linear_skill", "one_neighbour_skill", "stump_skill",
    "naive_bayes_skill", "fisher_ratio",
)  # fmt: skip
"""The names of the numbers, in their order."""
