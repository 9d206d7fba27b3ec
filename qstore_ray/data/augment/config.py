"""Augmentation as a configuration: steps by name, each with its own fields, and one seed.

    [augmentation]
    seed = 7

    [[augmentation.steps]]
    name = "rotate"
    degrees = 15.0

The fields of a step belong to its class in `classical.py`, `images.py` or `quantum.py`, which
checks them as soon as the configuration is built. Nothing here imports numpy before a step is
named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, field_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, under, unknown_name


class AugmentationConfig(Config):
    """One step of augmentation, by name.

    Args:
        name: what the step does.
        probability: how likely a sample is changed, each sample on its own.
    """

    name: str
    probability: float = Field(default=0.5, ge=0.0, le=1.0)


class PipelineConfig(Config):
    """Steps of augmentation in order, classical and quantum in any mixture.

    Args:
        steps: mappings with a name and the fields of that step.
        seed: decides every draw, together with epoch, row and position of the step.

    Raises:
        ConfigError: an unknown step or key, or a wrong value.
    """

    steps: Annotated[tuple[SerializeAsAny[AugmentationConfig], ...], Field(min_length=1)]
    seed: int = Field(default=0, ge=0, lt=2**63)

    @field_validator("steps", mode="before")
    @classmethod
    def _known_steps(cls, steps: Any) -> Any:
        if not isinstance(steps, (list, tuple)):
            raise ConfigError(
                "the steps are a list", value=steps, fix='Write [{"name": "gaussian_noise"}].'
            )
        return tuple(_step(step, str(position)) for position, step in enumerate(steps))


def _step(step: Any, field: str) -> AugmentationConfig:
    """The step that a mapping with a name describes, checked by its own class."""
    from qstore_ray.data.augment.base import Augmentation  # here, because the steps need numpy
    from qstore_ray.data.augment.pipeline import AUGMENTATIONS

    if isinstance(step, Augmentation):
        return step
    if not isinstance(step, Mapping) or not isinstance(step.get("name"), str):
        raise ConfigError(
            "a step is a mapping with a name",
            field=field,
            value=step,
            fix='Write for example {"name": "rotate", "degrees": 15.0}.',
        )
    if step["name"] not in AUGMENTATIONS:
        raise unknown_name("augmentation", step["name"], AUGMENTATIONS, field=f"{field}.name")
    with under(field):
        return AUGMENTATIONS[step["name"]](**step)
