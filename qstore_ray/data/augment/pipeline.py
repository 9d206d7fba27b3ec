"""A pipeline: steps of augmentation in order, classical and quantum in any mixture, and one seed.

During training, `apply` gives every epoch its own version of every row. Before training, `expand`
sets copies beside the originals; copy c of a row is what `apply` gives for epoch c. Only train is
ever augmented: `augment_split` refuses any other split, because a score on changed rows is a score
on other data.

    config = PipelineConfig(steps=[{"name": "rotate"}, {"name": "angle_jitter"}], seed=7)
    pipeline = AugmentationPipeline.from_config(config)
    more = augment_split(dataset, "train", pipeline, copies=2, shape=(8, 8))

What a job trains on is augmented by its configuration instead (`expansion.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from qstore_ray.data.augment.base import Augmentation, Keys, Shape
from qstore_ray.data.rows.validate import check_same_length
from qstore_ray.errors import ConfigError, DataError, UsageError

if TYPE_CHECKING:
    from qstore_ray.data.augment.config import AugmentationConfig, PipelineConfig
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.types import AnyArray, IntArray


class Expanded(NamedTuple):
    """Originals, then copy 1 of every row, then copy 2 of every row, up to the last copy.

    Args:
        x: rows (N·(1 + copies), F).
        y: the label of each, that of its original.
        row: row number of the original of each.
        copy: 0 for an original, else the number of the copy.
    """

    x: AnyArray
    y: AnyArray
    row: IntArray
    copy: IntArray

    @property
    def counts(self) -> dict[str, int]:
        """Rows that are originals, copies, and both together."""
        originals = int((self.copy == 0).sum())
        total = len(self.copy)
        return {"original": originals, "copies": total - originals, "total": total}


@dataclass(frozen=True)
class AugmentationPipeline:
    """Steps in order; the draws of each depend on (seed, epoch, row number, position of the step).

    Args:
        steps: the steps; none changes nothing.
        seed: 0 or more.
        first: position of the first step, where these are a part of a longer pipeline.
    """

    steps: tuple[Augmentation, ...]
    seed: int = 0
    first: int = 0

    @classmethod
    def from_config(cls, config: PipelineConfig) -> AugmentationPipeline:
        """The pipeline that a configuration describes."""
        return cls(augmentations(config.steps), config.seed)

    def apply(self, x: AnyArray, rows: Any, epoch: int, shape: Shape | None = None) -> AnyArray:
        """The rows `x` (B, F) as they are in `epoch`, (B, F), of the same type; `x` is kept.

        Args:
            x: rows of float32 or float64.
            rows: their numbers (B,) in the source; a number decides the draws of its row.
            epoch: 0 or more.
            shape: (H, W) or (H, W, C), where the rows are flattened images.

        Raises:
            ConfigError: a step needs images and `shape` is missing or wrong; a negative epoch.
            DataError: rows and numbers do not fit, or a step makes values that are not finite.
        """
        numbers = _row_numbers(rows)
        for field, value in (("seed", self.seed), ("epoch", epoch)):
            if value < 0:
                raise ConfigError(
                    "seed and epoch are counted from 0",
                    field=field,
                    value=value,
                    fix="Take 0 or more.",
                )
        for position, step in enumerate(self.steps, start=self.first):
            with np.errstate(over="ignore", invalid="ignore"):  # reported below
                x = step.apply(x, Keys(self.seed, epoch, numbers, step=position), shape)
            finite = np.isfinite(x).all(axis=1)
            if not finite.all():
                raise DataError(
                    "the augmentation makes a value that is not finite",
                    field=f"augmentation.steps.{position}.{step.name}",
                    value=f"row {numbers[int(np.argmin(finite))]}",
                    fix="Scale the features before, or lower the strength of the step.",
                )
        return x

    def expand(
        self, x: AnyArray, y: AnyArray, rows: Any, copies: int, shape: Shape | None = None
    ) -> Expanded:
        """Originals and `copies` changed versions of each; arguments are those of `apply`.

        Raises:
            ConfigError: a negative number of copies, and as for `apply`.
            DataError: not one label and one number a row, and as for `apply`.
        """
        if copies < 0:
            raise ConfigError(
                "copies are counted from 0", field="copies", value=copies, fix="Take 0 or more."
            )
        numbers = _row_numbers(rows)
        check_same_length(x, y)
        check_same_length(x, numbers, field="rows")
        versions = [self.apply(x, numbers, copy, shape) for copy in range(1, copies + 1)]
        return Expanded(
            x=np.concatenate([x, *versions]),
            y=np.concatenate([y] * (1 + copies)),
            row=np.tile(numbers, 1 + copies),
            copy=np.repeat(np.arange(1 + copies), len(x)),
        )


def augmentations(steps: Sequence[AugmentationConfig]) -> tuple[Augmentation, ...]:
    """The steps as what changes rows.

    Raises:
        ConfigError: one that is only a name; configurations that are checked hold none.
    """
    for step in steps:
        if not isinstance(step, Augmentation):
            raise ConfigError(
                "a step is of the class that its name stands for",
                field="augmentation.steps",
                value=step,
                fix='Write it as a table, for example {"name": "rotate"}.',
            )
    return cast("tuple[Augmentation, ...]", tuple(steps))


def augment_split(
    dataset: Dataset,
    split: str,
    pipeline: AugmentationPipeline,
    *,
    copies: int = 1,
    shape: Shape | None = None,
) -> Expanded:
    """The prepared rows of train with `copies` changed versions of each.

    Args:
        dataset: where the rows come from.
        split: must be `train`; any other split is an error.
        pipeline: the steps.
        copies: versions of a row beside the original.
        shape: (H, W) or (H, W, C), where prepared rows still are images.

    Raises:
        UsageError: a split other than train, or a train that its configuration augments already.
        UnknownNameError: the dataset has no such split.
    """
    dataset.plan(split)
    if split != "train":
        raise UsageError(
            "only train is augmented; a score on changed rows would be one on other data",
            field="split",
            value=split,
            fix='Use split="train", and evaluate on the rows of the others as they are.',
        )
    if dataset.config.augmentation is not None:
        raise UsageError(
            "train of this dataset has its copies already",
            field="augmentation",
            fix="Leave augmentation out of its configuration, or use materialize.",
        )
    x, y = dataset.materialize(split)
    return pipeline.expand(x, y, dataset.rows(split), copies, shape)


def _row_numbers(rows: Any) -> IntArray:
    """Row numbers (B,) as int64."""
    numbers = np.asarray(rows)
    whole = numbers.dtype.kind in "iu" or not numbers.size
    if numbers.ndim != 1 or not whole or (numbers.size and int(numbers.min()) < 0):
        raise DataError(
            "row numbers are whole numbers from 0 up, one a row",
            field="rows",
            value=f"{numbers.dtype} {numbers.shape}",
            fix='Take them from dataset.rows("train").',
        )
    return numbers.astype(np.int64)
