"""A pipeline of transformations applied to the training rows of a dataset.

The new dataset has the rows as they were, followed by `copies` transformed copies of all of them;
val and test stay untouched, because a score on changed rows says nothing about the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from qstore_ray.data.service.records import Transformation
from qstore_ray.errors import DataError, MissingDependencyError, unknown_name

if TYPE_CHECKING:
    from numpy.random import Generator

    from qstore_ray.data.service.arrays import Content
    from qstore_ray.types import AnyArray

Transform: TypeAlias = "Callable[[AnyArray, Generator], AnyArray]"


def open_augmentation(step: Transformation) -> Transform:
    """The augmentation of this name from the package's own table, with its parameters.

    Raises:
        UnknownNameError: no augmentation is called so.
        ConfigError: a parameter that it does not have, or a wrong value.
        MissingDependencyError: this installation has no augmentations.
    """
    import importlib

    try:
        module = importlib.import_module("qstore_ray.data.augment")
    except ImportError as exc:
        raise MissingDependencyError(
            f"augmentations cannot be imported: {exc}", fix="Install qstore_ray completely."
        ) from exc
    if step.type not in module.AUGMENTATIONS:
        raise unknown_name("augmentation", step.type, module.AUGMENTATIONS, field="type")
    augmentation = module.AUGMENTATIONS[step.type](name=step.type, **step.parameters)
    apply: Transform = augmentation.apply
    return apply


def augmented(content: Content, transforms: Sequence[Transform], copies: int, seed: int) -> Content:
    """`content` with `copies` transformed copies of its training rows behind them.

    Raises:
        DataError: a transformation changed the number or the shape of the rows.
    """
    import numpy as np

    from qstore_ray.data.service.arrays import Content, Rows

    train = content.parts["train"]
    blocks = [train.x]
    for child in np.random.SeedSequence(seed).spawn(copies):
        rng = np.random.default_rng(child)
        x = train.x
        for transform in transforms:
            x = np.asarray(transform(x, rng))
        if x.shape != train.x.shape:
            raise DataError(
                f"a transformation turned rows {train.x.shape} into {x.shape}",
                field="transformations",
                fix="Only transformations that keep the rows' shape can be stored.",
            )
        blocks.append(x)
    rows = Rows(np.concatenate(blocks), np.concatenate([train.y] * (copies + 1)))
    return Content({**content.parts, "train": rows}, content.feature_names, content.class_names)
