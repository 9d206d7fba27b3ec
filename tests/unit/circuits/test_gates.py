"""Gates by name in OpenQASM, and the gates of Qiskit's circuits in gates of our table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import (
    AnnotatedOperation,
    Gate,
    Instruction,
    InverseModifier,
    ParameterVector,
    library,
)
from qiskit.quantum_info import Operator, Statevector

from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.qasm.gates import (
    MS_DEFAULT,
    Applied,
    Modifier,
    check_call,
    modified,
    nearest,
    phase,
    standard_gate,
    standard_gates,
)
from qstore_ray.circuits.qiskit.gates import in_our_gates
from qstore_ray.errors import CircuitError
from tests.circuit_states import equal_up_to_phase

P = ParameterVector("t", 4)


# ----------------------------------------------------------------------------------- of OpenQASM


def test_a_standard_gate_has_the_angles_that_it_is_given():
    for name, angles, n_qubits, expected in (
        ("rx", [0.5], 1, library.RXGate(0.5)),
        ("u", [0.1, 0.2, 0.3], 1, library.UGate(0.1, 0.2, 0.3)),
        ("h", [], 1, library.HGate()),
        ("c3x", [], 4, library.C3XGate()),
        ("c4x", [], 5, library.C4XGate()),
        ("mcx", [], 2, library.CXGate()),
        ("mcx", [], 3, library.CCXGate()),
        ("mcx_gray", [], 6, library.MCXGate(5)),
        ("mcphase", [0.5], 2, library.CPhaseGate(0.5)),
        ("mcp", [0.5], 3, library.MCPhaseGate(0.5, 2)),
        ("mcu1", [0.5], 4, library.MCPhaseGate(0.5, 3)),
    ):
        found = standard_gate(name, angles, n_qubits)
        assert found is not None
        assert (found.num_qubits, found.params) == (n_qubits, angles)
        np.testing.assert_allclose(Operator(found).data, Operator(expected).data, atol=1e-12)
    assert standard_gate("frob", [], 1) is None
    assert standard_gate("global_phase", [0.5], 0) is None
    assert not {"global_phase", "measure", "reset", "delay"} & standard_gates().keys()


def test_a_gate_takes_its_number_of_angles_and_qubits():
    for call, message in (
        ((0, 1, 1, 2), "takes 1 angle and 2 qubits, not 0 and 1"),
        ((1, 2, 0, 1), "takes 0 angles and 1 qubit, not 1 and 2"),
        ((2, 1, 3, 1), "takes 3 angles and 1 qubit, not 2 and 1"),
    ):
        with pytest.raises(ValueError, match=f"^{message}$"):
            check_call(*call)
    check_call(1, 2, 1, 2)
    for name, angles, n in (("rx", [], 1), ("rx", [1.0], 2), ("mcx", [], 1), ("mcp", [], 2)):
        with pytest.raises(ValueError, match=r"^takes "):
            standard_gate(name, angles, n)


def test_the_nearest_name_is_a_hint_whatever_its_case():
    assert nearest("CNOTT", ["cnot", "h"]) == "Did you mean cnot? "
    assert nearest("Rx", ["RX", "ry"]) == "Did you mean RX? "
    assert nearest("rxx", ["rx", "Rxx", "rxx"]) == "Did you mean Rxx? "
    assert nearest("zzzz", ["h", "cx"]) == ""
    assert nearest("h", []) == ""


def _names(ops: list[Applied]) -> list[tuple[str, list[float], tuple[int, ...]]]:
    return [(op.gate.name, op.gate.params, op.qubits) for op in ops]


def test_a_modifier_changes_every_gate_that_it_stands_before():
    rx, s = Applied(library.RXGate(0.5), (0,)), Applied(library.SGate(), (1,))
    both = [rx, s]
    assert _names(modified(both, Modifier("inv"), ())) == [
        ("sdg", [], (1,)),
        ("rx", [-0.5], (0,)),
    ]
    assert modified(both, Modifier("pow", 3), ()) == both * 3
    assert modified(both, Modifier("pow", 0), ()) == []
    assert modified(both, Modifier("pow", 64), ()) == both * 64
    assert _names(modified([rx], Modifier("pow", 65), ())) == [("rx", [32.5], (0,))]
    assert _names(modified([rx], Modifier("pow", -65), ())) == [("rx", [-32.5], (0,))]
    assert modified([rx], Modifier("pow", 2.0), ()) == [rx, rx]
    assert _names(modified([rx], Modifier("pow", -1), ())) == [("rx", [-0.5], (0,))]
    assert _names(modified([rx], Modifier("pow", 0.5), ())) == [("rx", [0.25], (0,))]
    assert _names(modified([phase(0.5)], Modifier("pow", 0.5), ())) == [
        ("global_phase", [0.25], ())
    ]
    half = modified(both, Modifier("pow", 0.5), ())
    assert [op.qubits for op in half] == [(0, 1)]
    assert len(modified([rx], Modifier("ctrl", 1), (3,))) == 1
    (controlled,) = modified([rx], Modifier("ctrl", 1), (3,))
    assert (controlled.qubits, controlled.gate.num_qubits) == ((3, 0), 2)
    (opened,) = modified([rx], Modifier("negctrl", 1), (3,))
    assert opened.gate.ctrl_state == 0
    many = [rx] * 1563
    with pytest.raises(ValueError, match=r"^the power repeats too many gates$"):
        modified(many, Modifier("pow", -64), ())
    assert len(modified([rx] * 1562, Modifier("pow", 64), ())) == 99_968


@pytest.mark.parametrize("name", ["rx", "ry", "rz", "p", "rxx", "rzx", "cp", "crx", "cry", "crz"])
@pytest.mark.parametrize("exponent", [0.5, -1.5, 100])
def test_a_power_of_a_rotation_scales_its_angle(name: str, exponent: float):
    gate = standard_gate(name, [0.3], standard_gates()[name].num_qubits)
    ops = [Applied(gate, tuple(range(gate.num_qubits)))]
    assert _names(modified(ops, Modifier("pow", exponent), ())) == [
        (name, [exponent * 0.3], ops[0].qubits)
    ]


def test_a_broken_power_of_what_has_none_is_refused():
    w = P[0]
    for ops, message in (
        ([Applied(library.UGate(w, 0, 0), (0,))], "of a gate with parameters"),
        ([Applied(library.RXGate(w), (0,)), Applied(library.HGate(), (0,))], "with parameters"),
        ([Applied(library.HGate(), (k,)) for k in range(7)], "on more than six qubits"),
    ):
        with pytest.raises(ValueError, match=f"^a broken power .*{message} is not known$"):
            modified(ops, Modifier("pow", 0.5), ())
    six = modified([Applied(library.HGate(), (2 * k,)) for k in range(6)], Modifier("pow", 0.5), ())
    assert six[0].qubits == (0, 2, 4, 6, 8, 10)
    twice = QuantumCircuit(12)
    for op in six * 2:
        twice.append(op.gate, op.qubits)
    plain = QuantumCircuit(12)
    plain.h(range(0, 12, 2))
    one, two = np.zeros(2**12), np.zeros(2**12)
    one[5], two[5] = 1, 1
    found = Statevector(one).evolve(twice).inner(Statevector(two).evolve(plain))
    assert abs(found) == pytest.approx(1.0, abs=1e-10)


def test_a_global_phase_is_seen_under_controls_only():
    assert _names([phase(0.5)]) == [("global_phase", [0.5], ())]
    for kind, controls, expected in (
        ("ctrl", (2,), [("p", (2,))]),
        ("ctrl", (2, 1), [("mcphase", (2, 1))]),
        ("negctrl", (2,), [("x", (2,)), ("p", (2,)), ("x", (2,))]),
        ("negctrl", (2, 0), [("x", (2,)), ("x", (0,)), ("mcphase", (2, 0)), ("x", (2,)),
                             ("x", (0,))]),
    ):  # fmt: skip
        found = modified([phase(0.5)], Modifier(kind, len(controls)), controls)
        assert [(op.gate.name, op.qubits) for op in found] == expected
        assert {tuple(op.gate.params) for op in found} <= {(0.5,), ()}
    assert math.pi / 2 == MS_DEFAULT


# ------------------------------------------------------------------------------------- of Qiskit


def _placed(circuit: QuantumCircuit) -> list[tuple[str, tuple[int, ...], list[str]]]:
    gates, kept = in_our_gates(circuit)
    assert kept == tuple(range(circuit.num_qubits))
    assert all(
        (len(g.qubits), len(g.angles)) == (GATES[g.name].n_qubits, GATES[g.name].n_angles)
        for g in gates
    )
    return [(gate.name, gate.qubits, [str(angle) for angle in gate.angles]) for gate in gates]


def _around(operation: Instruction, *qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    circuit.append(operation, qubits)
    return circuit


def test_controlled_u_gates_keep_each_angle_alone():
    a, b, c, d = map(str, P)
    crz = [("crz", (2, 0), [c]), ("cry", (2, 0), [a]), ("crz", (2, 0), [b])]
    halves = [("p", (2,), [f"{b}/2"]), ("p", (2,), [f"{c}/2"])]
    assert _placed(_around(library.CU3Gate(*P[:3]), 2, 0)) == halves + crz
    assert _placed(_around(library.CUGate(*P), 2, 0)) == [("p", (2,), [d]), *halves, *crz]
    assert _placed(_around(library.CU1Gate(P[0]), 2, 0)) == [("cp", (2, 0), [a])]


def test_gates_of_the_table_stay_and_those_without_effect_go():
    circuit = QuantumCircuit(3)
    circuit.id(0)
    circuit.global_phase = 0.3
    circuit.append(library.GlobalPhaseGate(0.5), [])
    circuit.rzz(P[0], 2, 1)
    circuit.delay(10, 0)
    circuit.barrier()
    circuit.ccx(2, 0, 1)
    assert _placed(circuit) == [("rzz", (2, 1), ["t[0]"]), ("ccx", (2, 0, 1), [])]


def test_a_gate_without_angles_is_written_alike_on_other_qubits():
    first = _placed(_around(library.DCXGate(), 0, 1))
    assert first == [("cx", (0, 1), []), ("cx", (1, 0), [])]
    circuit = QuantumCircuit(3)
    for qubits in ((0, 1), (2, 0), (1, 2)):
        circuit.append(library.DCXGate(), qubits)
    circuit.rccx(2, 1, 0)
    circuit.append(library.RZXGate(0.5), [2, 0])
    circuit.append(library.RZXGate(0.25), [0, 1])
    found = _placed(circuit)
    assert found[:6] == [
        (name, pair, [])
        for a, b in ((0, 1), (2, 0), (1, 2))
        for name, pair in (("cx", (a, b)), ("cx", (b, a)))
    ]
    ours = QuantumCircuit(3)
    for name, qubits, angles in found:
        getattr(ours, name)(*map(float, angles), *qubits)
    assert equal_up_to_phase(Operator(ours).data, Operator(circuit).data)


def _nested(depth: int) -> QuantumCircuit:
    """A circuit whose gate is defined by a gate, `depth` times, and at last by an X."""
    circuit = QuantumCircuit(1, name="innermost")
    circuit.x(0)
    for level in range(depth):
        outer = QuantumCircuit(1, name=f"level{level}")
        outer.append(circuit.to_gate(), [0])
        circuit = outer
    return circuit


def test_definitions_are_as_deep_as_they_may_be_and_come_back():
    assert _placed(_nested(59)) == [("x", (0,), [])]
    with pytest.raises(CircuitError) as caught:
        in_our_gates(_nested(60))
    assert caught.value.message == "gates are defined by each other too deep"
    assert (caught.value.field, caught.value.value, caught.value.fix) == (
        "circuit",
        "innermost",
        "",
    )
    wide = QuantumCircuit(1)
    for _ in range(70):
        wide.append(_nested(1).to_gate(), [0])
    assert _placed(wide) == [("x", (0,), [])] * 70


class _WithoutDefinition(Instruction):
    def _define(self) -> None:
        raise KeyError("nothing to say")


class _Hidden(Gate):
    """A gate whose definition holds one that has none."""

    def _define(self) -> None:
        self.definition = QuantumCircuit(1)
        self.definition.append(Gate("oracle", 1, []), [0])


def test_what_cannot_be_written_in_our_gates_says_which_and_how():
    constant = "Give it constant angles, or write it as gates that take parameters."
    plain = "Decompose the gate yourself before passing the circuit."
    annotated = "Build it with annotated=False."
    oracle = Gate("oracle", 1, [])
    for operation, message, value, fix in (
        (oracle, "no decomposition of oracle into h, x, y, ", "oracle", plain),
        (Gate("oracle", 1, [P[0]]), "no decomposition of oracle into ", "oracle", constant),
        (Gate("oracle", 1, [0.5]), "no decomposition of oracle into ", "oracle", plain),
        (_WithoutDefinition("mine", 1, 0, []), "the gate mine cannot be decomposed: nothing to say",
         "mine", plain),
        (_WithoutDefinition("mine", 1, 0, [P[0]]), "the gate mine cannot be decomposed: nothing",
         "mine", constant),
        (_Hidden("outer", 1, []), "no decomposition of oracle into ", "oracle", plain),
        (AnnotatedOperation(oracle, [InverseModifier()]), "no decomposition of ", None, annotated),
    ):  # fmt: skip
        with pytest.raises(CircuitError) as caught:
            in_our_gates(_around(operation, 1))
        assert caught.value.message.startswith(message)
        assert caught.value.field == "circuit"
        assert value is None or caught.value.value == value
        assert caught.value.fix == fix


def test_loops_over_constants_are_unrolled_and_others_refused():
    circuit = QuantumCircuit(3)
    body = QuantumCircuit(2)
    body.rx(P[0], 1)
    circuit.for_loop((3, 5), P[0], body, [2, 0], [])
    circuit.for_loop((3, 5), P[1], body, [1, 2], [])
    circuit.for_loop(range(2), None, body, [0, 1], [])
    first, second, *others = _placed(circuit)
    assert [(*step[:2], float(step[2][0])) for step in (first, second)] == [
        ("rx", (0,), 3.0),
        ("rx", (0,), 5.0),
    ]
    assert others == [("rx", (2,), ["t[0]"])] * 2 + [("rx", (1,), ["t[0]"])] * 2


def test_what_needs_a_measurement_is_refused_by_its_name():
    circuit = QuantumCircuit(3, 1)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with pytest.raises(CircuitError) as caught:
        in_our_gates(circuit)
    assert (caught.value.message, caught.value.value) == ("if_else is not supported", "if_else")
    assert caught.value.fix.startswith("Write the circuit without classical control")
    circuit = QuantumCircuit(3)
    circuit.h(1)
    circuit.initialize([0, 1], 1)
    with pytest.raises(CircuitError) as caught:
        in_our_gates(circuit)
    message = "initialize of qubit 1, which is no longer fresh, is not supported"
    assert (caught.value.message, caught.value.value) == (message, "initialize")
    assert caught.value.fix.startswith("Start every qubit in |0⟩")
    circuit = QuantumCircuit(3, 3)
    circuit.measure(1, 0)
    circuit.dcx(0, 1)
    with pytest.raises(CircuitError) as caught:
        in_our_gates(circuit)
    message = "dcx acts on qubit 1 after its measurement: mid-circuit measurement is not supported"
    assert (caught.value.message, caught.value.value) == (message, "measure")
    assert caught.value.fix.startswith("Measure at the end only")


def test_a_wide_circuit_keeps_the_qubits_that_it_uses():
    circuit = QuantumCircuit(40, 1)
    circuit.cx(38, 2)
    circuit.measure(7, 0)
    gates, kept = in_our_gates(circuit)
    assert kept == (2, 7, 38)
    assert [(gate.name, gate.qubits) for gate in gates] == [("cx", (2, 0))]
