"""The gate set: every name a template may use, with its number of qubits and angles.

Names and conventions are OpenQASM 3's and Qiskit's: for controlled gates the control comes first,
rotations are exp(−iθG/2). What each gate does to a state is written once, as a plain matrix, in
`simulate/reference.py`; `lower.py` rewrites all of them in the few that the fast engine runs.
"""

from __future__ import annotations

from typing import NamedTuple


class GateSpec(NamedTuple):
    """How many qubits a gate acts on and how many angles it takes."""

    n_qubits: int
    n_angles: int


GATES: dict[str, GateSpec] = {
    **dict.fromkeys(("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg"), GateSpec(1, 0)),
    **dict.fromkeys(("rx", "ry", "rz", "p"), GateSpec(1, 1)),
    "u": GateSpec(1, 3),
    **dict.fromkeys(("cx", "cy", "cz", "ch", "swap", "iswap"), GateSpec(2, 0)),
    **dict.fromkeys(("cp", "crx", "cry", "crz", "rxx", "ryy", "rzz"), GateSpec(2, 1)),
    "ccx": GateSpec(3, 0),
}
