"""Schedules inside a schedule: tables `{ name = …, options… }`, and one flat state for all.

The state of the one at `place` is kept under keys `place.key`, so that the state of the whole is
still a dictionary of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias

from pydantic import PlainSerializer, PlainValidator

from qstore_ray.errors import ConfigError, under, unknown_name_error
from qstore_ray.learn.schedules import SCHEDULES
from qstore_ray.learn.schedules.base import Cadence, Horizon, Schedule, ScheduleState, Tick


def _built(table: Any) -> Schedule:
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise ConfigError(
            "a schedule is a table with a name",
            value=table,
            fix='For example { name = "cosine", eta_min = 0.1 }.',
        )
    name, options = table["name"], {key: table[key] for key in table if key != "name"}
    if name not in SCHEDULES:
        raise unknown_name_error("schedule", name, SCHEDULES, field="name")
    return SCHEDULES[name](**options)


def _as_table(member: Any) -> dict[str, Any]:
    return {"name": SCHEDULES.name_of(type(member)), **member.to_dict()}


Member: TypeAlias = Annotated[Any, PlainValidator(_built), PlainSerializer(_as_table)]
"""A field that is written as a table and holds the `Schedule` that it describes."""


def cadence_of(members: Iterable[Schedule]) -> Cadence:
    """`metric` if a member watches one, else `step`: what moves them taken together."""
    return "metric" if any(member.cadence == "metric" for member in members) else "step"


def init_at(place: str, member: Schedule, horizon: Horizon) -> ScheduleState:
    """The member's first state, under its place.

    Raises:
        ConfigError: a length that the run does not have, named by its place.
    """
    with under(place):
        return {f"{place}.{key}": value for key, value in member.init(horizon).items()}


def update_at(
    place: str, member: Schedule, state: ScheduleState, tick: Tick
) -> tuple[float, ScheduleState]:
    """The member's factor, and the whole state with the member's part moved on."""
    keys = [key for key in state if key.startswith(f"{place}.")]
    own = {key.removeprefix(f"{place}."): state[key] for key in keys}
    factor, own = member.update(own, tick)
    return factor, state | {f"{place}.{key}": value for key, value in own.items()}
