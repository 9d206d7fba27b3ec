"""Rows and labels as a user of scikit-learn gives them, checked before any estimator reads them.

scikit-learn's own checks see one array and know no column; what a column of a table or a single
label is comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import validate_data

from qstore_ray.data.inputs.frame import column_names
from qstore_ray.data.rows.given import is_missing
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from qstore_ray.types import AnyArray


def checked_rows(estimator: BaseEstimator, x: Any, **settings: Any) -> AnyArray:
    """Rows x (N, F) as float64, by scikit-learn's `validate_data` with `settings`.

    Raises:
        ConfigError: a masked value, or a column of dates, texts or other things that are no
            numbers.
        ValueError: scikit-learn's.
    """
    _check_known(x)
    _check_columns(x)
    rows: AnyArray = validate_data(estimator, x, dtype=np.float64, **settings)
    return rows


def checked_pairs(
    estimator: BaseEstimator, x: Any, y: Any, **settings: Any
) -> tuple[AnyArray, AnyArray]:
    """Rows x (N, F) as float64 and labels y (N,), by `validate_data` with `settings`.

    Raises:
        ConfigError: as `checked_rows`; a label that is missing, or text beside numbers; of a
            regression (`y_numeric`), one that is no number, such as a date.
        ValueError: scikit-learn's.
    """
    _check_known(x)
    _check_columns(x)
    if settings.get("y_numeric", False):
        _check_targets(y)
    _check_labels(y)
    rows, labels = validate_data(estimator, x, y, dtype=np.float64, **settings)
    return rows, labels


def _check_known(x: Any) -> None:
    """Refuse masked values: scikit-learn, as numpy, takes the numbers below the mask for data."""
    masked = np.ma.getmaskarray(x) if np.ma.isMaskedArray(x) else np.zeros(0, bool)
    if masked.any():
        raise ConfigError(
            f"a value is masked, first in row {int(np.argwhere(masked)[0][0])}",
            field="X",
            fix="Remove such rows, or fill the values in: x.filled(0.0).",
        )


def _check_columns(x: Any) -> None:
    names = None if isinstance(x, np.ndarray) else column_names(x)
    if names is None:
        kind = getattr(getattr(x, "dtype", None), "kind", "")
        if kind in ("M", "m"):
            raise _no_numbers_error("X", x.dtype)
        return
    if len(set(names)) < len(names):
        return  # a name then is several columns; scikit-learn looks at them as an array
    for name in names:
        column = x[name]
        values = np.asarray(column)
        if values.dtype.kind in "biuf" or _are_numbers(values):
            continue
        kind = getattr(column, "dtype", getattr(column, "type", values.dtype))
        raise _no_numbers_error(f"X, column {name!r}", kind)


def _are_numbers(values: AnyArray) -> bool:
    """Whether values (N,) of mixed type, or text, can be read as real numbers; NA is NaN."""
    if values.dtype.kind not in "OUST":
        return False
    known = [value for value in values.ravel().tolist() if not is_missing(value)]
    try:
        np.asarray(known, dtype=object).astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True


def _no_numbers_error(field: str, kind: Any) -> ConfigError:
    return ConfigError(
        f"features must be real numbers, these are of type {kind}",
        field=field,
        fix="Leave the column out, or turn it into numbers: dates into a span of time, categories "
        "by scikit-learn's OneHotEncoder.",
    )


def _check_targets(y: Any) -> None:
    """Refuse targets that are no numbers: numpy takes dates for days, or for nanoseconds."""
    targets = np.asarray(y)
    if targets.dtype.kind in "biufc" or _are_numbers(targets):
        return
    raise ConfigError(
        f"targets must be real numbers, these are of type {getattr(y, 'dtype', targets.dtype)}",
        field="y",
        value=targets.ravel()[0] if targets.size else None,
        fix="Turn dates into a span of time in the unit that you want; for classes take a "
        "classifier.",
    )


def _check_labels(y: Any) -> None:
    labels = y if isinstance(y, np.ndarray) else np.asarray(y, dtype=object)
    if labels.dtype.kind != "O" or labels.ndim != 1:
        return
    listed = labels.tolist()
    for row, label in enumerate(listed):
        if is_missing(label):
            raise ConfigError(
                f"a label is missing, first in row {row}",
                field="y",
                value=label,
                fix="Remove the row, or fill in its label.",
            )
    texts = [isinstance(label, str) for label in listed]
    if any(texts) and not all(texts):
        row = texts.index(not texts[0])
        raise ConfigError(
            f"labels are text and numbers side by side, first in row {row}",
            field="y",
            value=listed[row],
            fix="Give all labels as text, or all as numbers.",
        )
