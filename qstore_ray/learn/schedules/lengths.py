"""Lengths of parts of a run, written in steps, in epochs, or as shares of the run."""

from __future__ import annotations

from typing import Literal, TypeAlias

from qstore_ray.errors import ConfigError
from qstore_ray.learn.schedules.base import Horizon

LengthUnit: TypeAlias = Literal["step", "epoch", "run"]


def check_length(length: float, unit: LengthUnit, field: str) -> None:
    """Raise unless it is a whole number of steps or epochs, or a share between 0 and 1.

    Raises:
        ConfigError: naming the field.
    """
    if unit == "run":
        if not 0.0 < length < 1.0:
            raise ConfigError(
                "a share of the run lies between 0 and 1",
                field=field,
                value=length,
                fix='Write for example 0.1, or count in unit = "step" or "epoch".',
            )
    elif length < 1.0 or length != int(length):
        raise ConfigError(
            f"a number of {unit}s is a whole number from 1",
            field=field,
            value=length,
            fix='Write a whole number, or unit = "run" for a share of the run.',
        )


def in_steps(length: float, unit: LengthUnit, horizon: Horizon, field: str) -> int:
    """The length in steps, less than the whole run.

    Raises:
        ConfigError: the run is not longer than that; naming the field.
    """
    if unit == "run":
        return min(round(length * horizon.steps), horizon.steps - 1)
    steps = int(length) * (horizon.steps_per_epoch if unit == "epoch" else 1)
    if steps >= horizon.steps:
        raise ConfigError(
            f"the run ends after {horizon.steps} steps ({horizon.epochs} epochs of "
            f"{horizon.steps_per_epoch}), so what comes after this is never reached",
            field=field,
            value=length,
            fix='Take less, train for more epochs, or write a share of the run with unit = "run".',
        )
    return steps
