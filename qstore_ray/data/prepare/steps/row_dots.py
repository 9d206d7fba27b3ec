"""Scalar products of rows with directions, by BLAS, each row with the same bits in any company.

A matrix product by BLAS rounds a row differently in batches of different sizes, since it treats
the rows left over at the end in another way. Here BLAS is only ever given one shape: tiles of 16
rows, the last of which is filled up with zeros. 16 rows are whole vectors of every processor, so
no row of a tile is treated unlike another, and a tile is too small for BLAS to share out among
threads. numpy multiplies many tiles in one call. Processors of different make may differ in the
last bit, as they do in every engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_ROWS = 16  # of a tile
_FEATURES = 256  # terms of a sum that BLAS sees; the sums of longer rows are added up
_DIRECTIONS = 32  # 16 · 256 · 32 products: OpenBLAS starts threads above twice as many
_ELEMENTS = 2**15  # of tiles multiplied in one call: 256 KiB, which stays in the second cache


def row_dots(x: FloatArray, directions: FloatArray, mean: FloatArray | None = None) -> FloatArray:
    """(x − mean) · directionsᵀ for rows `x` (B, F) and `directions` (K, F): (B, K)."""
    shift = np.zeros(x.shape[1]) if mean is None else mean
    out = np.zeros((len(x), len(directions)))
    for start in range(0, x.shape[1], _FEATURES):
        part = slice(start, start + _FEATURES)
        _add_dots(x[:, part], directions[:, part], shift[part], out)
    return out


def _add_dots(x: FloatArray, directions: FloatArray, mean: FloatArray, out: FloatArray) -> None:
    """out (B, K) += (x − mean) · directionsᵀ for rows of at most 256 features."""
    n_rows, n_features = x.shape
    n_tiles = min(_ELEMENTS // (_ROWS * n_features), -(-n_rows // _ROWS))
    tiles = np.zeros((n_tiles, _ROWS, n_features))
    rows = tiles.reshape(n_tiles * _ROWS, n_features)
    groups = [
        (slice(k, k + _DIRECTIONS), np.ascontiguousarray(directions[k : k + _DIRECTIONS].T))
        for k in range(0, len(directions), _DIRECTIONS)
    ]
    for start in range(0, n_rows, max(1, len(rows))):
        chunk = x[start : start + len(rows)]
        np.subtract(chunk, mean, out=rows[: len(chunk)])
        rows[len(chunk) :] = 0.0
        for group, columns in groups:
            products = np.matmul(tiles, columns).reshape(len(rows), -1)
            out[start : start + len(rows), group] += products[: len(chunk)]
