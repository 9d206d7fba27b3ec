"""Schedules by name; each is a configuration of its own options.

Names and options are those of `torch.optim.lr_scheduler` where it has the schedule. All schedules
multiply the configured learning rate, so what PyTorch writes as a learning rate (`eta_min`,
`min_lr`, `base_lr`) is written here as a factor: divide it by the learning rate. Where PyTorch has
a `max_lr`, it is the configured learning rate. PyTorch's `T_max` and `total_steps` are the run's
length. Options that count do so in the schedule's `unit`: step or epoch, or, in `warmup` and
`chain`, run, for shares of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qstore_ray.errors import under, unknown_name
from qstore_ray.learn.schedules.base import Horizon, Schedule, Tick
from qstore_ray.learn.schedules.chain import Chain
from qstore_ray.learn.schedules.constant import Constant
from qstore_ray.learn.schedules.cosine import Cosine
from qstore_ray.learn.schedules.cosine_restarts import CosineRestarts
from qstore_ray.learn.schedules.cyclic import Cyclic
from qstore_ray.learn.schedules.exponential import Exponential
from qstore_ray.learn.schedules.one_cycle import OneCycle
from qstore_ray.learn.schedules.plateau import Plateau
from qstore_ray.learn.schedules.product import Product
from qstore_ray.learn.schedules.step import Step
from qstore_ray.learn.schedules.warmup import Warmup

__all__ = ["SCHEDULES", "Horizon", "Schedule", "Tick", "get_schedule"]

SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "chain": Chain,
    "constant": Constant,
    "cosine": Cosine,
    "cosine_restarts": CosineRestarts,
    "cyclic": Cyclic,
    "exponential": Exponential,
    "one_cycle": OneCycle,
    "plateau": Plateau,
    "product": Product,
    "step": Step,
    "warmup": Warmup,
}


def get_schedule(name: str, options: dict[str, Any]) -> Schedule:
    """The schedule of that name with those options.

    Raises:
        UnknownNameError: no such schedule.
        ConfigError: an option it does not have, or a wrong value.
    """
    if name not in SCHEDULES:
        raise unknown_name("schedule", name, SCHEDULES, field="schedule")
    with under("schedule_options"):
        return SCHEDULES[name](**options)
