"""The augmentation of a dataset's training rows, as its configuration asks for it.

    raw row ──────────────────────── preparation ───────────────────────────  original
    raw row ── classical steps ───── preparation ───── quantum steps ───────  copy 1, copy 2, …

Classical steps (noise, images) change what was measured, so they come before the preparation,
which was fitted on the rows of the source alone; quantum steps change what a circuit encodes, so
they come behind it. The draws of copy c of row r depend on (seed, c, r, position of the step): a
read task can make the copies of its own rows, on any machine, and however the source is cut they
are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import ConfigError, under

if TYPE_CHECKING:
    from qstore_ray.data.augment.base import Shape
    from qstore_ray.data.augment.pipeline import AugmentationPipeline
    from qstore_ray.data.config import DatasetConfig
    from qstore_ray.data.prepare.prepare import Preparation
    from qstore_ray.data.read.schema import Schema
    from qstore_ray.types import FloatArray, IntArray


@dataclass(frozen=True)
class Expansion:
    """Turns every row into itself and its copies.

    Args:
        raw: the classical steps, for raw rows.
        encoded: the quantum steps, for prepared rows.
        copies: changed copies of a row; copy c is what the steps give for epoch c.
        keep_original: whether the row itself comes before them.
        shape: (H, W) or (H, W, C) of a raw row that is a flattened image.
    """

    raw: AugmentationPipeline
    encoded: AugmentationPipeline
    copies: int
    keep_original: bool
    shape: Shape | None

    @property
    def times(self) -> int:
        """T, the rows that one row becomes."""
        return self.copies + self.keep_original

    def expand(self, x: FloatArray, rows: IntArray, preparation: Preparation) -> FloatArray:
        """Raw rows `x` (B, F) with numbers `rows` (B,), prepared with their copies, (B·T, F').

        The T rows that come from one row stand together, the original first.

        Raises:
            DataError: a step of either kind makes a value that is not finite, or refuses one.
        """
        versions = [preparation.apply(x)] if self.keep_original else []
        for copy in range(1, self.copies + 1):
            prepared = preparation.apply(self.raw.apply(x, rows, copy, self.shape))
            versions.append(self.encoded.apply(prepared, rows, copy))
        return np.stack(versions, axis=1).reshape(len(x) * self.times, -1)

    def check(self, n_raw_features: int, n_features: int, *, gaps: bool) -> None:
        """Raise where a step cannot change the rows of this dataset.

        Args:
            n_raw_features: F of a raw row.
            n_features: F' of a prepared row.
            gaps: whether raw rows of train have missing values (NaN), which the preparation fills.

        Raises:
            ConfigError: images of unknown or another shape; a classical step, and missing values.
            DataError: prepared rows of a width that a step cannot change.
        """
        from qstore_ray.data.augment.base import check_shape  # here, because it needs SciPy

        for position, step in enumerate(self.raw.steps):
            if gaps:
                raise ConfigError(
                    "a classical step cannot change raw rows that have missing values",
                    field=f"augmentation.steps.{position}.name",
                    value=step.name,
                    fix="Fill them in the source, leave such rows out (bad_values = 'drop' and no "
                    "impute), or use quantum steps, which come after the preparation.",
                )
            if step.on_images:
                with under("augmentation"):
                    check_shape(self.shape, n_raw_features, step.name)
        for position, step in enumerate(self.encoded.steps, start=self.encoded.first):
            with under(f"augmentation.steps.{position}"):
                step.check_width(n_features)


def expansion_of(config: DatasetConfig, schema: Schema) -> Expansion | None:
    """The expansion of train that `config` asks for; None where it asks for none."""
    settings = config.augmentation
    if settings is None:
        return None
    from qstore_ray.data.augment.pipeline import (  # here, because they need SciPy
        AugmentationPipeline,
        augmentations,
    )

    steps = augmentations(settings.steps)
    raw = tuple(step for step in steps if not step.on_encoded)
    encoded = tuple(step for step in steps if step.on_encoded)
    return Expansion(
        raw=AugmentationPipeline(raw, config.seed),
        encoded=AugmentationPipeline(encoded, config.seed, first=len(raw)),
        copies=settings.copies,
        keep_original=settings.keep_original,
        shape=settings.shape or schema.image_shape,
    )
