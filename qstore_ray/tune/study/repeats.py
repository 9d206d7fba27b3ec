"""Points that a search has tried already: they are not trained again.

A training is deterministic, so a trial with the values of an earlier one would end as that one did,
bit for bit. A sampler that chooses such a point gets the known result at once and is asked again;
the repetition is kept in the study (`same_as`) for samplers to learn from, is no trial of its
results, and does not count. After a few in a row, a point is drawn that was not tried. When a
finite space has none left, the search is over.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np

from qstore_ray.config import fingerprint
from qstore_ray.errors import ConfigError
from qstore_ray.tune.samplers.grid import grid_points, grid_size
from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space
from qstore_ray.types import Table

MOST_IN_A_ROW: Final = 5
"""Repetitions that a sampler may choose, one after another, before another point is drawn."""

_MOST_POINTS: Final = 20_000
"""A space of more points counts as infinite: no search tries them all."""
_DRAWS: Final = 1000


def mark_of(values: Values) -> str:
    """One text for each point of a space."""
    return fingerprint(dict(values))


class Tried:
    """The points that a search has tried, and those that are left.

    Args:
        size: how many points the space has, as `size_of` counts them.
        seed: of the points that are drawn.
    """

    def __init__(self, space: Space, size: int | None, seed: int) -> None:
        self._space = space
        self._size = size
        self._seed = seed
        self._numbers: dict[str, int] = {}
        self._proposed: set[str] = set()

    def add(self, number: int, values: Values) -> None:
        """Trial `number` tries this point; of several, the first one is remembered."""
        self._numbers.setdefault(mark_of(values), number)

    def number_of(self, values: Values) -> int | None:
        """The trial that tried this point, if one did."""
        return self._numbers.get(mark_of(values))

    @property
    def all(self) -> bool:
        """Whether no point is left."""
        return self._size is not None and len(self._numbers) >= self._size

    def another(self, trials: int) -> Values | None:
        """A point that was not tried, from the seed and the number of trials; None without one."""
        generator = np.random.default_rng([self._seed, trials])
        seen = self._numbers.keys() | self._proposed
        point = _drawn(self._space, seen, generator)
        if point is None and self._size is not None:
            every = grid_points(_all_values(self._space), self._size)
            left = [point for point in every if mark_of(point) not in seen]
            point = left[int(generator.integers(len(left)))] if left else None
        if point is not None:
            self._proposed.add(mark_of(point))
        return point


def size_of(space: Space) -> int | None:
    """How many different points a space has; None where a range is continuous, or too many."""
    tables = space.to_dict()
    if any(_count(table) is None for table in tables.values()):
        return None
    try:
        size = grid_size(_all_values(space))
    except ConfigError:  # conditions in too many combinations to count
        return None
    return size if size <= _MOST_POINTS else None


def _drawn(space: Space, seen: Collection[str], generator: np.random.Generator) -> Values | None:
    for _ in range(_DRAWS):
        point = space.at(generator.random(len(space.order)).tolist())
        if mark_of(point) not in seen:
            return point
    return None


def _all_values(space: Space) -> Space:
    """The space whose grid has every value of every range."""
    return Space.from_dict({field: _stepped(table) for field, table in space.to_dict().items()})


def _stepped(table: Table) -> Table:
    """A range in steps, without the number of points that a grid takes of it."""
    if table["type"] not in ("int", "float"):
        return dict(table)
    return {key: value for key, value in table.items() if key not in ("points", "log")}


def _count(table: Table) -> int | None:
    """About how many values a parameter has; None for a continuous or very large range."""
    if table["type"] == "fixed":
        return 1
    if table["type"] == "categorical":
        choices: Sequence[Any] = table["choices"]
        return len(choices)
    if table["low"] == table["high"]:
        return 1
    step = table.get("step", 1 if table["type"] == "int" else None)
    if step is None:
        return None
    count = int((table["high"] - table["low"]) // step) + 1
    return count if count <= _MOST_POINTS else None
