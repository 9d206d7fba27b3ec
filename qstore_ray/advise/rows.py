"""The rows that advice looks at: those of train, as tables of numbers, before they are scaled.

Missing values are filled and categories are encoded as the job does it, since no simple model takes
them otherwise. Those leading steps stay in front of whatever a candidate does; all later steps of a
job are its own choice, and are left out.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.prepare.steps import Impute, OneHot
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import UsageError

if TYPE_CHECKING:
    from qstore_ray.data.prepare.step_config import StepConfig
    from qstore_ray.types import FloatArray, IntArray

_LEADING = (Impute, OneHot)


def training_rows(dataset: Dataset) -> tuple[FloatArray, IntArray]:
    """Rows x (N, F) and labels y of train, filled and encoded by the leading steps."""
    x, y = dataset.plan("train").read_raw()
    rows: FloatArray = x.reshape(len(x), -1)
    fitted = dataset.preparation
    for step, state in zip(fitted.steps, fitted.states, strict=True):
        if not isinstance(step, _LEADING):
            break
        rows = step.apply(rows, state)
    return rows, y


def split_steps(
    steps: tuple[StepConfig, ...],
) -> tuple[tuple[StepConfig, ...], tuple[StepConfig, ...]]:
    """The leading steps of a job, which `training_rows` has applied, and all others."""
    leading = tuple(takewhile(lambda step: isinstance(step, _LEADING), steps))
    return leading, steps[len(leading) :]


def as_dataset(data: Dataset | tuple[Any, Any]) -> Dataset:
    """The dataset itself, or the one of rows x (N, …) and their classes y (N,), all for train.

    Raises:
        UsageError: neither a dataset nor a pair.
        DataError: no table of numbers, NaN, missing labels, or one class.
    """
    if isinstance(data, Dataset):
        return data
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise UsageError(
            "a Dataset is needed, or rows and labels",
            field="dataset",
            value=type(data).__name__,
            fix="Give DatasetLoader.load(config), or the pair (x, y).",
        )
    return DatasetLoader.from_arrays(data[0], data[1], split={"train": 1.0})
