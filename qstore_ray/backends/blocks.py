"""Sums of gradients over blocks of rows, for backends that have them row by row."""

from __future__ import annotations

import numpy as np

from qstore_ray.backends.base import Gradients


def summed(found: Gradients, block: int) -> Gradients:
    """Gradients with the parameters' summed over each block of rows, in their order."""
    n, n_params = found.params.shape
    blocks = -(-n // block)
    whole = found.params
    if n % block:
        whole = np.zeros((blocks * block, n_params))
        whole[:n] = found.params
    return found._replace(params=whole.reshape(blocks, block, n_params).sum(axis=1))
