"""Categories written as whole numbers, each turned into a column of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from qstore_ray.data.prepare.steps.base import State, Step, refuse
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class OneHot(Step):
    """Each chosen column becomes one column a category, 1 where the row is of it and else 0.

    The categories are the distinct whole numbers of the column in train, ascending; they take the
    column's place. The other columns stay as they are.

    Args:
        columns: positions of the columns, from 0, or their names.
        unknown: what becomes of a category that train does not have: an error, or zeros in all
            columns.
    """

    name: Literal["one_hot"] = "one_hot"
    columns: tuple[int | str, ...] = Field(min_length=1)
    unknown: Literal["error", "zeros"] = "error"

    @property
    def positions(self) -> tuple[int, ...]:
        """The columns by position, ascending.

        Raises:
            ConfigError: names, which mean nothing to rows without a table.
        """
        found = tuple(column for column in self.columns if isinstance(column, int))
        if len(found) < len(self.columns):
            raise ConfigError(
                "rows without names have columns by position",
                field="preprocessing.one_hot.columns",
                value=self.columns,
                fix="Give positions from 0.",
            )
        return tuple(sorted(found))

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        low = min((column for column in self.columns if isinstance(column, int)), default=0)
        if low < 0 or len(set(self.columns)) < len(self.columns):
            raise ConfigError(
                "columns are distinct positions from 0", field="columns", value=self.columns
            )
        return self

    def fit(self, x: FloatArray) -> State:
        """All categories in a row, by column, and how many each column has.

        Raises:
            ConfigError: no such column.
            DataError: a column of other than whole numbers.
        """
        if max(self.positions) >= x.shape[1]:
            raise ConfigError(
                f"the rows have {x.shape[1]} columns, numbered from 0",
                field="preprocessing.one_hot.columns",
                value=self.columns,
            )
        chosen = np.zeros(x.shape[1], dtype=bool)
        chosen[list(self.positions)] = True
        refuse(
            x,
            chosen & (x != np.round(x)),
            self.name,
            "whole numbers",
            fix="Leave columns of quantities out of columns.",
        )
        found = [np.unique(x[:, column]) for column in self.positions]
        counts = np.array([len(values) for values in found], dtype=np.float64)
        return {"categories": np.concatenate(found), "counts": counts}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) with the categories' columns in place of the chosen ones.

        Raises:
            DataError: a category that train does not have.
        """
        known = self.known(state)
        pieces: list[FloatArray] = []
        for column in range(x.shape[1]):
            values = x[:, column : column + 1]
            if column not in known:
                pieces.append(values)
                continue
            hot = values == known[column]
            if self.unknown == "error" and not hot.any(axis=1).all():
                row = int(np.argmin(hot.any(axis=1)))
                shown = ", ".join(f"{value:g}" for value in known[column][:10])
                raise DataError(
                    f"column {column} of row {{row}} has a category that no training row has",
                    row=row,
                    field="preprocessing.one_hot",
                    value=float(x[row, column]),
                    fix=f"Train has {shown}{', …' if len(known[column]) > 10 else ''}.",
                )
            pieces.append(hot.astype(np.float64))
        return np.concatenate(pieces, axis=1)

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """Each group of columns as the category with the largest entry (the first of equals)."""
        known = self.known(state)
        width = x.shape[1] - len(state["categories"]) + len(known)
        pieces: list[FloatArray] = []
        start = 0
        for column in range(width):
            size = len(known.get(column, (0,)))
            values = x[:, start : start + size]
            if column in known:
                values = known[column][np.argmax(values, axis=1)][:, None]
            pieces.append(values)
            start += size
        return np.concatenate(pieces, axis=1)

    def origins(self, state: State, n_features: int) -> tuple[int, ...]:
        """The column (F',) that each comes from: one that is encoded, as often as it has values."""
        known = self.known(state)
        return tuple(at for at in range(n_features) for _ in known.get(at, (0.0,)))

    def known(self, state: State) -> dict[int, FloatArray]:
        """Column to its categories."""
        ends = np.cumsum(state["counts"].astype(np.int64))[:-1]
        found = np.split(state["categories"], ends)
        return dict(zip(self.positions, found, strict=True))
