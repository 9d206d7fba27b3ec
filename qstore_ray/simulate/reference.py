"""The slow, obvious simulator that everything else is compared with.

Each gate is written out as the plain matrix of its definition; a circuit is run for one row at a
time, gate after gate, on the full vector of 2^n amplitudes; a derivative is a central difference.
Nothing is shared with the fast engine (no lowering, no batching, no adjoint method), so that a
mistake there cannot hide here. Use it to check, never to train.

In the matrices the first qubit of a gate is the most significant bit of the row and column index,
as in a textbook: CX with the control first is diag(I, X). In a state, qubit 0 is the least
significant bit of the index, as in Qiskit. Letters of the shapes: see `types.py`.
"""

from __future__ import annotations

from cmath import exp
from collections.abc import Callable, Sequence
from math import cos, pi, sin, sqrt
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Angle, Template

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray, FloatArray

_Matrix: TypeAlias = Sequence[Sequence[complex]]

_R = 1 / sqrt(2)
_I: _Matrix = [[1, 0], [0, 1]]
_X: _Matrix = [[0, 1], [1, 0]]
_Y: _Matrix = [[0, -1j], [1j, 0]]
_Z: _Matrix = [[1, 0], [0, -1]]
_H: _Matrix = [[_R, _R], [_R, -_R]]

_FIXED: dict[str, _Matrix] = {
    "h": _H,
    "x": _X,
    "y": _Y,
    "z": _Z,
    "s": [[1, 0], [0, 1j]],
    "sdg": [[1, 0], [0, -1j]],
    "t": [[1, 0], [0, exp(1j * pi / 4)]],
    "tdg": [[1, 0], [0, exp(-1j * pi / 4)]],
    "sx": [[(1 + 1j) / 2, (1 - 1j) / 2], [(1 - 1j) / 2, (1 + 1j) / 2]],
    "sxdg": [[(1 - 1j) / 2, (1 + 1j) / 2], [(1 + 1j) / 2, (1 - 1j) / 2]],
    "cx": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]],
    "cy": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, -1j], [0, 0, 1j, 0]],
    "cz": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1]],
    "ch": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, _R, _R], [0, 0, _R, -_R]],
    "swap": [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]],
    "iswap": [[1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]],
    "ccx": [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1, 0],
    ],
}


def matrix(gate: str, *angles: float) -> ComplexArray:
    """The gate's unitary (2^k, 2^k), first qubit the most significant bit; angles in radians."""
    if gate in _FIXED:
        return np.array(_FIXED[gate], dtype=complex)
    return _ROTATIONS[gate](*angles)


def states(
    template: Template,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: FloatArray | ComplexArray | None = None,
) -> ComplexArray:
    """|ψ_i⟩ for every row: (N, 2^n).

    Args:
        template: the circuit.
        rows: encoded angles (N, A), radians.
        params: parameters (P,), or one set a row (N, P).
        amplitudes: initial states (N, 2^n) where the template starts from amplitudes; they are used
            as they are, so that derivatives with respect to them can be taken.
    """
    size = 2**template.n_qubits
    out = np.zeros((len(rows), size), dtype=complex)
    per_row = _params_per_row(rows, params)
    for i in range(len(rows)):
        start = np.eye(1, size, dtype=complex)[0] if amplitudes is None else amplitudes[i]
        out[i] = _run(template, rows[i], per_row[i], start.astype(complex))
    return out


def expectations(
    template: Template,
    observables: Sequence[Observable],
    rows: FloatArray,
    params: FloatArray,
    amplitudes: FloatArray | ComplexArray | None = None,
) -> FloatArray:
    """⟨ψ_i|O_o|ψ_i⟩ for every row and observable: (N, O). Arguments as for `states`."""
    psi = states(template, rows, params, amplitudes)
    out = np.zeros((len(rows), len(observables)))
    for i, state in enumerate(psi):
        for o, observable in enumerate(observables):
            out[i, o] = sum(
                term.coefficient * np.vdot(state, _pauli(term, state, template.n_qubits)).real
                for term in observable.terms
            )
    return out


def central_differences(
    template: Template,
    observables: Sequence[Observable],
    rows: FloatArray,
    params: FloatArray,
    cotangent: FloatArray,
    *,
    amplitudes: FloatArray | ComplexArray | None = None,
    step: float = 1e-5,
) -> tuple[FloatArray, FloatArray, ComplexArray | None]:
    """Σ_o cotangent[i, o] · ∂⟨O_o⟩/∂slot for each row i, by (f(+step) − f(−step)) / (2·step).

    Args:
        cotangent: weights of the observables (N, O).
        step: half the distance of the two points; the error is of order step² + 1e-16/step.

    Returns:
        Gradients of the rows (N, A), of the parameters per row (N, P), and of the amplitudes
        (N, 2^n) as ∂/∂Re + i·∂/∂Im, None where the template starts from zeros.
    """
    per_row = _params_per_row(rows, params)

    def value(r: FloatArray, p: FloatArray, a: ComplexArray | None) -> FloatArray:
        weighted: FloatArray = (cotangent * expectations(template, observables, r, p, a)).sum(
            axis=1
        )
        return weighted

    start = None if amplitudes is None else amplitudes.astype(complex)
    rows_gradient = _differences(lambda r: value(r, per_row, start), rows, step)
    params_gradient = _differences(lambda p: value(rows, p, start), per_row, step)
    if start is None:
        return rows_gradient, params_gradient, None
    at_zero = np.zeros(start.shape)
    real = _differences(lambda d: value(rows, per_row, start + d.astype(complex)), at_zero, step)
    imag = _differences(lambda d: value(rows, per_row, start + 1j * d), at_zero, step)
    return rows_gradient, params_gradient, real + 1j * imag


