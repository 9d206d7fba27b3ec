"""What a circuit takes on a fault-tolerant computer: logical counts here, the machine by `qdk`.

A gate whose angle is a multiple of π/2 is a Clifford gate, which a surface code does cheaply. Every
other rotation exp(−iθP/2) is synthesised from T gates, whose magic states need most of the machine.
So the circuit is counted as rotations and T gates after its Clifford gates have been taken out
(`PauliFrame` with quarter turns), and Microsoft's resource estimator (Beverland et al.,
arXiv:2211.07629) says how many physical qubits, which code distance and how many seconds that takes
for an error budget. The estimator is the package `qdk`, the extra `fault-tolerant`; it counts its
users over the network unless it is told not to, which is done here before it is imported.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.errors import ConfigError, not_installed_error
from qstore_ray.simulate.compile.frame import pauli_rotations

if TYPE_CHECKING:
    from qstore_ray.circuits.template import Template
    from qstore_ray.simulate.compile.rotations import Rotation

QUBITS = (
    "qubit_gate_ns_e3",
    "qubit_gate_ns_e4",
    "qubit_gate_us_e3",
    "qubit_gate_us_e4",
    "qubit_maj_ns_e4",
    "qubit_maj_ns_e6",
)
"""The estimator's models of physical qubits: gates or Majorana, time scale, error rate 10^-k."""

ERROR_BUDGET = 1e-3

_EIGHTH = math.pi / 4
_ROUNDING = 1e-12


class LogicalCircuit(NamedTuple):
    """A circuit as a fault-tolerant computer counts it, for angles in general position.

    Attributes:
        qubits: n. rotations: gates by an angle that is not fixed to a multiple of π/4.
        rotation_depth: layers of them, if those that share no qubit run together.
        t_gates: by an odd multiple of π/4.
    """

    qubits: int
    rotations: int
    rotation_depth: int
    t_gates: int


class FaultTolerantCost(NamedTuple):
    """One execution of a circuit within an error budget.

    Attributes:
        logical: its counts. t_states: magic states, of which each rotation takes several.
        physical_qubits: of the whole machine. factory_qubits: those that make magic states.
        code_distance: of the surface code. seconds: of one execution, without any classical step.
        error_budget: the probability that the execution fails. qubit: the model, of `QUBITS`.
    """

    logical: LogicalCircuit
    t_states: int
    physical_qubits: int
    factory_qubits: int
    code_distance: int
    seconds: float
    error_budget: float
    qubit: str


def logical_circuit(template: Template) -> LogicalCircuit:
    """The counts of a circuit; angles of rows and parameters are taken to be no special ones."""
    found, _ = pauli_rotations(template, (), quarter_turns=True)
    turns = [each for each in found if _eighths(each) is None]
    t_gates = [each for each in found if _eighths(each) is not None]
    return LogicalCircuit(template.n_qubits, len(turns), _layers(turns), len(t_gates))


def fault_tolerant_cost(
    template: Template, *, error_budget: float = ERROR_BUDGET, qubit: str = QUBITS[0]
) -> FaultTolerantCost:
    """What one execution of a circuit takes, with all qubits measured at its end.

    Raises:
        ConfigError: an unknown qubit, a budget that is no probability, or one that no code reaches.
        QStoreError: `qdk` is not installed.
    """
    check_qubit(qubit)
    if not 0.0 < error_budget < 1.0:
        raise ConfigError(
            "a probability of failure lies between 0 and 1",
            field="error_budget",
            value=error_budget,
            fix=f"Give a small one, for example {ERROR_BUDGET}.",
        )
    os.environ.setdefault("QDK_PYTHON_TELEMETRY", "none")
    try:
        from qdk.estimator import EstimatorError, LogicalCounts
    except ImportError as exc:
        raise not_installed_error(
            "qdk", "fault-tolerant", what="a fault-tolerant estimate"
        ) from exc
    logical = logical_circuit(template)
    counts = LogicalCounts(
        {
            "numQubits": logical.qubits,
            "tCount": logical.t_gates,
            "rotationCount": logical.rotations,
            "rotationDepth": logical.rotation_depth,
            "measurementCount": logical.qubits,
        }
    )
    try:
        found = counts.estimate({"errorBudget": error_budget, "qubitParams": {"name": qubit}})
    except EstimatorError as exc:
        raise ConfigError(
            f"no code of the estimator reaches the error budget: {exc}",
            field="error_budget",
            value=error_budget,
            fix="Allow a larger probability of failure, or take better qubits.",
        ) from exc
    physical, parts = found["physicalCounts"], found["physicalCounts"]["breakdown"]
    return FaultTolerantCost(
        logical=logical,
        t_states=int(parts["numTstates"]),
        physical_qubits=int(physical["physicalQubits"]),
        factory_qubits=int(parts["physicalQubitsForTfactories"]),
        code_distance=int(found["logicalQubit"]["codeDistance"]),
        seconds=float(physical["runtime"]) * 1e-9,
        error_budget=error_budget,
        qubit=qubit,
    )


def check_qubit(qubit: str) -> None:
    """Raise `ConfigError` for the name of a qubit that the estimator does not have."""
    if qubit not in QUBITS:
        raise ConfigError("no such qubit", field="qubit", value=qubit, fix=f"Take one of {QUBITS}.")


def _eighths(rotation: Rotation) -> int | None:
    """A fixed angle as a multiple of π/4; None of an angle that varies, or is no multiple."""
    if rotation.angle.terms:
        return None
    eighths = round(rotation.angle.offset / _EIGHTH)
    return eighths if abs(rotation.angle.offset - eighths * _EIGHTH) < _ROUNDING else None


def _layers(rotations: Sequence[Rotation]) -> int:
    """Layers of rotations, each as early as the qubits of its string are free."""
    free: dict[int, int] = {}
    for x, z, _ in rotations:
        qubits = [q for q in range((x | z).bit_length()) if (x | z) >> q & 1]
        after = 1 + max((free.get(q, 0) for q in qubits), default=0)
        free.update(dict.fromkeys(qubits, after))
    return max(free.values(), default=0)
