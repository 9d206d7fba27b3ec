"""Scalar products of rows with directions, summed in an order of their own.

A matrix product by BLAS rounds a row differently in batches of different sizes, on processors of
different make and with different numbers of threads. Here every scalar product is the same sequence
of additions wherever its row stands, so that rows are equal to the last bit however the data is
cut into tasks: pairwise summation, the order in which numpy sums a contiguous row. Rows lie
side by side while they are summed, so each addition is one vector instruction for several rows.
Batches that numpy would take a second for go through compiled code with the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_LANES = 8  # partial sums of a run, as in numpy's pairwise summation
_RUN = 128  # terms that are summed without being halved
_COMPILED = 2**28  # products from which compiling pays
_ELEMENTS = 2**14  # partial sums held at once: 128 KiB, which stays in the second cache


def row_dots(x: FloatArray, directions: FloatArray, mean: FloatArray | None = None) -> FloatArray:
    """(x − mean) · directionsᵀ for rows `x` (B, F) and `directions` (K, F): (B, K)."""
    if len(x) * directions.size >= _COMPILED:
        shift = np.zeros(x.shape[1]) if mean is None else mean
        return _compiled(x, directions, shift)
    out = np.empty((len(x), len(directions)))
    size = max(16, _ELEMENTS // (_LANES * max(1, len(directions))))
    for start in range(0, len(x), size):
        columns = np.ascontiguousarray(x[start : start + size].T)
        if mean is not None:
            columns = columns - mean[:, None]
        out[start : start + size] = _dots(columns, directions[:, :, None]).T
    return out


def _dots(columns: FloatArray, v: FloatArray) -> FloatArray:
    """Σ_f v_kf · columns_fb for `columns` (F, B) and `v` (K, F, 1): (K, B)."""
    n = len(columns)
    if n > _RUN:
        half = _half(n)
        left: FloatArray = _dots(columns[:half], v[:, :half])
        return left + _dots(columns[half:], v[:, half:])
    whole = n - n % _LANES
    if whole:
        lanes = v[:, :_LANES] * columns[:_LANES]
        products = np.empty_like(lanes)
        for f in range(_LANES, whole, _LANES):
            np.multiply(v[:, f : f + _LANES], columns[f : f + _LANES], out=products)
            lanes += products
        pairs = lanes[:, 0::2] + lanes[:, 1::2]
        fours = pairs[:, 0::2] + pairs[:, 1::2]
        total = fours[:, 0] + fours[:, 1]
    else:
        total = np.zeros((len(v), columns.shape[1]))
    for f in range(whole, n):
        total += v[:, f] * columns[f]
    return total


def _compiled(x: FloatArray, directions: FloatArray, mean: FloatArray) -> FloatArray:
    """`row_dots` by compiled code."""
    from qstore_ray.data.steps.row_dots_jit import compiled_dots  # numba is slow to import

    n = x.shape[1]
    if n > _RUN:
        half = _half(n)
        left = _compiled(x[:, :half], directions[:, :half], mean[:half])
        return left + _compiled(x[:, half:], directions[:, half:], mean[half:])
    out = np.empty((len(x), len(directions)))
    # Contiguous, so that there is one kind of array to compile for.
    compiled_dots(np.ascontiguousarray(x), np.ascontiguousarray(directions), mean, out)
    return out


def _half(n: int) -> int:
    """Where a sum of n terms is cut in two: the middle, in whole lanes."""
    return n // 2 - n // 2 % _LANES
