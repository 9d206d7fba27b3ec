"""Categories on their way to a model: which steps take them, and which values train does not have.

A column of text is a number once it is read, the place of its value among the sorted ones. Such a
number means nothing to a model, so where nothing else was chosen a `one_hot` step is added: behind
the leading steps that fill missing values, before all others. The numbers that `impute` fills in
for a category are its most frequent ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.data.prepare.steps import Impute, OneHot, Step
from qstore_ray.errors import ConfigError, DataError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.data.columns import TableSchema
    from qstore_ray.data.prepare.prepare import Preparation
    from qstore_ray.data.prepare.step_config import StepConfig
    from qstore_ray.data.sources.base import ColumnsConfig
    from qstore_ray.types import FloatArray, IntArray

_PER_COLUMN = frozenset(
    {"binarize", "impute", "log", "log1p", "minmax", "normalize", "l1", "robust", "scale"}
    | {"standard"}
)
"""Steps that keep every column in its place."""


def resolved_steps(
    steps: Sequence[StepConfig],
    table: TableSchema | None,
    names: tuple[str, ...] | None,
    columns: ColumnsConfig | None,
) -> tuple[Step, ...]:
    """The steps to fit: names of columns as positions, and the categories taken care of.

    Raises:
        ConfigError: a name where columns have none, or behind a step that changes them.
        UnknownNameError: no column of this name.
    """
    asked = tuple(step for step in steps if isinstance(step, Step))
    coded = [] if table is None else _categories(table)
    chosen: list[Step] = []
    seen, encoded = True, False
    for step in asked:
        resolved = step
        if isinstance(step, Impute) and coded and seen:
            resolved = step.model_copy(update={"most_frequent": tuple(coded)})
        if isinstance(step, OneHot):
            resolved = _by_position(step, names if seen else None)
            if seen and not encoded and _is_one_hot(columns) and coded:
                positions = tuple(sorted({*resolved.positions, *coded}))
                resolved = resolved.model_copy(update={"columns": positions})
            encoded = encoded or seen
        seen = seen and step.name in _PER_COLUMN
        chosen.append(resolved)
    if coded and not encoded and _is_one_hot(columns):
        place = next((i for i, step in enumerate(chosen) if not step.accepts_nan), len(chosen))
        unknown = "error" if columns is None else columns.unknown
        chosen.insert(place, OneHot(columns=tuple(coded), unknown=unknown))
    return tuple(chosen)


def encoded_columns(steps: Sequence[Step]) -> tuple[int, ...]:
    """Positions in a raw row of the columns that the first `one_hot` step encodes."""
    for step in steps:
        if isinstance(step, OneHot):
            return step.positions
        if not step.accepts_nan:
            break
    return ()


def check_known(
    step: OneHot | None,
    values: Mapping[str, FloatArray],
    positions: Mapping[str, IntArray],
    table: TableSchema | None,
    names: tuple[str, ...] | None,
) -> None:
    """Raise `DataError` where a split has a category that train does not have.

    Args:
        step: the step that would meet it.
        values: of each split (N, C), the columns that the step encodes.
        positions: of each split, the numbers of its rows.
        table: what the columns mean.
        names: what they are called.
    """
    if step is None or step.unknown == "zeros":
        return
    for place, column in enumerate(step.positions):
        known = np.unique(values["train"][:, place])
        for split, found in values.items():
            strange = ~np.isin(found[:, place], known) & ~np.isnan(found[:, place])
            if not strange.any():
                continue
            first = int(np.argmax(strange))
            value = found[first, place].item()
            listed = () if table is None else table.features[column].categories
            name = str(column) if names is None else repr(names[column])
            out = "" if names is None else f': columns.exclude = ["{names[column]}"]'
            raise DataError(
                f"{int(strange.sum())} rows of {split} have a category in column {name} that no "
                f"row of train has, first row {int(positions[split][first])}",
                field="preprocessing.one_hot",
                value=listed[int(value)] if listed else value,
                fix='Set columns.unknown = "zeros" (or unknown = "zeros" in the one_hot step) to '
                f"give such rows zeros, use another seed, or leave the column out{out}.",
            )


def names_after(
    names: tuple[str, ...] | None, preparation: Preparation, table: TableSchema | None
) -> tuple[str, ...] | None:
    """Names (F',) of prepared features; None where a step mixes columns, or they have no names."""
    raw = names
    for step, state in zip(preparation.steps, preparation.states, strict=True):
        if names is None:
            return None
        if isinstance(step, OneHot):
            categories = {} if table is None or names != raw else dict(enumerate(table.features))
            known = step.known(state)
            names = tuple(
                part
                for place, name in enumerate(names)
                for part in (
                    [f"{name}={_called(v, categories.get(place))}" for v in known[place].tolist()]
                    if place in known
                    else [name]
                )
            )
        elif step.name not in _PER_COLUMN:
            return None
    return names


def _called(value: float, column: object) -> str:
    categories = getattr(column, "categories", ())
    whole = value.is_integer() and 0 <= value < len(categories)
    return categories[int(value)] if whole else f"{value:g}"


def _categories(table: TableSchema) -> list[int]:
    return [place for place, column in enumerate(table.features) if column.kind == "category"]


def _is_one_hot(columns: ColumnsConfig | None) -> bool:
    return columns is None or columns.encoding == "one_hot"


def _by_position(step: OneHot, names: tuple[str, ...] | None) -> OneHot:
    if all(isinstance(column, int) for column in step.columns):
        return step
    if names is None:
        raise ConfigError(
            "the columns before this step have no names",
            field="preprocessing.one_hot.columns",
            value=step.columns,
            fix="Give positions from 0, or put the step before those that change the columns.",
        )
    places = []
    for column in step.columns:
        if isinstance(column, str) and column not in names:
            raise unknown_name_error("column", column, names, field="preprocessing.one_hot.columns")
        places.append(names.index(column) if isinstance(column, str) else column)
    return step.model_copy(update={"columns": tuple(places)})
