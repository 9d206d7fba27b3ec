"""`row_dots` compiled, for millions of rows: the same sums in the same order, to the last bit.

Importing this module costs the import of numba; compiling takes a second or more, once a machine
where numba finds a folder to keep machine code in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_ROWS = 64  # rows that lie side by side: their partial sums are 4 KiB


def run_dots(  # noqa: C901 -- loops only, which compiled code has to spell out
    x: FloatArray, v: FloatArray, mean: FloatArray, out: FloatArray
) -> None:
    """out (B, K) = (x − mean) · vᵀ for `x` (B, F), `v` (K, F), F ≤ 128."""
    n = x.shape[1]
    whole = n - n % 8
    columns = np.zeros((n, _ROWS))
    lanes = np.empty((8, _ROWS))
    for start in range(0, x.shape[0], _ROWS):
        size = min(_ROWS, x.shape[0] - start)
        for r in range(size):
            for f in range(n):
                columns[f, r] = x[start + r, f] - mean[f]
        for k in range(v.shape[0]):
            lanes[:] = 0.0
            for f in range(0, whole, 8):
                for j in range(8):
                    weight, lane, column = v[k, f + j], lanes[j], columns[f + j]
                    for r in range(_ROWS):
                        lane[r] += weight * column[r]
            total = lanes[0]
            for r in range(_ROWS):
                low = (lanes[0, r] + lanes[1, r]) + (lanes[2, r] + lanes[3, r])
                total[r] = low + ((lanes[4, r] + lanes[5, r]) + (lanes[6, r] + lanes[7, r]))
            for f in range(whole, n):
                for r in range(_ROWS):
                    total[r] += v[k, f] * columns[f, r]
            for r in range(size):
                out[start + r, k] = total[r]


try:  # no fast maths in either: the order is kept
    compiled_dots = njit(cache=True, nogil=True, error_model="numpy")(run_dots)
except RuntimeError:  # no folder that can be written to: compile anew in every process
    compiled_dots = njit(nogil=True, error_model="numpy")(run_dots)
