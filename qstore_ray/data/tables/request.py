"""A request to a table of any format: which columns, which labels, which missing values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.rows.spelling import spelled
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.types import Task

USUAL_SIGNS = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
)
"""Texts that mean a missing value by default: those of pandas."""


@dataclass(frozen=True, kw_only=True)
class TableRequest:
    """What a format receives beside its files and parameters.

    Args:
        columns: the columns that were asked for.
        task: what the labels are for.
        label_type: how labels are read; `auto` decides by all of them.
        missing: texts that stand for a missing value.
        max_columns: most columns of a table.
        schema: read with this one instead of deciding: rows to predict on. Columns are found by
            their names, others are left alone, and chunks give x without labels.
        kept: with a schema, further columns that are read unchanged if they exist: an id,
            the label of rows to score.
        labelled: whether one of the columns is the label; else all of them are features, as in
            rows for a model that has no names.
    """

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    task: Task = "classification"
    label_type: Literal["auto", "number", "text"] = "auto"
    missing: tuple[str, ...] = USUAL_SIGNS
    max_columns: int = 100_000
    schema: TableSchema | None = None
    kept: tuple[str, ...] = ()
    labelled: bool = True


def signs(missing: tuple[str | int | float, ...] | None) -> tuple[str, ...]:
    """The texts that stand for a missing value: those given, or the usual ones."""
    if missing is None:
        return USUAL_SIGNS
    return tuple(dict.fromkeys(("", *(spelled(str(sign)) for sign in missing))))
