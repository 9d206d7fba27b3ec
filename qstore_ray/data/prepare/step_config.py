"""What every step of a preparation has as its configuration: a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qstore_ray.config import Config
from qstore_ray.registry import Registry

if TYPE_CHECKING:
    from qstore_ray.data.prepare.steps.base import Step

_HERE = "qstore_ray.data.prepare.steps"
STEPS: Registry[type[Step]] = Registry(
    "step",
    {
        "amplitudes": f"{_HERE}.encoding:Amplitudes",
        "binarize": f"{_HERE}.encoding:Binarize",
        "crop": f"{_HERE}.images:Crop",
        "grayscale": f"{_HERE}.images:Grayscale",
        "impute": f"{_HERE}.missing:Impute",
        "l1": f"{_HERE}.norms:L1",
        "log": f"{_HERE}.logarithms:Log",
        "log1p": f"{_HERE}.logarithms:Log1p",
        "minmax": f"{_HERE}.scaling:MinMax",
        "normalize": f"{_HERE}.norms:Normalize",
        "one_hot": f"{_HERE}.categories:OneHot",
        "pca": f"{_HERE}.projection:Pca",
        "pool": f"{_HERE}.images:Pool",
        "random_projection": f"{_HERE}.projection:RandomProjection",
        "resize": f"{_HERE}.images:Resize",
        "robust": f"{_HERE}.scaling:Robust",
        "scale": f"{_HERE}.scaling:Scale",
        "standard": f"{_HERE}.scaling:Standard",
    },
    entry_points="qstore_ray.steps",
    field="name",
    forms=(("fit", "apply"),),
    base="Step",
)
"""Every step by the name that a configuration gives it."""


class StepConfig(Config):
    """One step of the preparation, by name; each step's own fields are in `steps/`.

    `accepts_nan` says whether the step takes rows with missing values (NaN). Rows may hold them
    where the first step of a preparation does.
    """

    accepts_nan: ClassVar[bool] = False

    name: str
