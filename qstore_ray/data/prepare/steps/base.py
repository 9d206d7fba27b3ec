"""What every step of preparation is: an array function whose state is fitted on the training rows.

A step is `fit(x) -> state` and `apply(x, state) -> x'`: both pure, the state a dictionary of plain
arrays. Its own fields are its configuration, checked when the configuration is built. Every step
treats each row by itself: a batch gives, to the last bit, what its rows give one by one. A new step
is one class in this folder and one line in `STEPS` (`step_config.py`).

Letters: N training rows, B rows of a batch, F features in, F' features out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np

from qstore_ray.data.prepare.step_config import StepConfig
from qstore_ray.errors import DataError, UsageError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

State: TypeAlias = "Mapping[str, FloatArray]"


class Step(StepConfig, ABC):
    """A transformation of rows whose state is learnt from the training rows.

    `keeps_columns` says whether every column stays in its place.
    """

    keeps_columns: ClassVar[bool] = False

    @abstractmethod
    def fit(self, x: FloatArray) -> State:
        """The state learnt from the training rows `x` (N, F)."""

    @abstractmethod
    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) transformed, (B, F')."""

    def origins(self, state: State, n_features: int) -> tuple[int, ...] | None:
        """The column of the F = `n_features` that each of the F' comes from; None if they mix."""
        return tuple(range(n_features)) if self.keeps_columns else None

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """Rows (B, F) that `apply` maps to `x` (B, F'): apply(invert(x)) = x, up to rounding.

        Raises:
            UsageError: the step has no inverse.
        """
        raise UsageError(
            f"the step {self.name} has no inverse: it loses what would be needed to undo it",
            field=f"preprocessing.{self.name}",
            fix="Keep the raw rows where they are needed again, or leave this step out.",
        )


def divide(x: FloatArray, by: FloatArray) -> FloatArray:
    """x / by, and 0 where `by` is 0."""
    if (by > 0.0).all():  # without the two copies below, which cost more than the division
        return x / by
    return np.where(by > 0.0, x / np.where(by > 0.0, by, 1.0), 0.0)


def shift_and_divide(x: FloatArray, shift: FloatArray, by: FloatArray) -> FloatArray:
    """(x − shift) / by, and 0 where `by` is 0, for rows `x` (B, F), `shift` and `by` (F,)."""
    out, constant = np.empty(x.shape), ~(by > 0.0)
    divisor = np.where(constant, 1.0, by)
    for rows in row_blocks(x):
        part = np.subtract(x[rows], shift, out=out[rows])
        np.divide(part, divisor, out=part)
        part[:, constant] = 0.0
    return out


def mean_of(x: FloatArray, constant: AnyArray) -> FloatArray:
    """Mean (F,) of the rows `x` (N, F), exact for a `constant` column: centring gives 0."""
    total = np.zeros(x.shape[1])
    for rows in row_blocks(x):
        total += x[rows].sum(axis=0)
    mean: FloatArray = np.where(constant, x[0], total / len(x))
    return mean


def constant_columns(x: FloatArray) -> AnyArray:
    """Which columns (F,) of the rows `x` (N, F) hold one value only."""
    # Most columns differ in a few rows already, and are not read as a whole.
    constant: AnyArray = (x[:: max(1, len(x) // 1024)] == x[0]).all(axis=0)
    for rows in row_blocks(x):
        left = np.flatnonzero(constant)
        if not left.size:
            break
        constant[left] = (x[rows][:, left] == x[0, left]).all(axis=0)
    return constant


def row_blocks(x: FloatArray) -> Iterator[slice]:
    """The rows of `x` (N, F) in runs of half a MiB, on which several operations stay in cache."""
    size = max(1, 2**16 // x.shape[1])
    for start in range(0, len(x), size):
        yield slice(start, start + size)


def refuse(x: FloatArray, wrong: AnyArray, step: str, needs: str, *, fix: str = "") -> None:
    """Raise `DataError` that names the first value of `x` (B, F) for which `wrong` holds."""
    if wrong.any():
        row, column = divmod(int(np.argmax(wrong)), x.shape[1])
        raise DataError(
            f"{step} needs {needs}, column {column} of row {{row}} is not",
            row=row,
            field=f"preprocessing.{step}",
            value=float(x[row, column]),
            fix=fix,
        )
