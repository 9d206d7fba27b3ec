"""Every step by the name that a configuration gives it."""

from __future__ import annotations

from qstore_ray.data.step_config import StepConfig
from qstore_ray.data.steps.base import Step
from qstore_ray.data.steps.categories import OneHot
from qstore_ray.data.steps.encoding import Amplitudes, Binarize
from qstore_ray.data.steps.images import Crop, Grayscale, Pool, Resize
from qstore_ray.data.steps.logarithms import Log, Log1p
from qstore_ray.data.steps.missing import Impute
from qstore_ray.data.steps.norms import L1, Normalize
from qstore_ray.data.steps.projection import Pca, RandomProjection
from qstore_ray.data.steps.scaling import MinMax, Robust, Scale, Standard
from qstore_ray.errors import unknown_name

STEPS: dict[str, type[Step]] = {
    "amplitudes": Amplitudes,
    "binarize": Binarize,
    "crop": Crop,
    "grayscale": Grayscale,
    "impute": Impute,
    "l1": L1,
    "log": Log,
    "log1p": Log1p,
    "minmax": MinMax,
    "normalize": Normalize,
    "one_hot": OneHot,
    "pca": Pca,
    "pool": Pool,
    "random_projection": RandomProjection,
    "resize": Resize,
    "robust": Robust,
    "scale": Scale,
    "standard": Standard,
}


def as_step(step: StepConfig) -> Step:
    """The step itself; where it is only a name, the one of that name with its defaults.

    Raises:
        UnknownNameError: no step has this name.
        ConfigError: the step has a field without a default.
    """
    if isinstance(step, Step):
        return step
    if step.name not in STEPS:
        raise unknown_name("step", step.name, STEPS, field="name")
    return STEPS[step.name](**step.to_dict())
