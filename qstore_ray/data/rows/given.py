"""Labels as a user has them in memory: a list, a column of some library, an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.data.rows.labels import flat_labels, plain_texts
from qstore_ray.data.rows.validate import as_array
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_NO_VALUE = ("NAType", "NaTType")  # pandas' own, which need not be there
_NUMBERS = (bool, int, float, np.bool_, np.number)


def is_missing(value: Any) -> bool:
    """True for None, NaN, and the missing values of pandas."""
    if value is None or type(value).__name__ in _NO_VALUE:
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def given_labels(values: Any, *, several: bool = False) -> tuple[AnyArray, AnyArray | None]:
    """Labels (N,) or (N, T) as `flat_labels`, and which rows (N,) have none; None if all have.

    The label of a row that has none is of no meaning.

    Raises:
        DataError: as `flat_labels`; text and numbers side by side, or no label at all.
    """
    y, gone = _typed(values)
    if y.dtype.kind == "f" and np.isnan(y).any():
        nan = np.isnan(y)
        gone = np.asarray(nan.reshape(len(y), -1).any(axis=1))
        y = np.where(nan, 0.0, y)
    return flat_labels(y, several=several), gone


def _typed(values: Any) -> tuple[AnyArray, AnyArray | None]:
    """`values` as an array of one type, and which (N,) are missing."""
    listed = isinstance(values, list | tuple) and all(np.ndim(value) == 0 for value in values)
    y = np.array(values, dtype=object) if listed else as_array(values, "y")
    if y.dtype.kind != "O" or y.ndim != 1 or not len(y):
        return y, None
    gone = np.array([is_missing(value) for value in y.tolist()])
    if gone.all():
        raise DataError(
            "no row has a label", field="y", fix="Give a label to the rows that are to be learnt."
        )
    known = y[~gone].tolist()
    texts = [isinstance(value, str) for value in known]
    numbers = [isinstance(value, _NUMBERS) for value in known]
    if any(texts) and any(numbers):
        at = np.flatnonzero(~gone)[texts.index(not texts[0])]
        raise DataError(
            "labels are text and numbers side by side",
            field="y",
            value=f"{y[at]!r} at position {at}",
            fix="Give all labels as text, or all as numbers.",
        )
    if not all(texts) and not all(numbers):
        return y, None  # which `flat_labels` refuses
    typed = plain_texts(known) if all(texts) else np.asarray(known)
    whole = np.full(len(y), typed[0], typed.dtype)
    whole[~gone] = typed
    return whole, gone if gone.any() else None
