"""Every step by the name that a configuration gives it."""

from __future__ import annotations

from qstore_ray.data.prepare.step_config import STEPS, StepConfig
from qstore_ray.data.prepare.steps.base import Step


def as_step(step: StepConfig) -> Step:
    """The step itself; if it is only a name, the one of that name with its defaults.

    Raises:
        UnknownNameError: no step has this name.
        ConfigError: the step has a field without a default.
    """
    return step if isinstance(step, Step) else STEPS[step.name](**step.to_dict())
