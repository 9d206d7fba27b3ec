"""The rows that advice looks at: those of train, as tables of numbers, before they are scaled.

Missing values are filled and categories are encoded as the job does it, since no simple model takes
them otherwise. Those leading steps stay in front of whatever a candidate does; all later steps of a
job are its own choice, and are left out. Of streamed rows, which need not fit into memory, a
stratified sample is read, block by block.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qstore_ray.advise.meta_features import MetaFeatures, meta_features, stratified_rows
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.prepare.steps import Impute, OneHot
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import UsageError

if TYPE_CHECKING:
    from qstore_ray.data.prepare.step_config import StepConfig
    from qstore_ray.data.read.plan import ReadPlan
    from qstore_ray.types import FloatArray, IntArray

STREAMED_ROWS: Final = 20_000
_LEADING = (Impute, OneHot)


def described_rows(dataset: Dataset) -> MetaFeatures:
    """What the rows of train look like; `rows` counts those that are not in the sample, too.

    Raises:
        DataError: see `meta_features`.
    """
    found = meta_features(*training_rows(dataset))
    return found._replace(rows=len(dataset.plan("train").source_rows))


def training_rows(dataset: Dataset) -> tuple[FloatArray, IntArray]:
    """Rows x (N, F) and labels y of train, filled and encoded by the leading steps.

    Of streamed rows, N is at most about `STREAMED_ROWS`.
    """
    plan = dataset.plan("train").unaugmented()
    x, y = plan.read_raw() if plan.y is None else _sample(plan, STREAMED_ROWS)
    rows: FloatArray = x.reshape(len(x), -1)
    fitted = dataset.preparation
    for step, state in zip(fitted.steps, fitted.states, strict=True):
        if not isinstance(step, _LEADING):
            break
        rows = step.apply(rows, state)
    return rows, y


def _sample(plan: ReadPlan, count: int) -> tuple[FloatArray, IntArray]:
    """About `count` raw rows x (N, …) and their labels; one block of the source is held at once."""
    labels = plan.labels
    picked = stratified_rows(labels, count, seed=0)
    parts, first = [], 0
    for task in plan.tasks:
        ends = np.searchsorted(picked, [first, first + len(task.take)])
        own = picked[slice(*ends)] - first
        first += len(task.take)
        if len(own):
            parts.append(replace(task, take=task.take[own]).raw().x)
    return np.concatenate(parts), labels[picked]


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
