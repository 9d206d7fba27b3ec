"""Checks that rows fit the circuit they are meant for: width, zero rows, bits, angles that wrap.

What an encoding takes is asked of the encoding itself, so that the check and the circuit agree.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.data.quality.finding import NOWHERE, Finding, RowOrigin
from qstore_ray.errors import CircuitError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_PERIODIC: Final = ("angle", "dense_angle")


def find_unfit(
    x: FloatArray, encoding: str, n_qubits: int, origin: RowOrigin = NOWHERE
) -> list[Finding]:
    """Errors where the rows `x` (N, F) cannot enter `n_qubits` by `encoding`, as prepared.

    Too many features; for `amplitude`, rows of zeros; for `basis`, values other than 0 and 1. A
    warning where a column entered as an angle spans more than 2π: values 2π apart then look the
    same to the circuit.

    Raises:
        UnknownNameError: no such encoding.
    """
    if encoding not in ENCODINGS:
        raise unknown_name_error("encoding", encoding, ENCODINGS, field="encoding")
    found = []
    try:
        ENCODINGS[encoding](n_qubits, x.shape[1])
    except CircuitError as exc:
        found.append(Finding("qubits", "error", exc.message, "x", x.shape[1], fix=exc.fix))
    if encoding == "amplitude":
        found += _zero_rows(x, origin)
    if encoding == "basis":
        found += _not_bits(x, origin)
    if encoding in _PERIODIC:
        found += _wrapping(x, origin)
    return found


def _zero_rows(x: FloatArray, origin: RowOrigin) -> list[Finding]:
    zero = np.flatnonzero((x == 0.0).all(axis=1))
    if not len(zero):
        return []
    return [
        Finding(
            "qubits",
            "error",
            f"{len(zero)} of {len(x)} rows{origin.inside} are all zeros, which is no quantum state",
            field="x",
            value=len(zero),
            rows=origin.first(zero),
            fix="Drop such rows, or use the encoding angle.",
        )
    ]


def _not_bits(x: FloatArray, origin: RowOrigin) -> list[Finding]:
    other = np.flatnonzero(((x != 0.0) & (x != 1.0)).any(axis=1))
    if not len(other):
        return []
    return [
        Finding(
            "qubits",
            "error",
            f"{len(other)} of {len(x)} rows{origin.inside} hold values other than 0 and 1",
            field="x",
            value=len(other),
            rows=origin.first(other),
            fix="Binarise the features first, or use the encoding angle.",
        )
    ]


def _wrapping(x: FloatArray, origin: RowOrigin) -> list[Finding]:
    finite = np.isfinite(x)
    low = np.min(x, axis=0, where=finite, initial=np.inf)
    high = np.max(x, axis=0, where=finite, initial=-np.inf)
    with np.errstate(over="ignore"):
        spans = np.where(finite.any(axis=0), high - low, 0.0)

    wide = np.flatnonzero(spans > 2 * math.pi * (1 + 1e-12))
    if not len(wide):
        return []
    widest = int(wide[np.argmax(spans[wide])])
    return [
        Finding(
            "qubits",
            "warning",
            f"values of {len(wide)} of {x.shape[1]} columns{origin.inside} span more than one turn "
            f"of 2π, up to {spans[widest]:.3g}; values a turn apart are the same angle",
            field=origin.column(widest),
            value=float(spans[widest]) if np.isfinite(spans[widest]) else "inf",
            fix='Add the step {"name": "minmax"} to preprocessing.',
        )
    ]
