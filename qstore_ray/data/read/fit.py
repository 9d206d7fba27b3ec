"""Preparation fitted on the rows of a plan: held all together, or streamed block by block."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.data.prepare.one_pass import fit_in_passes, summary_of
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.errors import numbered

if TYPE_CHECKING:
    from qstore_ray.data.prepare.step_config import StepConfig
    from qstore_ray.data.prepare.steps import Step
    from qstore_ray.data.prepare.summaries import Summary
    from qstore_ray.data.read.plan import ReadPlan


def fit_on(
    train: ReadPlan, steps: Sequence[StepConfig], n_features: int, *, streamed: bool
) -> Preparation:
    """The steps fitted on the rows of train, never on their copies.

    Streamed, the blocks are read once for each step that learns from them: as tasks of Ray if it
    runs in this process, else here, with the same result.

    Raises:
        ConfigError, DataError: see `Preparation.fit` and `fit_in_passes`.
    """
    if not streamed:
        x = train.read_raw().x
        with numbered(train.source_rows):
            return Preparation.fit(steps, x)

    def over_rows(fitted: Preparation, step: Step) -> Iterable[Summary]:
        ray = sys.modules.get("ray")
        if ray is None or not ray.is_initialized():
            return _summaries(train, fitted, step)
        from qstore_ray.data.read.ray_reader import summaries_with_ray

        return summaries_with_ray(train, fitted, step)

    return fit_in_passes(steps, over_rows, len(train.source_rows), n_features)


def has_gaps(train: ReadPlan) -> bool:
    """Whether a raw value of a row of train is missing (NaN); reads them block by block."""
    return any(bool(np.isnan(task.raw().x).any()) for task in train.tasks)


def _summaries(train: ReadPlan, fitted: Preparation, step: Step) -> Iterator[Summary]:
    for task in train.tasks:
        block = task.raw()
        with numbered(block.row):
            yield summary_of(fitted, step, block.x)
