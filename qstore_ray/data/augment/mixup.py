"""Mixup: a row and its label blended with another row of train and that row's label.

It stands beside `AUGMENTATIONS`, not in it, because it changes labels: a class becomes weights of
classes, which not every loss takes. The partner is drawn by the row's own key from a pool that the
caller names, which must be rows of train. Drawn from the batch, as is often done, the result of a
row would depend on the batch that it happens to be in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from pydantic import Field
from scipy.special import betaincinv

from qstore_ray.data.augment.config import AugmentationConfig
from qstore_ray.data.rows.validate import check_not_empty, check_same_length, check_width
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.augment.base import Keys
    from qstore_ray.types import FloatArray


class Mixed(NamedTuple):
    """Rows `x` (B, F) and weights of the classes `y` (B, K), which sum to 1 in every row."""

    x: FloatArray
    y: FloatArray


class Mixup(AugmentationConfig):
    """λ·x + (1 − λ)·x', and the same of the labels, with λ ~ Beta(alpha, alpha).

    Zhang, Cissé, Dauphin & Lopez-Paz, ICLR 2018, arXiv:1710.09412.

    Args:
        alpha: small keeps rows almost as they are (or swaps them), 1 makes every λ equally likely.
    """

    name: Literal["mixup"] = "mixup"
    alpha: float = Field(default=0.2, gt=0.0)

    def mix(
        self, x: FloatArray, y: FloatArray, keys: Keys, pool_x: FloatArray, pool_y: FloatArray
    ) -> Mixed:
        """The rows `x` (B, F) and weights `y` (B, K), blended with rows of the pool.

        Args:
            x: rows.
            y: one-hot rows, or weights of the classes.
            keys: one a row (B,).
            pool_x: rows of train (N, F).
            pool_y: their weights (N, K).

        Raises:
            DataError: labels that are not rows of weights, an empty pool, differing widths.
        """
        for labels in (y, pool_y):
            if labels.ndim != 2:
                raise DataError(
                    "mixup needs weights of the classes (B, K)",
                    field="y",
                    value=labels.shape,
                    fix="Write classes as one-hot rows: np.eye(n_classes)[y].",
                )
        check_not_empty(len(pool_x), "the pool of mixup")
        check_same_length(x, y)
        check_same_length(pool_x, pool_y)
        check_width(pool_x, x.shape[1])
        check_width(pool_y, y.shape[1], field="y")
        check_same_length(x, keys.rows, field="rows")
        changed, which, quantile = keys.uniform(3).T
        partner = np.floor(which * len(pool_x)).astype(np.int64)
        share = np.where(
            changed < self.probability, betaincinv(self.alpha, self.alpha, quantile), 1.0
        )[:, None]
        mixed_x = share * x + (1.0 - share) * pool_x[partner]
        mixed_y = share * y + (1.0 - share) * pool_y[partner]
        return Mixed(np.where(share == 1.0, x, mixed_x), np.where(share == 1.0, y, mixed_y))
