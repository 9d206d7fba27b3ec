"""Random errors and their signs with numpy: what the numpy engine does of `engines.py`.

The kernels (`signed_native.py`) draw the same errors, bit by bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.simulate.compile.products import product_of_rows
from qstore_ray.simulate.compile.signed_program import (
    WORDS,
    DrawnErrors,
    ErrorTable,
    SignedBinding,
    SignedProgram,
)

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


def draw_errors(table: ErrorTable, key: AnyArray, counter: int, n_rows: int) -> DrawnErrors:
    """The errors that happen in N rows; see `Engine.draw_errors`."""
    sites = len(table.any_error)
    width = -(-sites // WORDS) * WORDS
    random = np.random.Generator(np.random.Philox(key=key, counter=counter))
    uniform = random.random((n_rows, width))[:, :sites]
    rows, where = divmod(np.flatnonzero(uniform < table.any_error), sites)
    found = np.searchsorted(table.upper, where + uniform[rows, where], side="right")
    return DrawnErrors(rows, table.outcomes[found])


def bind_signed(
    signed: SignedProgram, errors: DrawnErrors, rows: AnyArray, params: AnyArray
) -> SignedBinding:
    """The signs that errors give, and the program's slots; see `Engine.bind_signed`."""
    packed = np.zeros((len(rows), signed.flips.shape[1]), np.uint8)
    np.bitwise_xor.at(packed, errors.rows, signed.flips[errors.outcomes])
    bits = np.unpackbits(packed, axis=1, count=signed.n_signs)
    signs: FloatArray = 1.0 - 2.0 * bits.astype(np.float64)

    angles = signed.offsets + product_of_rows(params, signed.param_scales.T)
    angles = angles + product_of_rows(rows, signed.row_scales.T)
    moved = signs[:, : len(signed.offsets)] * angles
    by_row, by_param = moved[:, : signed.n_by_rows], moved[:, signed.n_by_rows :]
    params = np.broadcast_to(params, (len(rows), params.shape[-1]))
    return SignedBinding(
        signs, np.concatenate([rows, by_row], axis=1), np.concatenate([by_param, params], axis=1)
    )


def unbind_signed(
    signed: SignedProgram, signs: FloatArray, slots: FloatArray, *, rows_gradient: bool
) -> tuple[FloatArray, FloatArray]:
    """Gradients of the rows and parameters; see `Engine.unbind_signed`."""
    n_rows, n_params = signed.row_scales.shape[1], signed.param_scales.shape[1]
    n_angles = len(signed.offsets)
    angles = slots[:, n_rows : n_rows + n_angles] * signs[:, :n_angles]
    by_params: FloatArray = slots[:, slots.shape[1] - n_params :] + product_of_rows(
        angles, signed.param_scales
    )
    if not rows_gradient:
        return np.zeros((len(slots), n_rows)), by_params
    by_rows: FloatArray = slots[:, :n_rows] + product_of_rows(angles, signed.row_scales)
    return by_rows, by_params
