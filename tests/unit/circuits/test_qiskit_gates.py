"""Every gate and operation that a Qiskit circuit may hold, in our gates, or refused by its name."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import (
    AnnotatedOperation,
    ControlModifier,
    ForLoopOp,
    Gate,
    Instruction,
    InverseModifier,
    Parameter,
    ParameterVector,
    PowerModifier,
)
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import (
    CCXGate,
    CPhaseGate,
    CUGate,
    DiagonalGate,
    HamiltonianGate,
    HGate,
    LinearFunction,
    MCPhaseGate,
    MCXGate,
    MSGate,
    PauliEvolutionGate,
    PauliGate,
    PermutationGate,
    QFTGate,
    RVGate,
    RXGate,
    RYGate,
    StatePreparation,
    UCRYGate,
    UGate,
    XGate,
    get_standard_gate_name_mapping,
)
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Clifford, SparsePauliOp, random_unitary

from qstore_ray.circuits.qiskit.qiskit import from_qiskit
from qstore_ray.circuits.template import Op
from qstore_ray.errors import CircuitError, ResourceError
from tests.circuit_states import overlap

P = ParameterVector("t", 4)
STANDARD = {
    name: gate.base_class(*P[: len(gate.params)]) if gate.params else gate
    for name, gate in get_standard_gate_name_mapping().items()
    if isinstance(gate, Gate) and name != "global_phase"
}
TRAINED = [name for name, gate in STANDARD.items() if gate.params]


def _around(operation: Instruction, n_qubits: int | None = None) -> QuantumCircuit:
    """The operation on entangled qubits in an order that is not theirs."""
    n = n_qubits or operation.num_qubits
    circuit = QuantumCircuit(n + 1)
    for qubit in range(n + 1):
        circuit.ry(0.3 + 0.4 * qubit, qubit)
        circuit.rz(0.1 + 0.7 * qubit, qubit)
    circuit.cx(0, n)
    circuit.append(operation, list(range(n))[::-1])
    return circuit


def _is_right(theirs: QuantumCircuit, seed: int = 0) -> bool:
    circuit = from_qiskit(theirs)
    assert circuit.template.n_params == theirs.num_parameters
    values = np.random.default_rng(seed).uniform(-3, 3, theirs.num_parameters)
    return abs(overlap(circuit, theirs, values) - 1) < 1e-12


@pytest.mark.parametrize("name", STANDARD)
def test_every_standard_gate_is_read_with_trained_angles(name: str):
    assert _is_right(_around(STANDARD[name]))


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("state", [0, 1])
def test_every_standard_gate_is_read_under_a_control(name: str, state: int):
    assert _is_right(_around(STANDARD[name].control(1, ctrl_state=state)))


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize(
    "modifier", [ControlModifier(1), InverseModifier(), PowerModifier(2)], ids=["c", "inv", "pow"]
)
def test_every_standard_gate_is_read_with_annotations(name: str, modifier):
    assert _is_right(_around(AnnotatedOperation(STANDARD[name], [modifier])))


def _bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.s(1)
    return circuit


def _own() -> Gate:
    circuit = QuantumCircuit(2)
    circuit.rx(P[0], 0)
    circuit.cry(P[1], 0, 1)
    circuit.global_phase = 0.4
    return circuit.to_gate()


OPERATIONS = {
    "annotated controls": RYGate(P[0]).control(2, annotated=True),
    "annotated power": XGate().power(0.5, annotated=True),
    "annotated control of one's own": _own().control(1, annotated=True),
    "control of one's own": _own().control(1),
    "open control of one's own": _own().control(1, ctrl_state=0),
    "inverse of one's own": _own().inverse(),
    "repeated": _own().repeat(3),
    "clifford": Clifford(_bell()),
    "constant rv": RVGate(0.1, 0.2, 0.3),
    "constant hamiltonian": HamiltonianGate([[0, 1], [1, 0]], 0.3),
    "constant cu": CUGate(0.1, 0.2, 0.3, 0.4),
    "two controls": UGate(0.1, 0.2, 0.3).control(2),
    "mcphase": MCPhaseGate(P[0], 3),
    "mcx": MCXGate(4),
    "open ccx": CCXGate(ctrl_state=1),
    "rx of three controls": RXGate(P[0]).control(3),
    "ms": MSGate(3, P[0]),
    "evolution": PauliEvolutionGate(SparsePauliOp(["ZZ", "IZ"], [1.0, 0.5]), P[0]),
    "qft": QFTGate(3),
    "permutation": PermutationGate([2, 0, 1]),
    "linear function": LinearFunction([[1, 1], [0, 1]]),
    "paulis": PauliGate("XYZ"),
    "diagonal": DiagonalGate([1, 1j, -1, 1]),
    "multiplexer": UCRYGate([0.1, 0.2]),
    "state": StatePreparation([0.6, 0.8j]),
    "matrix": random_unitary(8, seed=1).to_instruction(),
}


@pytest.mark.parametrize("what", OPERATIONS)
def test_what_has_a_definition_or_a_synthesis_is_read(what: str):
    operation = OPERATIONS[what]
    assert _is_right(_around(operation, operation.num_qubits))


@pytest.mark.parametrize("seed", range(20))
def test_random_circuits_have_the_state_that_qiskit_has(seed: int):
    theirs = random_circuit(2 + seed % 3, 5, max_operands=2 + seed % 2, seed=seed)
    assert _is_right(theirs)


def test_gates_stay_in_their_order():
    """Also around gates that are written in others."""
    circuit = QuantumCircuit(3)
    circuit.x(2)
    circuit.swap(0, 1)
    circuit.dcx(0, 1)
    circuit.h(2)
    circuit.y(0)
    names = [op.gate for op in from_qiskit(circuit).template.ops]
    assert names == ["x", "swap", "cx", "cx", "h", "y"]


class _KeyedGate(Gate):
    """A user's gate whose definition fails in its own way."""

    def __init__(self) -> None:
        super().__init__("keyed", 1, [])

    def _define(self) -> None:
        raise KeyError("no such angle")


