"""Which rows of a source are used: those that lack nothing, and that weigh more than 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.data.rows.validate import bad_value_error
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.config import DatasetConfig
    from qstore_ray.data.sources.base import SourceData
    from qstore_ray.data.survey import PartSurvey
    from qstore_ray.types import AnyArray, IntArray


def kept_rows(config: DatasetConfig, source: SourceData, part: PartSurvey, name: str) -> IntArray:
    """Positions of the rows of a part that are used: that lack nothing, and weigh more than 0.

    Raises:
        DataError: no row is left, all weigh 0, or a row without a label may not be dropped.
    """
    what = f"the official {name} split" if name else "the source"
    counts = _counted(part)
    counted = np.flatnonzero(counts)
    if not len(counted):
        raise DataError(
            f"every row of {what} has the weight 0, so there is nothing to learn from",
            field="columns.weight",
            value=None if config.columns is None else config.columns.weight,
            fix="Give a weight above 0 to the rows that count, or leave columns.weight out.",
        )
    unlabelled = part.unlabelled[counts[part.unlabelled]]
    if config.bad_values != "drop":
        if len(unlabelled):
            raise _no_label_error(source, int(part.row[unlabelled[0]]), len(unlabelled))
        return counted
    counts[part.bad_rows] = counts[unlabelled] = False
    kept: IntArray = np.flatnonzero(counts)
    if not len(kept):
        raise DataError(
            f"{what} has 0 rows after the rows with NaN, infinity or no label were dropped",
            field="bad_values",
            value=config.bad_values,
            fix="Look for a column that is never filled, and leave it out by columns.exclude.",
        )
    return kept


def _counted(part: PartSurvey) -> AnyArray:
    """Which rows (N,) of a part weigh more than 0."""
    return np.ones(len(part.row), np.bool_) if part.weight is None else part.weight != 0.0


def _no_label_error(source: SourceData, row: int, count: int) -> DataError:
    label = None if source.table is None else source.table.label
    names = "; if the text is a label, say what stands for a missing value by params.missing"
    more_fix = "" if label is None else names
    more = f", and in {count - 1} more" if count > 1 else ""
    return DataError(
        f"a label is missing in row {row}{more}",
        field="y" if label is None else f"column {label!r}",
        fix=f'Set bad_values = "drop" to leave such rows out{more_fix}.',
    )


def dropped(parts: Mapping[str, PartSurvey], kept: Mapping[str, IntArray]) -> dict[str, str]:
    """How many rows are left out because they lack a value or a label, for the provenance."""
    counts = {name: _counted(part) for name, part in parts.items()}
    n_rows = sum(int(counts[name].sum()) - len(kept[name]) for name in parts)
    if not n_rows:
        return {}
    lacking = sum(int(counts[name][part.unlabelled].sum()) for name, part in parts.items())
    no_label = f", {lacking} of them without a label," if lacking else ""
    what = "rows with NaN or infinity" if lacking < n_rows or not lacking else "rows"
    if lacking == n_rows:
        return {"dropped": f"{n_rows} rows without a label dropped"}
    return {"dropped": f"{n_rows} {what}{no_label} dropped"}


def weightless(parts: Mapping[str, PartSurvey]) -> dict[str, str]:
    """How many rows are left out because they weigh 0, for the provenance."""
    zero = sum(
        int((part.weight == 0.0).sum()) for part in parts.values() if part.weight is not None
    )
    return {"weightless": f"{zero} rows of weight 0 left out"} if zero else {}


def check_used(
    parts: Mapping[str, PartSurvey],
    positions: Mapping[str, IntArray],
    names: tuple[str, ...] | None,
) -> None:
    """Raise `DataError` if a row of a split has NaN or infinity.

    Args:
        positions: the rows of each split, as positions in its part; `parts` has the source's own
            splits by their names, and the rest as "".
        names: of the features.
    """
    for name, part in parts.items():
        own = {
            split: rows
            for split, rows in positions.items()
            if split == name or (not name and split not in parts)
        }
        used = np.isin(part.bad_rows, np.concatenate([np.zeros(0, np.int64), *own.values()]))
        if not used.any():
            continue
        bad = part.bad[int(np.argmax(used))]
        split = next(split for split, rows in own.items() if bad.position in rows)
        raise bad_value_error(bad, row=int(part.row[bad.position]), split=split, names=names)
