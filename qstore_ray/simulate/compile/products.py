"""Matrix products whose rows have the same bits in batches of different sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_BLOCK = 16


def product_of_rows(left: AnyArray, right: AnyArray) -> AnyArray:
    """left (N, K) @ right (K, M), or (K,) @ right; a row has the same bits for any number of rows.

    A matrix product rounds a row differently for different N, so 16 rows are multiplied at a time.
    Two parts of a batch get the bits of the whole if each begins at a multiple of 16.
    """
    n = len(left)
    found: AnyArray
    if left.ndim == 1 or n == _BLOCK:
        found = left @ right
        return found
    blocks = -(-n // _BLOCK)
    if n % _BLOCK:
        left = np.concatenate([left, np.zeros((blocks * _BLOCK - n, left.shape[1]))])
    found = left.reshape(blocks, _BLOCK, left.shape[1]) @ right
    return found.reshape(blocks * _BLOCK, right.shape[1])[:n]
