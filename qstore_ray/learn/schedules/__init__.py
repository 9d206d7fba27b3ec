"""Schedules by name; each is a configuration of its own options.

Names and options are those of `torch.optim.lr_scheduler`, if it has the schedule. All schedules
multiply the configured learning rate, so an option that is a learning rate in PyTorch (`eta_min`,
`min_lr`, `base_lr`) is a factor here: divide it by the learning rate. PyTorch's `max_lr` is the
configured learning rate; its `T_max` and `total_steps` are the run's length. Lengths are in the
schedule's `unit`: step or epoch, or, in `warmup` and `chain`, run, for shares of it.
"""

from __future__ import annotations

from collections.abc import Callable

from qstore_ray.errors import under
from qstore_ray.learn.schedules.base import Horizon, Schedule, Tick
from qstore_ray.registry import Registry
from qstore_ray.types import ReadOnlyTable

__all__ = ["SCHEDULES", "Horizon", "Schedule", "Tick", "get_schedule"]

_HERE = "qstore_ray.learn.schedules"
SCHEDULES: Registry[Callable[..., Schedule]] = Registry(
    "schedule",
    {
        "chain": f"{_HERE}.chain:Chain",
        "constant": f"{_HERE}.constant:Constant",
        "cosine": f"{_HERE}.cosine:Cosine",
        "cosine_restarts": f"{_HERE}.cosine_restarts:CosineRestarts",
        "cyclic": f"{_HERE}.cyclic:Cyclic",
        "exponential": f"{_HERE}.exponential:Exponential",
        "one_cycle": f"{_HERE}.one_cycle:OneCycle",
        "plateau": f"{_HERE}.plateau:Plateau",
        "product": f"{_HERE}.product:Product",
        "step": f"{_HERE}.step:StepDecay",
        "warmup": f"{_HERE}.warmup:Warmup",
    },
    entry_points="qstore_ray.schedules",
    field="schedule",
    forms=(("init", "update"),),
)


def get_schedule(name: str, options: ReadOnlyTable) -> Schedule:
    """The schedule of that name with those options.

    Raises:
        UnknownNameError: no such schedule.
        ConfigError: an option it does not have, or a wrong value.

    Examples:
        schedule = get_schedule("step", {"step_size": 1, "gamma": 0.5})
        state = schedule.init(Horizon(steps=4, steps_per_epoch=2))
        factor, state = schedule.update(state, Tick(begins_epoch=True))
        assert factor == 1.0
    """
    schedule = SCHEDULES[name]
    with under("schedule_options"):
        return schedule(**options)
