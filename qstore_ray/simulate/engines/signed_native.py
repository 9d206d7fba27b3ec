"""Random errors and their signs in C: what the compiled engine does of `engines.py`.

Drawn and bound by numpy, they would take longer than the sweeps of a small circuit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.simulate import _kernels
from qstore_ray.simulate.compile.signed_program import (
    WORDS,
    DrawnErrors,
    ErrorTable,
    SignedBinding,
    SignedProgram,
)

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class LoadedArrays(NamedTuple):
    """Numbers and addresses as the kernels read them, and the arrays, which it keeps alive."""

    header: AnyArray
    arrays: tuple[AnyArray, ...]


def draw_errors(table: ErrorTable, key: AnyArray, counter: int, n_rows: int) -> DrawnErrors:
    """The errors that happen in N rows; see `Engine.draw_errors`."""
    most = n_rows * len(table.any_error)
    rows, outcomes = np.empty(most, np.int64), np.empty(most, np.int64)
    found = _kernels.draw_errors(_load_table(table).header, key, counter, n_rows, rows, outcomes)
    return DrawnErrors(rows[:found], outcomes[:found])


def bind_signed(
    signed: SignedProgram, errors: DrawnErrors, rows: AnyArray, params: AnyArray
) -> SignedBinding:
    """The signs that errors give, and the program's slots; see `Engine.bind_signed`."""
    n = len(rows)
    rows = np.ascontiguousarray(rows, np.float64)
    params = np.ascontiguousarray(params, np.float64)
    signs = np.empty((n, signed.n_signs))
    by_row = np.empty((n, signed.program.n_rows)) if signed.n_by_rows else None
    by_param = np.empty((n, signed.program.n_params))
    _kernels.bind_signed(
        _load(signed).header, n, params.ndim == 2, errors.rows, errors.outcomes, rows, params,
        signs, by_row, by_param,
    )  # fmt: skip
    return SignedBinding(signs, rows if by_row is None else by_row, by_param)


def unbind_signed(
    signed: SignedProgram, signs: FloatArray, slots: FloatArray, *, rows_gradient: bool
) -> tuple[FloatArray, FloatArray]:
    """Gradients of the rows and parameters; see `Engine.unbind_signed`."""
    n = len(slots)
    by_rows = np.zeros((n, signed.row_scales.shape[1]))
    by_params = np.empty((n, signed.param_scales.shape[1]))
    _kernels.unbind_signed(
        _load(signed).header, n, signs, slots, by_rows if rows_gradient else None, by_params
    )
    return by_rows, by_params


@lru_cache(maxsize=128)
def _load_table(table: ErrorTable) -> LoadedArrays:
    sites = len(table.any_error)
    any_error = np.zeros(-(-sites // WORDS) * WORDS)  # the kernel compares whole blocks
    any_error[:sites] = table.any_error
    return _loaded([sites, len(table.outcomes)], (any_error, table.upper, table.outcomes))


@lru_cache(maxsize=128)
def _load(signed: SignedProgram) -> LoadedArrays:
    (n_angles, n_rows), n_params = signed.row_scales.shape, signed.param_scales.shape[1]
    numbers = [n_rows, n_params, signed.n_by_rows, n_angles, signed.n_signs, *signed.flips.shape]
    sums = (*_sparse(signed.row_scales), *_sparse(signed.param_scales))
    return _loaded(numbers, (signed.offsets, signed.flips, *sums))


def _loaded(numbers: list[int], arrays: tuple[AnyArray, ...]) -> LoadedArrays:
    arrays = tuple(np.ascontiguousarray(array) for array in arrays)
    header = np.array(numbers + [array.ctypes.data for array in arrays], np.int64)
    return LoadedArrays(header, arrays)


def _sparse(scales: FloatArray) -> tuple[AnyArray, AnyArray, AnyArray]:
    """The numbers of a matrix that are not 0: starts of the rows, columns, values."""
    rows, columns = np.nonzero(scales)
    return np.searchsorted(rows, np.arange(len(scales) + 1)), columns, scales[rows, columns]
