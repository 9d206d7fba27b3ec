"""Blocks as read tasks return them, put together whatever order they come in."""

from __future__ import annotations

import numpy as np

from qstore_ray.data.read.plan import Arrays


def in_order(blocks: list[dict[str, np.ndarray]]) -> Arrays:
    """Blocks in any order, joined into rows in the order of their row numbers.

    Rows of one number, an original and its copies, stay in the order of their block.
    """
    row, x, y = (np.concatenate([block[name] for block in blocks]) for name in ("row", "x", "y"))
    order = np.argsort(row, kind="stable")
    return Arrays(x[order], y[order])
