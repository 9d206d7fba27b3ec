"""Rows with labels that a model is scored on, as a dataset: no split, nothing fitted on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.config import fingerprint
from qstore_ray.data.columns import TableSchema
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.inputs.frame import frame_of
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.read.plan import ReadPlan, SplitTask
from qstore_ray.data.read.schema import Schema
from qstore_ray.data.rows.given import given_labels
from qstore_ray.data.rows.labels import (
    KINDS,
    ClassLabels,
    Label,
    Labels,
    Targets,
    rows_of_each,
)
from qstore_ray.data.rows.raw import read_raw
from qstore_ray.data.rows.validate import as_array, check_not_empty, check_same_length
from qstore_ray.data.sources.base import array_tasks
from qstore_ray.errors import DataError, UsageError, placed

if TYPE_CHECKING:
    from qstore_ray.data.tables.rows import Where
    from qstore_ray.types import AnyArray, Task


def split_name(split: Any) -> str:
    """`split`, if it is the name of one.

    Raises:
        UsageError: something else, such as the labels.
    """
    if isinstance(split, str):
        return split
    raise UsageError(
        "the second argument is the name of a split",
        field="split",
        value=type(split).__name__,
        fix="To score rows x with labels y, write evaluate(model.labelled(x, y)).",
    )


def labelled_dataset(
    x: AnyArray,
    y: Any,
    *,
    task: Task,
    classes: tuple[Label, ...],
    class_names: tuple[str, ...],
    preparation: Preparation,
    table: TableSchema | None,
    merged: tuple[Label, ...] = (),
    split: str = "test",
    where: Where | None = None,
    label: str | None = None,
    weight: AnyArray | None = None,
) -> Dataset:
    """Raw rows `x` (N, …) with labels `y` (N,) or (N, T), as the split `split` of a dataset.

    The classes and the preparation are a model's, so the rows are numbered and prepared as its
    training rows were.

    Args:
        where: file and line of a row, for error messages.
        label: the column of the labels, for error messages.
        weight: sample weights (N,); a row of weight 0 is left out.

    Raises:
        DataError: no rows, another width, values that are not finite, a label that is no class.
    """
    kind = KINDS[task]
    labels: Labels = Targets() if kind is Targets else kind(classes)
    if merged:
        labels = ClassLabels(classes, merged)
    rows = as_array(x, "x")
    flat, gone = given_labels(y, several=kind.several)
    if gone is not None:
        with placed(where, label):
            raise DataError(
                "a label is missing, first in row {row}",
                row=int(np.argmax(gone)),
                field="y",
                fix="Remove the row, or fill in its label.",
            )
    check_same_length(rows, flat)
    check_not_empty(len(rows), "the table")
    take = np.arange(len(rows)) if weight is None else np.flatnonzero(weight)
    if not len(take):
        raise DataError(
            "every row has the weight 0, so there is nothing to score",
            field="columns.weight",
            value=None if table is None else table.weight,
            fix="Give a weight above 0 to the rows that count, or leave the column out.",
        )
    names = None if table is None else table.names
    with placed(where):
        prepared = preparation.transform(rows, names)
    (source,) = array_tasks(rows, flat, rows_per_task=len(rows), weight=weight)
    raw = read_raw(source, several=kind.several)
    with placed(where, label):
        numbers = labels.encode(raw.y)
    only = SplitTask(
        source=source,
        digest=raw.digest(),
        take=take,
        columns=None,
        labels=labels,
        preparation=preparation,
        split=split,
    )
    return Dataset(
        config=DatasetConfig(name="rows", source="numpy", task=task),
        schema=Schema(
            n_raw_features=preparation.n_features,
            n_features=prepared.shape[1],
            dtype=str(rows.dtype),
            feature_names=names,
            class_names=class_names or tuple(map(str, labels.classes)),
            n_targets=raw.y.shape[1] if raw.y.ndim == 2 else 1,
            table=table,
        ),
        classes=labels.classes,
        class_counts=(
            {split: rows_of_each(numbers[take], len(labels.classes))} if labels.classes else {}
        ),
        fingerprint=fingerprint(raw.digest()),
        preparation=preparation,
        provenance={"source": "rows to score"},
        plans={
            split: ReadPlan(
                (only,), raw.row[take], weight=None if raw.weight is None else raw.weight[take]
            )
        },
    )


def label_column(
    rows: Any, label: str | None, classes: tuple[Label, ...], table: TableSchema | None
) -> AnyArray:
    """The labels (N,) of a table's rows, in the column called `label`.

    Raises:
        DataError: no table, no such column, or a label that is missing.
    """
    from qstore_ray.data.inputs.values import labels_of  # loads pyarrow, as a table needs it

    frame = frame_of(rows)
    if frame is None or label is None or label not in frame.names:
        which = "no label column is known" if label is None else f"there is no column {label!r}"
        raise DataError(
            f"{which}, and rows are scored against their labels",
            field="columns.label",
            value=None if frame is None else list(frame.names),
            fix="Give rows with their labels, and say which column holds them.",
        )
    schema = table or TableSchema(())
    schema = replace(schema, missing=(*schema.missing, *frame.missing))
    return labels_of(frame.arrow(label), classes, label, frame.where, schema)
