"""The training on a device that a rehearsal stands for.

A rehearsal trains on a simulator with the noise of a device. The same training on the device has
the same circuits on the same qubits, and what it takes there is forecast from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstore_ray.backends.noise.config import read_noise
from qstore_ray.errors import ConfigError, under
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.train.config import TrainerConfig

if TYPE_CHECKING:
    from qstore_ray.types import Table


def on_hardware(trainer: TrainerConfig, options: Table | None = None) -> TrainerConfig:
    """The same training on the device whose noise it has.

    Args:
        options: of the backend ibm, such as `price_per_second`; `device` and `shots` come from the
            rehearsal, the seed and the level of the transpiler from its noise.

    Raises:
        ConfigError: the training has no noise of a device, or an option that does not exist.
    """
    values = {name: getattr(trainer, name) for name in TrainerConfig.model_fields}
    given = dict(options or {})
    if trainer.backend != "ibm":
        noise = read_noise(trainer.options_of_backend().get("noise"))
        if noise is None or noise.device is None:
            raise ConfigError(
                "only a training with the noise of a device stands for one on hardware",
                field="trainer.noise.device",
                fix='Write for example noise = { device = "fez.json", twirl = true }.',
            )
        found = {
            "device": noise.device.name,
            "seed": noise.transpiler_seed,
            "level": noise.optimization_level,
        }
        shots = trainer.backend_options.get("shots")
        given = found | ({} if shots is None else {"shots": shots}) | given
    else:
        given = {**trainer.backend_options, **given}
    with under("trainer"):
        return TrainerConfig(
            **{**values, "backend": "ibm", "backend_options": given, "noise": None}
        )


def differences_on_hardware(trainer: TrainerConfig, hardware: TrainerConfig) -> list[str]:
    """How the training on the device differs from its rehearsal, each as a sentence."""
    said = []
    own, other = (
        get_gradient(each.gradient, each.open_backend(), each.gradient_options).name
        for each in (trainer, hardware)
    )
    if own != other:
        said.append(
            f"the gradient is {own} in the rehearsal and {other} on the device: set "
            f'trainer.gradient = "{other}"'
        )
    if hardware.backend_options.get("shots") != trainer.backend_options.get("shots"):
        said.append(
            "the rehearsal takes other shots than the device: set trainer.backend_options.shots"
        )
    return said
