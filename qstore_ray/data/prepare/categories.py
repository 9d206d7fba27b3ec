"""Categories on their way to a model: which steps take them, and which values train does not have.

A column of text is a number once it is read, the place of its value among the sorted ones. Such a
number means nothing to a model, so by default a `one_hot` step is added: behind
the leading steps that fill missing values, before all others. The numbers that `impute` fills in
for a category are its most frequent ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
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
        seen = seen and step.keeps_columns
        chosen.append(resolved)
    if coded and not encoded and _is_one_hot(columns):
        place = next((i for i, step in enumerate(chosen) if not step.accepts_nan), len(chosen))
        unknown = "error" if columns is None else columns.unknown
        chosen.insert(place, OneHot(columns=tuple(coded), unknown=unknown))
    return tuple(chosen)


def columns_to_keep(steps: Sequence[Step]) -> tuple[int, ...]:
    """Positions in a raw row of the columns that a `one_hot` step may encode as they are.

    A later step counts positions behind the columns that earlier ones added, so its column stands
    at most as far to the right in the raw row.
    """
    kept: set[int] = set()
    for number, step in enumerate(_on_raw_values(steps)):
        if isinstance(step, OneHot):
            several = any(isinstance(earlier, OneHot) for earlier in steps[:number])
            kept |= set(range(max(step.positions) + 1)) if several else set(step.positions)
    return tuple(sorted(kept))


def check_known(
    preparation: Preparation,
    values: Mapping[str, Mapping[int, FloatArray]],
    positions: Mapping[str, IntArray],
    table: TableSchema | None,
    names: tuple[str, ...] | None,
) -> None:
    """Raise `DataError` if a split has a category that train does not have.

    Args:
        preparation: fitted on train.
        values: of each split, the raw columns (N,) that `columns_to_keep` names, by position.
        positions: of each split, the numbers of its rows.
        table: what the columns mean.
        names: what they are called.
    """
    origins: list[int | None] = list(range(preparation.n_features))
    for step, state in zip(_on_raw_values(preparation.steps), preparation.states, strict=False):
        known = step.known(state) if isinstance(step, OneHot) else {}
        for place, categories in known.items():
            column = origins[place]
            if column is not None and isinstance(step, OneHot) and step.unknown == "error":
                found = {split: kept[column] for split, kept in values.items()}
                _check_column(column, categories, found, positions, table, names)
        origins = [
            None if place in known else origins[place]
            for place in step.origins(state, len(origins)) or ()
        ]


def _on_raw_values(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The leading steps, which meet the values that a raw row has."""
    return tuple(takewhile(lambda step: step.accepts_nan or isinstance(step, OneHot), steps))


def _check_column(
    column: int,
    known: FloatArray,
    values: Mapping[str, FloatArray],
    positions: Mapping[str, IntArray],
    table: TableSchema | None,
    names: tuple[str, ...] | None,
) -> None:
    """Raise `DataError` if the values (N,) of a split in a raw column are not all `known`."""
    for split, found in values.items():
        strange = ~np.isin(found, known) & ~np.isnan(found)
        if not strange.any():
            continue
        first = int(np.argmax(strange))
        value = found[first].item()
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
    """Names (F',) of prepared features; None if a step mixes columns, or they have no names."""
    if names is None:
        return None
    texts = [()] * len(names) if table is None else [column.categories for column in table.features]
    for step, state in zip(preparation.steps, preparation.states, strict=True):
        origins = step.origins(state, len(names))
        if origins is None:
            return None
        known = step.known(state) if isinstance(step, OneHot) else {}
        if not (step.accepts_nan or isinstance(step, OneHot)):
            texts = [()] * len(names)  # its numbers are those of categories no more
        called = {
            place: iter([f"{names[place]}={_called(v, texts[place])}" for v in values.tolist()])
            for place, values in known.items()
        }
        names = tuple(next(called[at]) if at in called else names[at] for at in origins)
        texts = [() if at in called else texts[at] for at in origins]
    return names


def _called(value: float, categories: tuple[str, ...]) -> str:
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
