"""What an augmentation is: a random change of a row, drawn from a key and from nothing else.

The draws of a row come from the counter-based generator Philox (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011). Its key is (seed, epoch), its counter holds the row's number
and the position of the step; so row 17 becomes the same in a batch of 1 and of 256, on any worker,
in any order, and after a resume. There is no generator to share, to advance or to save.

numpy promises the words of Philox for good. A uniform number is an exact function of a word; a
normal one is its inverse distribution function, as exact as the mathematics library of the machine.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
from scipy.special import ndtri

from qstore_ray.data.augment.config import AugmentationConfig
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qstore_ray.types import AnyArray, FloatArray, IntArray

Shape: TypeAlias = tuple[int, ...]
_CHANGED, _CHANGE = 0, 1  # lanes: what decides whether a row is changed, and how


@dataclass(frozen=True)
class Keys:
    """One key a row (B,): all that the draws of a step depend on.

    Args:
        seed: of the pipeline.
        epoch: draws differ from epoch to epoch.
        rows: row numbers (B,) in the source, 0 or more.
        step: position of the step in its pipeline.
        lane: keeps the different questions of one step apart.
    """

    seed: int
    epoch: int
    rows: IntArray
    step: int = 0
    lane: int = _CHANGED

    def __len__(self) -> int:
        return len(self.rows)

    def uniform(self, count: int) -> FloatArray:
        """`count` numbers in (0, 1) for each row: (B, count)."""
        # 52 bits and a half: neither 0 nor 1 can come out, and nothing is rounded.
        return ((self._words(count) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52

    def between(self, low: float, high: float, count: int) -> FloatArray:
        """`count` numbers in [low, high] for each row: (B, count)."""
        return low + (high - low) * self.uniform(count)

    def normal(self, count: int) -> FloatArray:
        """`count` numbers of mean 0 and variance 1 for each row, cut off at ±8.2: (B, count)."""
        values: FloatArray = ndtri(self.uniform(count))
        return values

    def _words(self, count: int) -> NDArray[np.uint64]:
        """The first `count` words of each row's own stream (B, count)."""
        generator = np.random.Philox(key=0)
        state = generator.state
        state["state"]["key"] = np.array([self.seed, self.epoch], dtype=np.uint64)
        words = np.empty((len(self), count), dtype=np.uint64)
        for position, row in enumerate(self.rows.tolist()):
            counter = np.array([0, self.lane, row, self.step], dtype=np.uint64)
            state["state"]["counter"] = counter
            generator.state = state
            words[position] = generator.random_raw(count)
        return words


class Augmentation(AugmentationConfig, ABC):
    """A random change of rows that keeps their number, width and type; labels stay as they are."""

    on_images: ClassVar[bool] = False

    def apply(self, x: AnyArray, keys: Keys, shape: Shape | None = None) -> AnyArray:
        """The rows `x` (B, F), each changed with the step's probability; `x` itself is not touched.

        Args:
            x: rows of float32 or float64.
            keys: one a row (B,).
            shape: (H, W) or (H, W, C) of a row that is a flattened image, F = H·W·C.

        Raises:
            ConfigError: the step needs images and `shape` is missing or of another size.
            DataError: the rows are not floating-point numbers (B, F), not as many as the keys, or
                not of a width that the step can change.
        """
        _check_rows(x, keys)
        if self.on_images:
            check_shape(shape, x.shape[1], self.name)
        self.check_width(x.shape[1])
        changed = keys.uniform(1)[:, 0] < self.probability
        out = x.copy()
        if changed.any():
            chosen = replace(keys, rows=keys.rows[changed], lane=_CHANGE)
            out[changed] = self.change(x[changed].astype(np.float64), chosen, shape)
        return out

    def check_width(self, n_features: int) -> None:
        """Raise `DataError` where the step cannot change rows of F features; most can."""

    @abstractmethod
    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """Every one of the rows `x` (B, F) changed, (B, F); arguments are those of `apply`."""


def _check_rows(x: AnyArray, keys: Keys) -> None:
    if x.ndim != 2 or x.dtype.kind != "f":
        raise DataError(
            "augmentation takes rows (B, F) of floating-point numbers",
            field="x",
            value=f"{x.dtype} {x.shape}",
            fix="Use x.reshape(len(x), -1).astype(float).",
        )
    if len(x) != len(keys):
        raise DataError(f"{len(x)} rows but {len(keys)} row numbers", field="rows")


def check_shape(shape: Shape | None, n_features: int, name: str) -> None:
    """Raise `ConfigError` unless `shape` is that of an image of F pixels."""
    if shape is None:
        raise ConfigError(
            f"the augmentation {name!r} needs to know the shape of the images",
            field="shape",
            fix="Give [height, width] or [height, width, channels].",
        )
    if len(shape) not in {2, 3} or math.prod(shape) != n_features:
        raise ConfigError(
            f"rows of {n_features} features are no images of this shape",
            field="shape",
            value=shape,
            fix="Give [height, width] or [height, width, channels] with that many pixels.",
        )
