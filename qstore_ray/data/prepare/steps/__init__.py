"""The steps of preparation; begin with `base.py`, then `norms.py`."""

from qstore_ray.data.prepare.step_config import STEPS
from qstore_ray.data.prepare.steps.base import State, Step
from qstore_ray.data.prepare.steps.categories import OneHot
from qstore_ray.data.prepare.steps.encoding import Amplitudes, Binarize
from qstore_ray.data.prepare.steps.images import Crop, Grayscale, Pool, Resize
from qstore_ray.data.prepare.steps.logarithms import Log, Log1p
from qstore_ray.data.prepare.steps.missing import Impute
from qstore_ray.data.prepare.steps.norms import L1, Normalize
from qstore_ray.data.prepare.steps.projection import Pca, RandomProjection
from qstore_ray.data.prepare.steps.scaling import MinMax, Robust, Scale, Standard
from qstore_ray.data.prepare.steps.table import as_step

__all__ = [
    "L1",
    "STEPS",
    "Amplitudes",
    "Binarize",
    "Crop",
    "Grayscale",
    "Impute",
    "Log",
    "Log1p",
    "MinMax",
    "Normalize",
    "OneHot",
    "Pca",
    "Pool",
    "RandomProjection",
    "Resize",
    "Robust",
    "Scale",
    "Standard",
    "State",
    "Step",
    "as_step",
]
