"""A case as a PennyLane quantum function, for the two peers that run on PennyLane.

PennyLane's first wire is the most significant bit; here wires carry the numbers of the qubits, and
an initial state is loaded with the wires in reverse. u(θ, φ, λ) is Rot(λ, θ, φ) up to a phase.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import matmul
from typing import Any

import pennylane as qml
from protocol import Case, Unsupported

GATES: dict[str, Callable[..., Any]] = {
    "h": qml.Hadamard,
    "rx": qml.RX,
    "ry": qml.RY,
    "rz": qml.RZ,
    "p": qml.PhaseShift,
    "cx": qml.CNOT,
    "cz": qml.CZ,
    "crx": qml.CRX,
    "cry": qml.CRY,
    "crz": qml.CRZ,
    "rzz": qml.IsingZZ,
}


def function(case: Case, *, summed: bool = False) -> Callable[..., Any]:
    """The quantum function of (row slots, parameters, amplitudes); a row slot may be a column.

    Args:
        summed: it gives Σ_o w_o ⟨O_o⟩, as one observable.
    """
    observables = [reduce(matmul, (qml.Z(q) for q in qubits)) for qubits in case.observables]
    unknown = {op.gate for op in case.ops} - set(GATES) - {"u"}
    if unknown:
        raise Unsupported(f"no translation of {', '.join(sorted(unknown))}")

    def circuit(row: Any, params: Any, amplitudes: Any) -> Any:
        if amplitudes is not None:
            wires = range(case.n_qubits)[::-1]
            qml.StatePrep(amplitudes, wires=wires, validate_norm=False)
        for op in case.ops:
            angles = [angle.value(row, params) for angle in op.angles]
            if op.gate == "u":
                theta, phi, lam = angles
                qml.Rot(lam, theta, phi, wires=op.qubits)
            else:
                GATES[op.gate](*angles, wires=list(op.qubits))
        if summed:
            return qml.expval(qml.Hamiltonian(case.w, observables))
        return [qml.expval(observable) for observable in observables]

    return circuit
