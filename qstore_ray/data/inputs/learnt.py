"""The schema of a table in memory, by the rule that reads the tables of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.tables.arrow import read_schema
from qstore_ray.data.tables.names import LABELS
from qstore_ray.data.tables.request import USUAL_SIGNS, TableRequest
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.inputs.frame import Frame

_WHERE = "x"


def learnt(
    frame: Frame, asked: ColumnsConfig | None = None, missing: tuple[str, ...] = USUAL_SIGNS
) -> TableSchema:
    """The schema of a table of features: numbers, true/false, categories, and what is left out.

    Args:
        asked: which of the columns are features, and how each is read.
        missing: texts that stand for a missing value.

    Raises:
        DataError: names that are no text or there twice, or columns that are no features.
        UnknownNameError: a name that the table does not have.
    """
    twice = [name for name, count in Counter(frame.names).items() if count > 1]
    if twice:
        raise DataError(
            "columns have the same name",
            field="columns",
            value=twice,
            fix="Give each its own name.",
        )
    for name in frame.names:
        if not isinstance(name, str):
            raise DataError(
                "a column's name is no text",
                field="columns",
                value=name,
                fix="Name it, or give an array.",
            )
    request = TableRequest(columns=asked or ColumnsConfig(), missing=missing, labelled=False)
    columns = {name: frame.arrow(name) for name in _used(frame, request.columns)}
    schema = pa.schema(
        [(name, columns[name].type if name in columns else pa.null()) for name in frame.names]
    )

    def blocks(names: tuple[str, ...]) -> Iterator[pa.Table]:
        yield pa.table({name: columns[name] for name in names})

    _check_no_lists(columns)
    return read_schema(schema, request, _WHERE, blocks)[1]


def check_holds_no_label(frame: Frame, y: Any, features: Sequence[str]) -> None:
    """Raise `DataError` if a feature is the labels `y` (N,) themselves, by its name and values.

    It is the one that has the name of `y`, or the usual name of a label.
    """
    own = getattr(y, "name", None)
    for name in features:
        if name == own or name.strip().lower() in LABELS:
            column, labels = np.asarray(frame.column(name)), np.asarray(y)
            if column.shape == labels.shape and column.tolist() == labels.tolist():
                raise DataError(
                    "the column has the labels themselves, and would be a feature",
                    field=f"x, column {name!r}",
                    fix=f'Leave it out: columns.exclude = ["{name}"].',
                )


def _used(frame: Frame, asked: ColumnsConfig) -> list[Any]:
    """The columns that are looked at; others may be of any type."""
    if asked.features is None:
        return [name for name in frame.names if name not in asked.exclude]
    roles = {*asked.features, asked.group, asked.weight}
    return [name for name in frame.names if name in roles]


def _check_no_lists(columns: dict[Any, pa.ChunkedArray]) -> None:
    for name, column in columns.items():
        if pa.types.is_nested(column.type):
            raise DataError(
                f"columns of type {column.type} are no numbers",
                field=f"column {name!r}",
                fix="Give a column numbers, text, or true and false.",
            )
