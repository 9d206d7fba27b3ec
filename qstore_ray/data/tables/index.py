"""Columns that say which row it is: left out, so that no model learns the order of the rows.

A column is one if its name and its values say so:

    rownames, row.names, rowid, level_0, and what   whole numbers or texts, no two alike
    ends with id: PassengerId, customer_id, …
    as the first column index (pandas), and X       whole numbers that count up by one from 0 or 1,
    (R's name for an empty one)                     or texts, no two alike
    No, Nr., #, RowNumber, Sr. No., obs, idx, …     whole numbers that count up by one from 0 or 1

What is alike is looked for among the rows that are read together, so memory stays bounded.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qstore_ray.data.tables.names import counts_rows, tells_rows
from qstore_ray.data.tables.rows import is_text, trimmed
from qstore_ray.data.tables.texts import is_number

_EXACT = 2.0**53
NUMBERS, NAMES = "numbers the rows", "names the rows"


class Index:
    """Whether a column that may be an index is one; it is given block by block."""

    def __init__(self, name: str) -> None:
        self._counts, self._named = not tells_rows(name), not counts_rows(name)
        self._begins: float | None = None
        self._next = 0.0
        self._reason: str | None = ""

    @property
    def reason(self) -> str:
        """Why the column is left out; "" if it is a column like others."""
        return self._reason or ""

    def add(self, column: pa.ChunkedArray) -> None:
        """Look at a block of the column."""
        if len(column) and self._reason is not None:
            found = self._look(column)
            self._reason = found if self._reason in ("", found) else None

    def _look(self, column: pa.ChunkedArray) -> str | None:
        if column.null_count:
            return None
        if is_text(column.type):
            texts = trimmed(column).cast(pa.string())
            written = texts.to_pylist() if self._reason != NAMES else ()
            if not written or not all(map(is_number, written)):
                if not self._named:
                    return None
                alike = pc.count_distinct(texts).as_py() < len(texts)
                return None if alike or self._reason == NUMBERS else NAMES
            values = np.array(written, dtype=np.float64)
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values = column.to_numpy().astype(np.float64)
        else:
            return None
        return NUMBERS if self._counted(values) else None

    def _counted(self, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
        if not self._counts:
            whole = bool((np.isfinite(values) & (values == np.floor(values))).all())
            told = values[np.abs(values) < _EXACT]  # larger ones are no quantities
            return whole and len(np.unique(told)) == len(told)
        first = float(values[0])
        if self._begins is None:
            self._begins = first
        elif first not in (self._next, self._begins):  # another file may start counting again
            return False
        self._next = float(values[-1]) + 1
        return self._begins in (0.0, 1.0) and bool((np.diff(values) == 1).all())
