"""A pipeline of transformations applied to the training rows of a dataset.

The new dataset has the rows as they were, followed by `copies` transformed copies of all of them;
val and test stay untouched, because a score on changed rows says nothing about the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from qstore_ray.data.service.records import Transformation
from qstore_ray.errors import DataError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.data.service.server.content import Content
    from qstore_ray.types import AnyArray

# (x, seed, copy) → x (N, …) changed; the same three give the same rows, copies count from 1
Transform: TypeAlias = "Callable[[AnyArray, int, int], AnyArray]"


def open_augmentations(steps: tuple[Transformation, ...]) -> Transform:
    """The package's own augmentations of these names, one after the other.

    Raises:
        UnknownNameError: no augmentation is called so.
        ConfigError: a parameter that it does not have, or a wrong value.
    """
    from qstore_ray.data.augment import pipeline as augment  # here, because it needs SciPy
    from qstore_ray.data.augment.config import AUGMENTATIONS

    opened = []
    for position, step in enumerate(steps):
        if step.type not in AUGMENTATIONS:
            raise unknown_name_error(
                "augmentation",
                step.type,
                AUGMENTATIONS,
                field=f"transformations.{position}.type",
            )
        opened.append(AUGMENTATIONS[step.type](**{**step.parameters, "name": step.type}))

    def transform(x: AnyArray, seed: int, copy: int) -> AnyArray:
        import numpy as np

        shape = x.shape[1:] if x.ndim > 2 else None
        flat = x.reshape(len(x), -1)
        flat = flat if flat.dtype.kind == "f" else flat.astype(np.float64)
        pipeline = augment.AugmentationPipeline(tuple(opened), seed)
        changed: AnyArray = pipeline.apply(flat, np.arange(len(x)), copy, shape)
        return changed.reshape(x.shape)

    return transform


def augmented(content: Content, transform: Transform, copies: int, seed: int) -> Content:
    """`content` with `copies` transformed copies of its training rows behind them.

    Raises:
        DataError: a transformation changed the number or the shape of the rows.
    """
    import numpy as np

    from qstore_ray.data.service.server.content import Rows

    train = content.parts["train"]
    blocks = [train.x]
    for copy in range(1, copies + 1):
        x = np.asarray(transform(train.x, seed, copy))
        if x.shape != train.x.shape:
            raise DataError(
                f"a transformation turned rows {train.x.shape} into {x.shape}",
                field="transformations",
                fix="Only transformations that keep the rows' shape can be stored.",
            )
        blocks.append(x)
    rows = Rows(np.concatenate(blocks), np.concatenate([train.y] * (copies + 1)))
    times = (1 + content.copies) * (1 + copies)
    return replace(content, parts={**content.parts, "train": rows}, copies=times - 1)