class _ClosedInstruction(Instruction):
    def __init__(self) -> None:
        super().__init__("closed", 1, 0, [])

    def _define(self) -> None:
        raise OSError("the file is closed")


class _EndlessGate(Gate):
    def __init__(self) -> None:
        super().__init__("endless", 1, [])

    def _define(self) -> None:
        self.definition = QuantumCircuit(1)
        self.definition.append(_EndlessGate(), [0])


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (RVGate(P[0], P[1], P[2]), "rv.*unbound parameters"),
        (HamiltonianGate([[0, 1], [1, 0]], P[0]), "hamiltonian cannot be decomposed"),
        (_KeyedGate(), "keyed cannot be decomposed: no such angle"),
        (_ClosedInstruction(), "closed cannot be decomposed: the file is closed"),
        (_EndlessGate(), "too deep"),
        (Gate("oracle", 1, []), "no decomposition of oracle"),
        (Gate("oracle", 1, [P[0]]), "no decomposition of oracle"),
        (Gate("oracle", 2, []).control(1, annotated=True), "oracle"),
        (Instruction("classical", 1, 1, []), "classical"),
    ],
)
def test_what_cannot_be_decomposed_is_named(operation: Instruction, message: str):
    circuit = QuantumCircuit(operation.num_qubits, operation.num_clbits)
    circuit.append(operation, circuit.qubits, circuit.clbits)
    with pytest.raises(CircuitError, match=message) as error:
        from_qiskit(circuit)
    assert error.value.exit_code == 2


def test_a_controlled_u_keeps_its_angles_apart():
    circuit = QuantumCircuit(2)
    circuit.cu(*P, 0, 1)
    ops = from_qiskit(circuit).template.ops
    assert [op.gate for op in ops] == ["p", "p", "p", "crz", "cry", "crz"]
    circuit = QuantumCircuit(2)
    circuit.append(CPhaseGate(P[0]), [0, 1])
    assert [op.gate for op in from_qiskit(circuit).template.ops] == ["cp"]


def _prepared() -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    circuit.initialize(np.array([1, 2j, 0, -1]) / math.sqrt(6), [2, 0])
    circuit.prepare_state("+", 1)
    return circuit


def _resets() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 1)
    circuit.reset([0, 1])
    circuit.h(0)
    circuit.reset(1)
    circuit.delay(100, 0)
    circuit.barrier()
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    circuit.barrier()
    circuit.measure(1, 0)
    return circuit


def _loops() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    angle = Parameter("i")
    with circuit.for_loop(range(3), angle):
        circuit.rx(angle * P[0], 0)
        with circuit.for_loop((0, 2)):
            circuit.cx(0, 1)
        circuit.ry(0.3, 1)
    with circuit.box():
        circuit.h(1)
    return circuit


