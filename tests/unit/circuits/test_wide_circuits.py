"""Circuits as wide as a device of which few qubits are used."""

import dataclasses

import numpy as np
import pytest
from qiskit import QuantumCircuit, QuantumRegister, qasm2, qasm3, transpile
from qiskit.circuit import Parameter, ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import CouplingMap

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.observable import named_observables
from qstore_ray.circuits.qasm.reader import circuit_text, from_text
from qstore_ray.circuits.qasm.text import read_own
from qstore_ray.circuits.qiskit.qiskit import from_qiskit
from qstore_ray.errors import CircuitError, ResourceError
from qstore_ray.figures.circuit import circuit_figure
from qstore_ray.learn.config import ModelConfig
from qstore_ray.simulate import reference

BASIS = ["rz", "sx", "x", "cx"]
X = np.array([[0.3, -1.1, 0.7], [1.2, 0.4, -0.5]])


def _before() -> QuantumCircuit:
    """Three qubits that nothing exchanges with each other."""
    x = ParameterVector("x", 3)
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit.ry(x[qubit] + 0.2 * qubit, qubit)
    circuit.cx(0, 2)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.ry(Parameter("w"), 0)
    return circuit


def _values(circuit: Circuit) -> np.ndarray:
    observables = named_observables("z+zz", 3)
    return reference.expectations(circuit.template, observables, circuit.angles(X), np.array([0.4]))


@pytest.mark.parametrize("n_device", [5, 127])
@pytest.mark.parametrize("places", [[2, 0, 4], [4, 3, 0]])
def test_a_transpiled_circuit_is_the_circuit_that_was_transpiled(n_device, places):
    line = CouplingMap.from_line(n_device)
    device = transpile(
        _before(), coupling_map=line, basis_gates=BASIS, initial_layout=places, seed_transpiler=1
    )
    found = from_qiskit(device)
    assert found.wires[:3] == tuple(device.layout.final_index_layout())
    np.testing.assert_allclose(_values(found), _values(from_qiskit(_before())), atol=1e-12)


def _wide() -> QuantumCircuit:
    circuit = QuantumCircuit(127, 4)
    x = ParameterVector("x", 2)
    circuit.ry(x[0], 100)
    circuit.cx(100, 17)
    circuit.rx(x[1], 17)
    circuit.measure([17, 100, 126], [0, 1, 2])
    return circuit


def test_a_wide_circuit_keeps_the_qubits_with_a_gate_or_a_measurement():
    found = from_qiskit(_wide())
    assert found.wires == (17, 100, 126)  # measured without a gate: |0⟩
    assert [(op.gate, op.qubits) for op in found.template.ops] == [
        ("ry", (1,)), ("cx", (1, 0)), ("rx", (0,)),
    ]  # fmt: skip


def test_a_wide_text_is_read_like_the_circuit_that_wrote_it():
    bound = _wide().assign_parameters([0.3, 0.4])
    expected = from_qiskit(bound)
    for text in (qasm2.dumps(bound), qasm3.dumps(bound)):
        found = from_text(text)
        assert (found.wires, found.template) == (expected.wires, expected.template)


def test_physical_qubits_of_a_text_are_wires():
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float x;\nry(x) $120;\ncx $120, $4;\n'
    assert from_text(text).wires == (4, 120)


def test_resets_barriers_and_identities_use_no_qubit():
    text = 'include "qelib1.inc";\nqreg q[40];\nreset q;\nid q;\nrx(x) q[7];\nbarrier q;\n'
    assert from_text(text).wires == (7,)


def test_a_circuit_that_a_machine_can_hold_keeps_its_idle_qubits():
    circuit = QuantumCircuit(5)
    circuit.ry(Parameter("x"), 3)
    assert from_qiskit(circuit).template.n_qubits == 5
    assert from_qiskit(circuit).wires == ()


def test_the_text_of_a_circuit_keeps_the_numbers_of_its_qubits():
    found = from_qiskit(_wide())
    text = circuit_text(found)
    assert "// qstore_ray: wires=[17, 100, 126]\n" in text
    assert read_own(text).wires == from_text(text + "\n// edited\n").wires == found.wires
    assert dataclasses.replace(read_own(text), name=found.name) == found


def test_all_used_qubits_are_kept_and_too_many_are_refused():
    circuit = _wide()
    circuit.measure_all()
    assert from_qiskit(circuit).template.n_qubits == 127
    wider = QuantumCircuit(1001)
    wider.measure_all()
    with pytest.raises(ResourceError, match="more than 1,000 qubits have a gate or a measurement"):
        from_qiskit(wider)
    with pytest.raises(CircuitError, match="any of its 40 qubits"):
        from_qiskit(QuantumCircuit(QuantumRegister(40)))


def test_an_operator_of_the_device_is_refused_with_the_way_out():
    device = SparsePauliOp.from_sparse_list([("Z", [17], 1.0)], 127)
    with pytest.raises(CircuitError, match="operator is of 127 qubits") as caught:
        ModelConfig(circuit=_wide(), observables=[device])
    assert "without apply_layout" in str(caught.value.fix)


def test_the_picture_shows_both_numbers():
    found = from_qiskit(_wide())
    texts = {t.get_text() for t in circuit_figure(found.template, wires=found.wires).axes[0].texts}
    assert {"q0", "(17)", "(100)", "(126)"} <= texts
