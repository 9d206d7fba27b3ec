"""How much each training row counts: weights of rows, and of classes.

With weights wᵢ the loss of an epoch is Σ wᵢ ℓᵢ / Σ wᵢ over its rows, and that of a batch of B rows
Σ wᵢ ℓᵢ / (w̄ · B), w̄ being the mean weight of the rows of the epoch. So the gradient of a batch is,
on the mean over the batches, that of the epoch's loss, and a batch whose rows all weigh 0 has the
gradient 0. One batch of all rows is exactly the weighted mean. Equal weights are none: training has
then the same bits.

These weights are of the training alone: the val and test splits are scored without them, so that
runs with other weights can be compared. Weights that a column of the data gives (`columns.weight`)
are of all splits, and of their metrics too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from qstore_ray.errors import ConfigError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

ClassWeight: TypeAlias = Literal["balanced"] | dict[str, float] | None
"""`balanced` gives every class the same total; a table has a weight for each label, else 1."""

LARGEST = 1e100
"""The largest weight of a row: sums and squares of larger ones overflow."""


def check_class_weight(value: Any, field: str = "class_weight") -> ClassWeight:
    """A class weight as it is written, its labels as text.

    Raises:
        ConfigError: not `balanced`, nor a table of numbers from 0 up that are not all 0.
    """
    if value is None:
        return None
    if isinstance(value, str) and value == "balanced":
        return "balanced"
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(
            "class weights are 'balanced', or a number for each label",
            field=field,
            value=value,
            fix='Write "balanced", or for example { no = 1.0, yes = 20.0 }.',
        )
    found: dict[str, float] = {}
    for label, weight in value.items():
        number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise ConfigError(
                "a weight is a finite number, 0 or more",
                field=f"{field}.{label}".lstrip("."),
                value=weight,
                fix="Take 1.0 for a class that counts as it is.",
            )
        found[_text(label)] = float(weight)
    return found


def _text(label: Any) -> str:
    """A label as text; 1.0 is the class 1, as in the data."""
    whole = isinstance(label, float | np.floating) and float(label).is_integer()
    return str(int(label) if whole else label)


def _numbers(weight: Any) -> FloatArray:
    """Weights as numbers; a text of digits is none. Raises TypeError or ValueError."""
    given = np.asarray(weight)
    text = any(isinstance(each, str) for each in given.ravel()[:1])
    if text or given.dtype.kind not in "biufO":
        raise TypeError(f"they are of type {'str' if text else given.dtype}")
    return given.astype(np.float64)


def check_sample_weight(weight: Any, n_rows: int, field: str = "sample_weight") -> FloatArray:
    """The weights of rows as an array (N,).

    Raises:
        ConfigError: another number of them, text, NaN, infinity, one below 0, or all 0.
    """
    try:
        found = _numbers(weight)
    except (TypeError, ValueError) as exc:
        raise ConfigError(
            f"weights are numbers: {exc}", field=field, fix="Give one number a row."
        ) from exc
    if found.ndim == 0:
        found = np.full(n_rows, float(found))
    if found.shape != (n_rows,):
        raise ConfigError(
            f"there is one weight for each of the {n_rows} training rows",
            field=field,
            value=found.shape,
            fix=f"Give {n_rows} numbers, in the order of the rows.",
        )
    wrong = ~np.isfinite(found) | (found < 0.0) | (found > LARGEST)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ConfigError(
            f"a weight is a finite number from 0 to {LARGEST:g}; that of row {row} is not",
            field=field,
            value=float(found[row]),
            fix="Take 0 for a row that shall not count.",
        )
    if not found.any():
        raise ConfigError(
            "all sample weights are zero, so there is nothing to learn from",
            field=field,
            value=0.0,
            fix="Give a weight above 0 to the rows that count, or no weights.",
        )
    return found


def row_weights(
    y: AnyArray,
    classes: Sequence[Any],
    class_weight: ClassWeight,
    sample_weight: FloatArray | None = None,
    field: str = "class_weight",
) -> FloatArray | None:
    """The weight (N,) of each row with class number y (N,); None where all are equal.

    Args:
        classes: the label of each class number.
        class_weight: see `ClassWeight`; `balanced` is Σw / (K · Σw of the class), as scikit-learn
            has it.

    Raises:
        ConfigError: no classes, several labels a row, or all rows weigh 0.
        UnknownNameError: a label that is no class.
    """
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    if class_weight is not None:
        weight = weight * class_weights(y, classes, class_weight, weight, field)[y]
    if not weight.any():
        raise ConfigError(
            "the weights of all training rows are zero, so there is nothing to learn from",
            field=field,
            value=class_weight,
            fix="Give a weight above 0 to a class that has rows.",
        )
    return None if (weight == weight[0]).all() else weight


def class_weights(
    y: AnyArray,
    classes: Sequence[Any],
    given: ClassWeight,
    weight: FloatArray | None = None,
    field: str = "class_weight",
) -> FloatArray:
    """The weight (K,) of each class; arguments as of `row_weights`.

    Raises:
        ConfigError: no classes, or several labels a row.
        UnknownNameError: a label that is no class.
    """
    if not classes or y.ndim != 1:
        raise ConfigError(
            "class weights are for one class a row",
            field=field,
            value=given,
            fix="Leave them out, or give weights of rows.",
        )
    if not isinstance(given, dict):
        totals = np.bincount(y, weights=weight, minlength=len(classes))
        there = totals > 0.0
        balanced = np.zeros(len(classes))
        balanced[there] = totals.sum() / (there.sum() * totals[there])
        return balanced
    names = [_text(label) for label in classes]
    for label in given:
        if label not in names:
            raise unknown_name_error("class", label, names, field=field)
    return np.array([given.get(name, 1.0) for name in names])