@pytest.mark.parametrize("build", [_resets, _loops])
def test_what_has_no_effect_is_dropped_and_loops_are_unrolled(build):
    circuit = from_qiskit(build())
    expected = QuantumCircuit(2)
    if build is _resets:
        expected.h(0)
        expected.cx(0, 1)
    else:
        for k in range(3):
            expected.rx(k * P[0], 0)
            expected.ry(0.3, 1)
        expected.h(1)
    assert overlap(circuit, expected, np.full(expected.num_parameters, 0.4)) == pytest.approx(1)


def test_a_state_at_the_start_is_prepared_by_gates():
    theirs = _prepared()
    plain = QuantumCircuit(3)
    plain.append(StatePreparation(np.array([1, 2j, 0, -1]) / math.sqrt(6)), [2, 0])
    plain.h(1)
    assert overlap(from_qiskit(theirs), plain) == pytest.approx(1, abs=1e-12)


def _circuit(*steps: str) -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    for step in steps:
        match step:
            case "initialize":
                circuit.initialize([0, 1], 0)
            case "measure":
                circuit.measure(0, 0)
            case "if":
                with circuit.if_test((circuit.clbits[0], 1)):
                    circuit.x(1)
            case "while":
                with circuit.while_loop((circuit.clbits[0], 1)):
                    circuit.x(1)
            case "switch":
                with circuit.switch(circuit.clbits[0]) as case, case(1):
                    circuit.x(1)
            case _:
                getattr(circuit, step)(0)
    return circuit


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (("h", "reset"), "reset of qubit 0"),
        (("measure", "reset"), "reset of qubit 0"),
        (("h", "initialize"), "initialize of qubit 0"),
        (("measure", "h"), "h acts on qubit 0 after its measurement: mid-circuit"),
        (("measure", "if"), "if_else"),
        (("measure", "while"), "while_loop"),
        (("measure", "switch"), "switch_case"),
    ],
)
def test_what_would_need_a_measurement_in_the_middle_is_refused(steps, message: str):
    with pytest.raises(CircuitError, match=message):
        from_qiskit(_circuit(*steps))


def test_gates_on_too_many_qubits_are_refused():
    circuit = QuantumCircuit(1100)
    circuit.h(range(1001))
    with pytest.raises(ResourceError, match="more than 1,000 qubits"):
        from_qiskit(circuit)


def test_a_gate_named_as_one_of_qiskits_is_what_it_says_it_is():
    body = QuantumCircuit(1)
    body.append(HGate(), [0])
    gate = body.to_gate()
    for name in ("id", "cu", "barrier", "reset", "initialize", "global_phase"):
        circuit = QuantumCircuit(1)
        gate.name = name
        circuit.append(gate, [0])
        assert from_qiskit(circuit).template.ops == (Op("h", (0,)),)


class _Broken(Gate):
    def _define(self):
        raise ValueError(f"'{self.label}'")


def test_the_reason_of_a_gate_that_cannot_be_decomposed_is_told_whole():
    """Quotes around it go; its words stay."""
    circuit = QuantumCircuit(1)
    circuit.append(_Broken("mine", 1, [], label="X needs Y and X"), [0])
    with pytest.raises(CircuitError, match="the gate mine cannot be decomposed: ") as caught:
        from_qiskit(circuit)
    assert caught.value.message.endswith(": X needs Y and X")


def test_qubits_of_a_transpiled_circuit_are_in_the_order_from_before():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    line = [[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2]]
    device = transpile(
        circuit, coupling_map=line, initial_layout=[3, 2], optimization_level=0, seed_transpiler=0
    )
    found = from_qiskit(device)
    assert found.wires == (3, 2)
    assert [(op.gate, op.qubits) for op in found.template.ops] == [("h", (0,)), ("cx", (0, 1))]


def test_a_loop_over_a_classical_variable_is_refused():
    number = expr.Var.new("i", types.Uint(8))
    body = QuantumCircuit(1, inputs=[number])
    body.h(0)
    circuit = QuantumCircuit(1)
    circuit.append(ForLoopOp(range(2), number, body), [0])
    with pytest.raises(CircuitError, match="for_loop over a classical variable") as caught:
        from_qiskit(circuit)
    assert (caught.value.value, caught.value.fix) == ("for_loop", "")
