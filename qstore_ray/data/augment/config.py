"""Augmentation as a configuration: steps by name, each with its own fields.

    [dataset.augmentation]
    copies = 2

    [[dataset.augmentation.steps]]
    name = "rotate"
    degrees = 15.0

This is `ExpansionConfig`, a part of a dataset's configuration; `PipelineConfig` is the same list of
steps with a seed of its own, for pipelines that are applied by hand. The fields of a step belong to
its class in `classical.py`, `images.py` or `quantum.py`, which checks them as soon as the
configuration is built. Nothing here imports numpy before a step is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, under
from qstore_ray.registry import Registry

if TYPE_CHECKING:
    from qstore_ray.data.augment.base import Augmentation

_HERE = "qstore_ray.data.augment"
AUGMENTATIONS: Registry[type[Augmentation]] = Registry(
    "augmentation",
    {
        "amplitude_noise": f"{_HERE}.quantum:AmplitudeNoise",
        "angle_jitter": f"{_HERE}.quantum:AngleJitter",
        "brightness": f"{_HERE}.images:Brightness",
        "contrast": f"{_HERE}.images:Contrast",
        "cutout": f"{_HERE}.images:Cutout",
        "depolarizing": f"{_HERE}.quantum:Depolarizing",
        "gaussian_blur": f"{_HERE}.images:GaussianBlur",
        "gaussian_noise": f"{_HERE}.classical:GaussianNoise",
        "horizontal_flip": f"{_HERE}.images:HorizontalFlip",
        "phase_noise": f"{_HERE}.quantum:PhaseNoise",
        "rotate": f"{_HERE}.images:Rotate",
        "scale_jitter": f"{_HERE}.classical:ScaleJitter",
        "shift": f"{_HERE}.images:Shift",
        "vertical_flip": f"{_HERE}.images:VerticalFlip",
    },
    entry_points="qstore_ray.augmentations",
    field="name",
    forms=(("apply",),),
    base="Augmentation",
)


class AugmentationConfig(Config):
    """One step of augmentation, by name.

    `on_encoded` says that the step acts on rows as a circuit encodes them, behind the preparation;
    the others act on raw rows, before it.

    Args:
        name: what the step does.
        probability: how likely a sample is changed, each sample on its own.
    """

    on_encoded: ClassVar[bool] = False

    name: str
    probability: float = Field(default=0.5, ge=0.0, le=1.0)


class StepsConfig(Config):
    """Steps of augmentation in order.

    Args:
        steps: mappings with a name and the fields of that step.

    Raises:
        ConfigError: an unknown step or key, or a wrong value.
    """

    steps: Annotated[
        tuple[SerializeAsAny[AugmentationConfig], ...],
        Field(min_length=1, examples=[[{"name": "gaussian_noise"}]]),
    ]

    @field_validator("steps", mode="before")
    @classmethod
    def _known_steps(cls, steps: Any) -> Any:
        if not isinstance(steps, (list, tuple)):
            raise ConfigError(
                "the steps are a list", value=steps, fix='Write [{"name": "gaussian_noise"}].'
            )
        return tuple(_step(step, str(position)) for position, step in enumerate(steps))


class PipelineConfig(StepsConfig):
    """Steps in order, classical and quantum in any mixture, and one seed.

    Args:
        seed: decides every draw, together with epoch, row and position of the step.

    Examples:
        pipeline = PipelineConfig(steps=[{"name": "gaussian_noise", "std": 0.1}], seed=3)
        assert PipelineConfig.from_dict(pipeline.to_dict()) == pipeline
    """

    seed: int = Field(default=0, ge=0, lt=2**63)


class ExpansionConfig(StepsConfig):
    """Changed copies of the rows of train, beside the originals or in their place.

    Classical steps come first: they change raw rows, which then are prepared; quantum steps change
    prepared rows. The draws depend on the dataset's seed, the row's number and the copy's.

    Args:
        copies: changed copies of every row.
        keep_original: whether the row itself stays in train, before its copies.
        shape: (H, W) or (H, W, C) of raw rows that are flattened images, where the source does not
            say it.
    """

    copies: int = Field(default=1, ge=1)
    keep_original: bool = True
    shape: tuple[Annotated[int, Field(ge=1)], ...] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        encoded = False
        for position, step in enumerate(self.steps):
            if encoded and not step.on_encoded:
                raise ConfigError(
                    "a classical step changes raw rows, which are gone after a quantum one",
                    field=f"steps.{position}.name",
                    value=step.name,
                    fix="Write the classical steps first, then the quantum ones.",
                )
            encoded = step.on_encoded
        return self


def _step(step: Any, field: str) -> AugmentationConfig:
    """The step that a mapping with a name describes, checked by its own class."""
    if isinstance(step, AugmentationConfig):
        if type(step) is not AugmentationConfig:
            return step
        step = step.to_dict()  # a name, without the fields of its class
    if not isinstance(step, Mapping) or not isinstance(step.get("name"), str):
        raise ConfigError(
            "a step is a mapping with a name",
            field=field,
            value=step,
            fix='Write for example {"name": "rotate", "degrees": 15.0}.',
        )
    if step["name"] == "mixup":
        raise ConfigError(
            "mixup turns classes into weights of classes, which these rows do not hold",
            field=f"{field}.name",
            value="mixup",
            fix="Leave it out; in Python, Mixup of qstore_ray.data.augment.mixup mixes one-hot "
            "labels, for a loss that takes them.",
        )
    with under(field):
        return AUGMENTATIONS[step["name"]](**step)