def _differences(
    function: Callable[[FloatArray], FloatArray], at: FloatArray, step: float
) -> FloatArray:
    out = np.zeros(at.shape)
    for column in range(at.shape[1]):
        shift = np.zeros(at.shape)
        shift[:, column] = step
        out[:, column] = (function(at + shift) - function(at - shift)) / (2 * step)
    return out


def _params_per_row(rows: FloatArray, params: FloatArray) -> FloatArray:
    return np.broadcast_to(params, (len(rows), params.shape[-1]))


def _run(
    template: Template, row: FloatArray, params: FloatArray, psi: ComplexArray
) -> ComplexArray:
    for op in template.ops:
        angles = [_angle(angle, row, params) for angle in op.angles]
        psi = _apply(matrix(op.gate, *angles), op.qubits, psi, template.n_qubits)
    return psi


def _angle(angle: Angle, row: FloatArray, params: FloatArray) -> float:
    slots = {"row": row, "param": params}
    return float(sum(t.scale * slots[t.kind][t.slot] for t in angle.terms) + angle.offset)


def _apply(
    unitary: ComplexArray, qubits: tuple[int, ...], psi: ComplexArray, n_qubits: int
) -> ComplexArray:
    """`unitary` on `qubits` of one state (2^n,)."""
    k = len(qubits)
    axes = [n_qubits - 1 - qubit for qubit in qubits]  # qubit 0 varies fastest: the last axis
    tensor = psi.reshape([2] * n_qubits)
    out = np.tensordot(unitary.reshape([2] * 2 * k), tensor, axes=(range(k, 2 * k), axes))
    result: ComplexArray = np.moveaxis(out, range(k), axes).reshape(-1)
    return result


def _pauli(term: PauliTerm, psi: ComplexArray, n_qubits: int) -> ComplexArray:
    for qubit in range(n_qubits):
        bits = (term.x >> qubit & 1, term.z >> qubit & 1)
        letter = {(0, 0): _I, (1, 0): _X, (1, 1): _Y, (0, 1): _Z}[bits]
        psi = _apply(np.array(letter, dtype=complex), (qubit,), psi, n_qubits)
    return psi


def _rx(a: float) -> ComplexArray:
    return np.array([[cos(a / 2), -1j * sin(a / 2)], [-1j * sin(a / 2), cos(a / 2)]])


def _ry(a: float) -> ComplexArray:
    return np.array([[cos(a / 2), -sin(a / 2)], [sin(a / 2), cos(a / 2)]], dtype=complex)


def _rz(a: float) -> ComplexArray:
    return np.diag([exp(-1j * a / 2), exp(1j * a / 2)])


def _u(theta: float, phi: float, lam: float) -> ComplexArray:
    c, s = cos(theta / 2), sin(theta / 2)
    return np.array([[c, -exp(1j * lam) * s], [exp(1j * phi) * s, exp(1j * (phi + lam)) * c]])


def _controlled(unitary: ComplexArray) -> ComplexArray:
    out = np.eye(4, dtype=complex)
    out[2:, 2:] = unitary
    return out


def _two(pauli: _Matrix, a: float) -> ComplexArray:
    """exp(−i a/2 · P⊗P) = cos(a/2) − i sin(a/2) P⊗P, since (P⊗P)² = 1."""
    out: ComplexArray = cos(a / 2) * np.eye(4) - 1j * sin(a / 2) * np.kron(pauli, pauli)
    return out


_ROTATIONS: dict[str, Callable[..., ComplexArray]] = {
    "rx": _rx,
    "ry": _ry,
    "rz": _rz,
    "p": lambda a: np.diag([1, exp(1j * a)]),
    "u": _u,
    "cp": lambda a: np.diag([1, 1, 1, exp(1j * a)]),
    "crx": lambda a: _controlled(_rx(a)),
    "cry": lambda a: _controlled(_ry(a)),
    "crz": lambda a: _controlled(_rz(a)),
    "rxx": lambda a: _two(_X, a),
    "ryy": lambda a: _two(_Y, a),
    "rzz": lambda a: _two(_Z, a),
}
