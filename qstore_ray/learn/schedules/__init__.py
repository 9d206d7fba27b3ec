"""Schedules by name; each is a configuration of its own options."""

from __future__ import annotations

from typing import Any

from qstore_ray.config import Config
from qstore_ray.errors import under, unknown_name
from qstore_ray.learn.schedules.base import Horizon, Schedule, Tick
from qstore_ray.learn.schedules.constant import Constant
from qstore_ray.learn.schedules.cosine import Cosine

__all__ = ["SCHEDULES", "Constant", "Cosine", "Horizon", "Schedule", "Tick", "get_schedule"]

SCHEDULES: dict[str, type[Config]] = {"constant": Constant, "cosine": Cosine}


def get_schedule(name: str, options: dict[str, Any]) -> Schedule:
    """The schedule of that name with those options.

    Raises:
        UnknownNameError: no such schedule.
        ConfigError: an option it does not have, or a wrong value.
    """
    if name not in SCHEDULES:
        raise unknown_name("schedule", name, SCHEDULES, field="schedule")
    with under("schedule_options"):
        schedule = SCHEDULES[name](**options)
    assert isinstance(schedule, Cosine | Constant)
    return schedule
