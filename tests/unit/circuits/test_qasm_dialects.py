"""Gates that only some programs write, each against the matrix that its makers publish."""

from __future__ import annotations

import cmath
import math
from math import pi

import numpy as np
import pytest

from qstore_ray.circuits.qasm.gates import dialect_text, standard_gates
from qstore_ray.circuits.qasm.reader import from_text
from qstore_ray.circuits.template import Op
from qstore_ray.errors import CircuitError
from tests.circuit_states import V2, equal_up_to_phase, matrix_of, same_state

A, B, C = 0.7, -0.4, 1.3
E = cmath.exp(1j * A)
X, Y, Z, ONE = (
    np.array(m, complex)
    for m in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]], np.eye(2))
)  # fmt: skip


def _turn(angle: float, pauli: np.ndarray) -> np.ndarray:
    """exp(−i·angle·P/2)."""
    return math.cos(angle / 2) * np.eye(len(pauli)) - 1j * math.sin(angle / 2) * pauli


def _r(theta: float, phi: float) -> np.ndarray:
    return _turn(theta, math.cos(phi) * X + math.sin(phi) * Y)


def _ms(f: float, g: float, theta: float) -> np.ndarray:
    c, s = math.cos(theta / 2), -1j * math.sin(theta / 2)
    plus, minus = cmath.exp(1j * (f + g)), cmath.exp(1j * (f - g))
    return np.array(
        [[c, 0, 0, s / plus], [0, c, s / minus, 0], [0, s * minus, c, 0], [s * plus, 0, 0, c]]
    )


def _controlled(u: np.ndarray) -> np.ndarray:
    out = np.eye(2 * len(u), dtype=complex)
    out[len(u) :, len(u) :] = u
    return out


SX = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
S, T = np.diag([1, 1j]), np.diag([1, cmath.exp(0.25j * math.pi)])
SWAP = np.eye(4)[[0, 2, 1, 3]]
XX, YY, ZZ = (np.kron(p, p) for p in (X, Y, Z))
XY = np.array(
    [[1, 0, 0, 0], [0, math.cos(A / 2), 1j * math.sin(A / 2), 0],
     [0, 1j * math.sin(A / 2), math.cos(A / 2), 0], [0, 0, 0, 1]]
)  # fmt: skip
# Columns of Braket's ECR gate, as its documentation prints it.
ECR = np.array([[0, 0, 1, 1j], [0, 0, 1j, 1], [1, -1j, 0, 0], [-1j, 1, 0, 0]]) / math.sqrt(2)

MATRICES = {
    "i": (1, ONE), "si": (1, S.conj()), "ti": (1, T.conj()), "v": (1, SX), "vi": (1, SX.conj().T),
    "cnot": (2, _controlled(X)), "cv": (2, _controlled(SX)),
    "ccnot": (3, _controlled(_controlled(X))),
    "toffoli": (3, _controlled(_controlled(X))), "CX": (2, _controlled(X)),
    "phaseshift(A)": (1, np.diag([1, E])), "phase(A)": (1, np.diag([1, E])),
    "cphaseshift(A)": (2, np.diag([1, 1, 1, E])), "cphase(A)": (2, np.diag([1, 1, 1, E])),
    "cphaseshift00(A)": (2, np.diag([E, 1, 1, 1])), "cphaseshift01(A)": (2, np.diag([1, E, 1, 1])),
    "cphaseshift10(A)": (2, np.diag([1, 1, E, 1])),
    "xx(A)": (2, _turn(A, XX)), "yy(A)": (2, _turn(A, YY)), "zz(A)": (2, _turn(A, ZZ)),
    "xy(A)": (2, XY), "iswap": (2, np.diag([1, 1j, 1j, 1]) @ SWAP),
    "iswapdg": (2, np.diag([1, -1j, -1j, 1]) @ SWAP),
    "pswap(A)": (2, np.diag([1, E, E, 1]) @ SWAP), "ecr": (2, ECR),
    "gpi(A)": (1, np.array([[0, E.conjugate()], [E, 0]])), "gpi2(A)": (1, _r(math.pi / 2, A)),
    "prx(A, B)": (1, _r(A, B)), "U1q(A, B)": (1, _r(A, B)), "PhasedX(A, B)": (1, _r(A, B)),
    "ms(A, B, C)": (2, _ms(A, B, C)), "ms(A, B)": (2, _ms(A, B, math.pi / 2)),
    "Rx(A)": (1, _turn(A, X)), "Ry(A)": (1, _turn(A, Y)), "Rz(A)": (1, _turn(A, Z)),
    "ZZ": (2, _turn(math.pi / 2, ZZ)), "ZZMax": (2, _turn(math.pi / 2, ZZ)),
    "ZZPhase(A)": (2, _turn(A, ZZ)), "RZZ(A)": (2, _turn(A, ZZ)),
    "Rxxyyzz(A, B, C)": (2, _turn(A, XX) @ _turn(B, YY) @ _turn(C, ZZ)),
    "u0(A)": (1, ONE),
    "U(A, B, C)": (1, _turn(B, Z) @ _turn(A, Y) @ _turn(C, Z)),
    "mcx": (3, _controlled(_controlled(X))),
    "mcphase(A)": (3, np.diag([1, 1, 1, 1, 1, 1, 1, E])),
    "c3x": (4, _controlled(_controlled(_controlled(X)))),
    "c3sqrtx": (4, _controlled(_controlled(_controlled(SX)))),
}  # fmt: skip


