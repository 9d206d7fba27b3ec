"""From a template to a `Program`: gates gathered into runs, permutations and phase vectors.

`program.py` says what the passes are. Here the lowered gates are walked once: single-qubit gates
wait in `pending` until an entangler touches their qubit, entanglers of one kind that come
together join.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.circuits.lower import ENTANGLERS, FIXED, lower
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Angle, Op, Template
from qstore_ray.simulate.program import (
    DIAG,
    MATRIX,
    PERM,
    RUN,
    RX,
    RY,
    RZ,
    ZROT,
    Program,
)

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray, FloatArray, IntArray

_ROTATION_KIND = {"rx": RX, "ry": RY, "rz": RZ}
_R = 2**-0.5
_MATRICES: dict[str, ComplexArray] = {
    "h": np.array([[_R, _R], [_R, -_R]], complex),
    "x": np.array([[0, 1], [1, 0]], complex),
    "y": np.array([[0, -1j], [1j, 0]], complex),
    "z": np.diag([1, -1]).astype(complex),
    "s": np.diag([1, 1j]),
    "sdg": np.diag([1, -1j]),
    "t": np.diag([1, _R + 1j * _R]),
    "tdg": np.diag([1, _R - 1j * _R]),
    "sx": np.array([[0.5 + 0.5j, 0.5 - 0.5j], [0.5 - 0.5j, 0.5 + 0.5j]], complex),
    "sxdg": np.array([[0.5 - 0.5j, 0.5 + 0.5j], [0.5 + 0.5j, 0.5 - 0.5j]], complex),
}


@lru_cache(maxsize=128)
def compile_program(
    template: Template, observables: tuple[Observable, ...], params_per_row: bool = False
) -> Program:
    """The program that evaluates `observables` after `template`.

    Args:
        params_per_row: parameters differ from row to row, as in the plans of parameter shift.
    """
    builder = _Builder(template, params_per_row)
    for op in lower(template).ops:
        builder.add(op)
    return builder.finish(observables)


class _Builder:
    """Collects passes in order; `pending` holds the unfinished run of each qubit."""

    def __init__(self, template: Template, params_per_row: bool) -> None:
        self.template = template
        self.params_per_row = params_per_row
        self.pending: dict[int, list[Op]] = {}
        self.passes: list[tuple[int, list[Op]]] = []  # (kind, gates), in the order of execution

    def add(self, op: Op) -> None:
        """Append one lowered gate."""
        if len(op.qubits) == 1:
            self.pending.setdefault(op.qubits[0], []).append(op)
            return
        for qubit in op.qubits:
            self._flush(qubit)
        kind = PERM if op.gate in ("cx", "swap") else DIAG
        if op.gate == "rzz" and op.angles[0].kind != "const":
            self.passes.append((ZROT, [op]))
        elif self.passes and self.passes[-1][0] == kind:
            self.passes[-1][1].append(op)
        else:
            self.passes.append((kind, [op]))

    def _flush(self, qubit: int) -> None:
        run = self.pending.pop(qubit, None)
        if run is None:
            return
        position = len(self.passes)
        while position and all(qubit not in op.qubits for op in self.passes[position - 1][1]):
            position -= 1
        self.passes.insert(position, (RUN, run))

    def finish(self, observables: tuple[Observable, ...]) -> Program:
        """The program of everything added."""
        template = self.template
        for qubit in sorted(self.pending):
            self._flush(qubit)
        tables = _Tables(template, self.params_per_row)
        code = [tables.encode(kind, gates) for kind, gates in self.passes]
        leading = 0
        while leading < len(code) and code[leading][0] == RUN:
            leading += 1
        from_amplitudes = template.initial == "amplitudes"
        terms, coefficients = _terms(observables)
        return Program(
            n_qubits=template.n_qubits,
            n_rows=template.n_rows,
            n_params=template.n_params,
            n_observables=len(observables),
            from_amplitudes=from_amplitudes,
            params_per_row=self.params_per_row,
            code=np.array(code, np.int64).reshape(-1, 4),
            n_leading=0 if from_amplitudes else leading,
            terms=terms,
            coefficients=coefficients,
            **tables.arrays(),
            run_has_row=tables.runs_with_rows(code),
        )


class _Tables:
    """The side tables that passes point into."""

    def __init__(self, template: Template, params_per_row: bool) -> None:
        self.n_qubits = template.n_qubits
        self.params_start = template.n_rows
        self.params_per_row = params_per_row
        self.elements: list[tuple[int, int]] = []
        self.matrices: list[ComplexArray] = []
        self.gates: list[tuple[int, int]] = []
        self.affine: list[tuple[float, float]] = []
        self.cycles: list[int] = []
        self.cycle_starts: list[int] = [0]
        self.phases: list[ComplexArray] = []

    def encode(self, kind: int, ops: list[Op]) -> tuple[int, int, int, int]:
        """The code of one pass; what it needs is added to the tables."""
        if kind == RUN:
            first = len(self.elements)
            self._run(ops)
            return RUN, ops[0].qubits[0], first, len(self.elements)
        if kind == PERM:
            first = len(self.cycle_starts) - 1
            self._permutation(ops)
            return PERM, first, len(self.cycle_starts) - 1, 0
        if kind == DIAG:
            self.phases.append(_diagonal(self.n_qubits, ops))
            return DIAG, len(self.phases) - 1, 0, 0
        mask = sum(1 << qubit for qubit in ops[0].qubits)
        return ZROT, mask, self._gate(ops[0].angles[0]), 0

    def _run(self, ops: list[Op]) -> None:
        fixed: ComplexArray | None = None
        for op in ops:
            if op.gate in FIXED or op.angles[0].kind == "const":
                matrix = _fixed_matrix(op)
                fixed = matrix if fixed is None else matrix @ fixed
                continue
            self._matrix(fixed)
            fixed = None
            self.elements.append((_ROTATION_KIND[op.gate], self._gate(op.angles[0])))
        self._matrix(fixed)

    def _matrix(self, matrix: ComplexArray | None) -> None:
        if matrix is not None:
            self.elements.append((MATRIX, len(self.matrices)))
            self.matrices.append(matrix)

    def _gate(self, angle: Angle) -> int:
        from_row = angle.kind == "row"
        slot = angle.slot if from_row else self.params_start + angle.slot
        self.gates.append((int(from_row or self.params_per_row), slot))
        self.affine.append((angle.scale, angle.offset))
        return len(self.gates) - 1

    def _permutation(self, ops: list[Op]) -> None:
        source = np.arange(2**self.n_qubits)
        for op in reversed(ops):
            source = _preimage(source, op)
        seen = source == np.arange(len(source))
        for start in np.flatnonzero(~seen):
            if seen[start]:
                continue
            index = int(start)
            while not seen[index]:
                seen[index] = True
                self.cycles.append(index)
                index = int(source[index])
            self.cycle_starts.append(len(self.cycles))

    def arrays(self) -> dict[str, np.ndarray]:
        """The tables as the arrays that `Program` names."""
        dim = 2**self.n_qubits
        matrices = np.array(self.matrices, complex).reshape(-1, 4)
        phases = np.array(self.phases, complex).reshape(-1, dim)
        return {
            "elements": np.array(self.elements, np.int64).reshape(-1, 2),
            "matrices": np.ascontiguousarray(matrices).view(np.float64).reshape(-1, 8),
            "gates": np.array(self.gates, np.int64).reshape(-1, 2),
            "affine": np.array(self.affine, np.float64).reshape(-1, 2),
            "cycles": np.array(self.cycles, np.int64),
            "cycle_starts": np.array(self.cycle_starts, np.int64),
            "phases": np.ascontiguousarray(np.stack([phases.real, phases.imag], axis=1)),
        }

    def runs_with_rows(self, code: Sequence[tuple[int, int, int, int]]) -> IntArray:
        """1 for each RUN that holds an angle bound by the row, else 0."""
        flags = [
            kind == RUN and any(k != MATRIX and self.gates[ref][0] for k, ref in self.elements[a:b])
            for kind, _, a, b in code
        ]
        return np.array(flags, np.int64)


def _fixed_matrix(op: Op) -> ComplexArray:
    if op.gate in FIXED:
        return _MATRICES[op.gate]
    pauli = _MATRICES[op.gate[1]]
    half = op.angles[0].offset / 2
    matrix: ComplexArray = np.cos(half) * np.eye(2) - 1j * np.sin(half) * pauli
    return matrix


def _preimage(source: IntArray, op: Op) -> IntArray:
    """Where amplitude j came from before the CX or SWAP `op`, for each j in `source`."""
    a, b = op.qubits
    if op.gate == "cx":
        return source ^ ((source >> a & 1) << b)
    differ = (source >> a ^ source >> b) & 1
    return source ^ (differ << a | differ << b)


def _diagonal(n_qubits: int, ops: list[Op]) -> ComplexArray:
    """The phases of CZ and constant RZZ gates, one after the other."""
    index = np.arange(2**n_qubits)
    phases = np.ones(2**n_qubits, complex)
    for op in ops:
        a, b = op.qubits
        if op.gate in ENTANGLERS:
            phases[(index >> a & index >> b & 1) == 1] *= -1
        else:
            sign = 1 - 2 * ((index >> a ^ index >> b) & 1)
            phases *= np.exp(-0.5j * op.angles[0].offset * sign)
    return phases


def _terms(observables: tuple[Observable, ...]) -> tuple[IntArray, FloatArray]:
    rows, coefficients = [], []
    for index, observable in enumerate(observables):
        for term in observable.terms:
            rows.append((term.x, term.z, (term.x & term.z).bit_count() % 4, index))
            coefficients.append(term.coefficient)
    return np.array(rows, np.int64).reshape(-1, 4), np.array(coefficients, np.float64)
