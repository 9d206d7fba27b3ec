"""What to do with NaN and infinity: refuse them, drop their rows, or fill them from train.

    fill = fill_values(train, "median")              learnt from train, once
    x, y, kept, counts = apply_policy(x, y, "impute", fill)

Filling is an answer to a question that the data left open. So it is never the default, the values
come from train for every split, and how many were filled is always said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from qstore_ray.data.validate import as_features, check_finite, check_same_length
from qstore_ray.errors import ConfigError, DataError, unknown_name

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

Policy: TypeAlias = Literal["error", "drop", "impute"]
Fill: TypeAlias = Literal["mean", "median"]


class PolicyCounts(NamedTuple):
    """How many values of how many rows were bad, and what became of them."""

    n_rows: int
    bad_rows: int
    bad_values: int
    dropped_rows: int
    filled_values: int

    def describe(self) -> str:
        """The counts as one sentence."""
        if not self.bad_rows:
            return f"all {self.n_rows} rows are finite"
        bad = f"{self.bad_values} values in {self.bad_rows} of {self.n_rows} rows are not finite"
        if self.dropped_rows:
            return f"{bad}; dropped {self.dropped_rows} rows, {self.n_rows - self.bad_rows} remain"
        return f"{bad}; filled {self.filled_values} values"


class CleanRows(NamedTuple):
    """Finite rows x (N', F) and labels y (N',), which of the N rows they are, and the counts."""

    x: FloatArray
    y: AnyArray
    kept: AnyArray
    counts: PolicyCounts


def fill_values(
    train: FloatArray, method: Fill = "median", names: Sequence[str] | None = None
) -> FloatArray:
    """Mean or median of the finite values of each column of `train` (N, F): (F,).

    Raises:
        UnknownNameError: another method.
        DataError: a column of train has no finite value, or a mean that overflows.
    """
    if method not in get_args(Fill):
        raise unknown_name("way to fill", method, get_args(Fill), field="fill")
    middle = np.mean if method == "mean" else np.median
    filled = np.zeros(train.shape[1])
    for column in range(train.shape[1]):
        known = train[np.isfinite(train[:, column]), column]
        with np.errstate(over="ignore"):
            filled[column] = middle(known) if len(known) else np.nan
        if not np.isfinite(filled[column]):
            named = f" ({names[column]!r})" if names is not None else ""
            raise DataError(
                f"column {column}{named} has no finite {method} in train",
                field="x",
                fix="Leave the column out, or fill it by a number of your own.",
            )
    return filled


def apply_policy(
    x: Any,
    y: AnyArray,
    policy: Policy,
    fill: FloatArray | float | None = None,
    *,
    split: str = "",
    names: Sequence[str] | None = None,
) -> CleanRows:
    """`x` (N, F) and `y` (N,) without NaN and infinity, as `policy` says; the arguments stay.

    Args:
        x: the features.
        y: the labels.
        policy: `error` raises, `drop` leaves out the rows, `impute` puts in `fill`.
        fill: values (F,) from `fill_values`, or one number for all columns; for `impute` alone.
        split: name of the split, for messages.
        names: names of the columns, for messages.

    Raises:
        UnknownNameError: no such policy.
        ConfigError: `fill` is missing, given for nothing, not finite, or of another width.
        DataError: a bad value under `error`, or no row that is left under `drop`.
    """
    if policy not in get_args(Policy):
        raise unknown_name("policy", policy, get_args(Policy), field="policy")
    features = as_features(x)
    check_same_length(features, y)
    filling = _checked_fill(policy, fill, features.shape[1])
    bad = ~np.isfinite(features)
    bad_row: AnyArray = np.any(bad, axis=1)
    n_bad, n_values = int(bad_row.sum()), int(bad.sum())
    everything = np.ones(len(features), dtype=bool)
    if policy == "error" or not n_bad:
        check_finite(features, split=split, names=names)
        return CleanRows(features, y, everything, PolicyCounts(len(features), 0, 0, 0, 0))
    if policy == "impute":
        counts = PolicyCounts(len(features), n_bad, n_values, 0, n_values)
        return CleanRows(np.where(bad, filling, features), y, everything, counts)
    if n_bad == len(features):
        where = f" of split {split!r}" if split else ""
        raise DataError(
            f"0 samples after dropping the rows{where} with NaN or infinity: "
            f"all {n_bad} rows have one",
            field="policy",
            value=policy,
            fix='Leave out the columns that are empty, or use the policy "impute".',
        )
    counts = PolicyCounts(len(features), n_bad, n_values, n_bad, 0)
    return CleanRows(features[~bad_row], y[~bad_row], ~bad_row, counts)


def _checked_fill(policy: Policy, fill: FloatArray | float | None, width: int) -> FloatArray:
    if policy != "impute":
        if fill is not None:
            raise ConfigError(
                f"the policy {policy!r} fills nothing", field="fill", fix='Set policy = "impute".'
            )
        return np.zeros(width)
    values = np.asarray(np.nan if fill is None else fill, dtype=np.float64)
    if fill is None or values.shape not in {(), (width,)} or not np.isfinite(values).all():
        raise ConfigError(
            f"imputing needs a finite number, or one for each of the {width} columns",
            field="fill",
            value=fill,
            fix='Learn them from train with fill_values(train, "median").',
        )
    return np.broadcast_to(values, (width,))
