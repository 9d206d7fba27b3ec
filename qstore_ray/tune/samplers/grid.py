"""All combinations of a space, and how many there are.

A conditional parameter multiplies only those combinations in which it exists. They are counted
without being made: field by field, the combinations so far are gathered by the one thing that
matters to what follows, which of the later conditions they have met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

from qstore_ray.errors import ConfigError, under
from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space

Met: TypeAlias = frozenset[tuple[str, str]]  # (field, a field of its condition that has its value)

_MOST_STATES = 100_000


def grid_size(space: Space) -> int:
    """The number of combinations of a space.

    Raises:
        ConfigError: a range without `points` or `step`, or conditions that
            depend on each other in too many ways to be counted.
    """
    states: Counter[Met] = Counter({frozenset(): 1})
    for field in space.order:
        ways = _ways(space, field)
        needed = {(field, other) for other in space.parameters[field].when}
        after: Counter[Met] = Counter()
        for met, count in states.items():
            rest = frozenset(pair for pair in met if pair[0] != field)
            if not needed <= met:
                after[rest] += count
                continue
            for newly, values in ways.items():
                after[rest | newly] += count * values
        if len(after) > _MOST_STATES:
            raise ConfigError(
                "the conditions depend on each other in too many ways for a grid",
                field=field,
                fix="Use the sampler tpe, random or qmc.",
            )
        states = after
    return states.total()


def grid_points(space: Space, limit: int) -> list[Values]:
    """All combinations; the last field changes fastest.

    Raises:
        ConfigError: there are more than `limit`, or see `grid_size`.
    """
    size = grid_size(space)
    if size > limit:
        raise ConfigError(
            f"the grid has {size} combinations, and {limit} trials are allowed",
            field="trials",
            value=limit,
            fix=f"Set trials = {size}, take fewer choices or points, or the sampler tpe or qmc.",
        )
    points: list[Values] = [{}]
    for field in space.order:
        values = _values(space, field)
        points = [
            {**point, **more}
            for point in points
            for more in ([{field: v} for v in values] if space.is_there(field, point) else [{}])
        ]
    return points


def _values(space: Space, field: str) -> Sequence[Any]:
    with under(field):
        return space.parameters[field].grid()


def _ways(space: Space, field: str) -> Counter[Met]:
    """How many of the field's values meet which of the later conditions."""
    values = _values(space, field)
    asked = {
        later: parameter.when[field]
        for later, parameter in space.parameters.items()
        if field in parameter.when
    }
    named: list[Any] = []
    for value in (value for allowed in asked.values() for value in allowed):
        if value in values and value not in named:
            named.append(value)
    ways: Counter[Met] = Counter()
    for value in named:
        ways[frozenset((later, field) for later, ok in asked.items() if value in ok)] += 1
    ways[frozenset()] += len(values) - len(named)
    return +ways