def _call(gate: str, n: int) -> str:
    for name, value in (("A", A), ("B", B), ("C", C)):
        head, bracket, angles = gate.partition("(")
        gate = head + bracket + angles.replace(name, repr(value))
    return f"{gate} {', '.join(f'q[{k}]' for k in range(n))};"


@pytest.mark.parametrize("gate", MATRICES)
@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_a_gate_of_a_dialect_is_its_published_matrix(gate: str, version: str):
    n, matrix = MATRICES[gate]
    declared = f"qubit[{n}] q;" if version == "3.0" else f"qreg q[{n}];"
    found = matrix_of(f"OPENQASM {version};\n{declared}\n{_call(gate, n)}", n)
    assert equal_up_to_phase(found, matrix)


@pytest.mark.parametrize("gate", MATRICES)
def test_a_controlled_gate_of_a_dialect_keeps_its_phase(gate: str):
    """Exact, not up to a phase: behind `ctrl @` a phase is seen."""
    n, matrix = MATRICES[gate]
    if n > 2 or gate.startswith("U("):  # slow to synthesise; U has Qiskit's own phase
        n, matrix, gate = 1, SX, "v"
    text = f"OPENQASM 3.0;\nqubit[{n + 1}] q;\nctrl @ {_call(gate, n + 1)}"
    assert equal_up_to_phase(matrix_of(text, n + 1), _controlled(matrix))


def test_every_gate_of_the_table_has_a_matrix_here():
    defined = {line.split()[1].partition("(")[0] for line in dialect_text().splitlines() if line}
    repeated = {"rc3x"}  # Qiskit's own under an older name
    assert defined - repeated == {gate.partition("(")[0] for gate in MATRICES} & defined
    assert not defined & standard_gates().keys()


BRAKET = """OPENQASM 3.0;
bit[3] b;
qubit[3] q;
#pragma braket result state_vector
h q[0];
cnot q[0], q[1];
phaseshift(0.25) q[1];
#pragma braket verbatim
box{
v q[2];
}
b[0] = measure q[0];
b[1] = measure q[1];
"""
CIRQ = """// Generated from Cirq v1.7.0

OPENQASM 2.0;
include "qelib1.inc";


// Qubits: [q(0), q(1)]
qreg q[2];
creg m_result_0[1];


// Gate: PhasedXZGate
u3(pi*0.5,pi*0.0954929659,pi*1.5) q[0];
rz(pi*0.25) q[1];
sxdg q[1];

measure q[1] -> m_result_0[0];
"""
PYTKET = """OPENQASM 2.0;
include "hqslib1.inc";

qreg q[2];
gate iswap(param0) q0,q1 {
rxx(param0/2) q0,q1;
ryy(param0/2) q0,q1;
}
U1q(0.5*pi,0.25*pi) q[0];
RZZ(0.5*pi) q[0],q[1];
iswap(0.5*pi) q[0],q[1];
"""


@pytest.mark.parametrize(
    ("text", "plain", "n_qubits"),
    [
        (BRAKET, "h 0; cx 0 1; p 0.25 1; sx 2", 3),
        (CIRQ, f"u {pi / 2} 0.30000000014094064 {3 * pi / 2} 0; rz {pi / 4} 1; sxdg 1", 2),
        (PYTKET, f"r {pi / 2} {pi / 4} 0; rzz {pi / 2} 0 1; rxx {pi / 4} 0 1; ryy {pi / 4} 0 1", 2),
    ],
    ids=["Braket", "Cirq", "pytket"],
)  # fmt: skip
def test_what_other_programs_write_is_read(text: str, plain: str, n_qubits: int):
    assert same_state(text, plain, n_qubits)


def test_sxdg_of_cirq_in_openqasm_3_is_read():
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[1] q;\nsxdg q[0];\n'
    assert from_text(text).template.ops == (Op("sxdg", (0,)),)


@pytest.mark.parametrize(("gate", "near"), [("CNOT q[0],q[1]", "cnot"), ("Hh q[0]", "h")])
def test_an_unknown_gate_is_named_with_the_nearest(gate: str, near: str):
    with pytest.raises(CircuitError, match="line 4") as error:
        from_text(f"{V2}qreg q[2];\n{gate};")
    assert near in error.value.fix
    assert gate.partition(" ")[0] == error.value.value
