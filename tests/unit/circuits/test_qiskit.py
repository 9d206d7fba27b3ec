"""Circuits from Qiskit and OpenQASM, and back."""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter, ParameterVector
from qiskit.circuit.library import QFTGate, ZGate, n_local, zz_feature_map
from qiskit.quantum_info import Operator, Statevector, random_unitary

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.expressions import Formulas, parse
from qstore_ray.circuits.load import load_circuit
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.qasm.qasm import to_qasm3
from qstore_ray.circuits.qasm.reader import circuit_text, from_qasm, from_text
from qstore_ray.circuits.qiskit.qiskit import _real, from_qiskit, to_qiskit
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import CircuitError, ConfigError, DataError
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import cases

X, P = ParameterVector("x", 2), ParameterVector("θ", 12)


def _fidelities(circuit: Circuit, theirs: QuantumCircuit, x: np.ndarray, params: np.ndarray):
    """|⟨ours|theirs⟩|² for each row, with the parameters in Qiskit's order."""
    ours = reference.states(circuit.template, circuit.angles(x), params)
    learned = [p for p in theirs.parameters if not p.name.startswith("x")]
    features = [p for p in theirs.parameters if p.name.startswith("x")]
    found = []
    for i, psi in enumerate(ours):
        bind = dict(zip(learned, params, strict=True)) | {p: x[i, p.index] for p in features}
        found.append(abs(np.vdot(psi, Statevector(theirs.assign_parameters(bind)).data)) ** 2)
    return np.array(found)


@settings(max_examples=25)
@given(cases(initial=("zeros",)))
def test_there_and_back_is_the_same_circuit(case):
    template, observables, b = case
    back = from_qiskit(to_qiskit(template))
    assert back.n_features == template.n_rows
    assert (back.template.n_rows, back.template.n_params) == (template.n_rows, template.n_params)
    np.testing.assert_allclose(
        reference.expectations(back.template, observables, back.angles(b.rows), b.params),
        reference.expectations(template, observables, b.rows, b.params),
        atol=1e-12,
    )


@settings(max_examples=25)
@given(cases(initial=("zeros",)))
def test_through_openqasm_3_is_the_same_circuit(tmp_path_factory, case):
    template, observables, b = case
    file = tmp_path_factory.mktemp("qasm") / "circuit.qasm"
    file.write_text(to_qasm3(template), encoding="utf-8")
    back = from_qasm(file)
    assert [(op.gate, op.qubits) for op in back.template.ops] == [
        (op.gate, op.qubits) for op in template.ops
    ]
    assert (back.n_features, back.template.n_params) == (template.n_rows, template.n_params)
    np.testing.assert_allclose(
        reference.expectations(back.template, observables, back.angles(b.rows), b.params),
        reference.expectations(template, observables, b.rows, b.params),
        atol=1e-12,
    )


def test_angles_survive_openqasm_to_the_last_bit(tmp_path: Path):
    ops = (
        Op("rx", (0,), (const(math.pi / 2 + 1e-12),)),
        Op("ry", (0,), (param(11, scale=1 / 3, offset=-1e-12),)),
        Op("rz", (0,), (row(1, scale=-2.0, offset=0.1),)),
    )
    template = Template(1, ops, n_rows=2, n_params=12)
    file = tmp_path / "circuit.qasm"
    file.write_text(to_qasm3(template), encoding="utf-8")
    assert from_qasm(file).template == template


def test_templates_that_start_from_amplitudes_cannot_be_written():
    loading = Template(1, (), initial="amplitudes")
    for write in (to_qiskit, to_qasm3):
        with pytest.raises(CircuitError, match="amplitudes"):
            write(loading)


def test_features_and_parameters_are_told_by_their_names():
    circuit = QuantumCircuit(2)
    circuit.ry(X[1], 0)
    circuit.rz(2 * P[11] + 0.5, 0)
    circuit.rx(P[2], 1)
    found = from_qiskit(circuit)
    assert (found.n_features, found.template.n_params) == (2, 2)
    expected = (row(1), param(1, scale=2.0, offset=0.5), param(0))
    assert tuple(op.angles[0] for op in found.template.ops) == expected


@pytest.mark.parametrize("name", ["x", "x0", "x_0", "x[0]", "_x_0_", "feature_0", "features[0]"])
def test_names_of_features(name: str):
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter(name), 0)
    circuit.ry(Parameter("xi"), 0)
    found = from_qiskit(circuit)
    assert (found.n_features, found.template.n_params) == (1, 1)


def test_features_may_be_named_or_listed():
    a, b, c = (Parameter(name) for name in "abc")
    circuit = QuantumCircuit(1)
    for p in (a, b, c):
        circuit.ry(p, 0)
    found = from_qiskit(circuit, features=[c, a])
    assert [op.angles[0] for op in found.template.ops] == [row(1), param(0), row(0)]
    data = ParameterVector("φ", 3)
    circuit.ry(data[1], 0)
    found = from_qiskit(circuit, features="φ", n_features=5)
    assert found.n_features == found.template.n_rows == 5
    assert found.template.ops[-1].angles[0] == row(1)


def test_features_that_clash_or_do_not_fit_are_refused():
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("x_1") + Parameter("x1"), 0)
    with pytest.raises(CircuitError, match="same feature"):
        from_qiskit(circuit)
    circuit = QuantumCircuit(1)
    circuit.ry(X[1], 0)
    with pytest.raises(CircuitError, match="n_features"):
        from_qiskit(circuit, n_features=1)


def test_the_zz_feature_map_becomes_an_array_function():
    theirs = zz_feature_map(3, reps=2)
    circuit = from_qiskit(theirs)
    assert (circuit.n_features, circuit.template.n_rows, circuit.template.n_params) == (3, 6, 0)
    x = np.random.default_rng(0).uniform(-3, 3, (4, 3))
    np.testing.assert_allclose(_fidelities(circuit, theirs, x, np.zeros(0)), 1, atol=1e-12)
    assert pickle.loads(pickle.dumps(circuit)) == circuit
    assert hash(circuit) == hash(from_qiskit(zz_feature_map(3, reps=2)))


FORMULAS = {
    "product": 2 * (math.pi - X[0]) * (math.pi - X[1]),
    "quotient": X[0].sin() / (X[1] + 3) - X[1] / 2,
    "power": X[0] ** 2 - (-X[1]) ** 3 + 2 ** X[0],
    "general power": (X[0].exp()) ** X[1],
    "nested": ((X[0] - (X[1] - 0.5)) * 1e-7).cos() + X[0].tan() * X[1].arctan(),
    "inverse": (X[0] / 4).arcsin() + (X[1] / 4).arccos() + (X[0] + 5).log(),
    "absolute": X[0].abs() * X[1].sign() + X[0].conjugate() * X[1],
}
every_formula = pytest.mark.parametrize("formula", FORMULAS)


def _with_formula(name: str) -> Circuit:
    circuit = QuantumCircuit(1)
    circuit.rx(FORMULAS[name], 0)
    return from_qiskit(circuit)


@every_formula
def test_a_formula_of_features_is_computed_as_qiskit_computes_it(formula: str):
    circuit, x = _with_formula(formula), np.random.default_rng(1).uniform(-2, 2, (6, 2))
    expected = [FORMULAS[formula].bind({X[0]: a, X[1]: b}).numeric() for a, b in x]
    np.testing.assert_allclose(circuit.angles(x)[:, 2], expected, rtol=1e-13, atol=1e-13)


@every_formula
def test_a_formula_is_a_row_wise_function_bit_for_bit(formula: str):
    circuit, x = _with_formula(formula), np.random.default_rng(1).uniform(-2, 2, (37, 2))
    one_by_one = np.vstack([circuit.angles(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_array_equal(circuit.angles(x), one_by_one)


@every_formula
def test_a_formula_is_differentiated(formula: str):
    circuit, x = _with_formula(formula), np.random.default_rng(2).uniform(-2, 2, (6, 2))
    cotangent, step = np.random.default_rng(3).normal(size=(6, 3)), 1e-6
    found = circuit.pullback(x, cotangent)
    for column, direction in enumerate(np.eye(2)):
        up, down = circuit.angles(x + step * direction), circuit.angles(x - step * direction)
        slope = (cotangent * (up - down)).sum(axis=1) / (2 * step)
        np.testing.assert_allclose(found[:, column], slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "text", ["open(v0)", "v0.real", "v0 if v0 else 1", "v1", "sin(v0, v0)", ")"]
)
def test_what_is_no_formula_is_refused(text: str):
    with pytest.raises(CircuitError, match="formula"):
        parse(text, {"v0": 0})


@pytest.mark.parametrize("formula", [(X[0] - 5).log(), 1 / (X[0] - 5) ** 0.5, (X[0] * 5).arccos()])
def test_a_formula_outside_its_domain_is_a_data_error(formula):
    circuit = QuantumCircuit(1)
    circuit.rx(formula, 0)
    with pytest.raises(DataError, match="row 1"):
        from_qiskit(circuit).angles(np.array([[0.1 if "acos" in str(formula) else 6.0], [4.0]]))


def test_a_formula_too_long_for_python_is_refused():
    with pytest.raises(CircuitError, match="too many features or operations"):
        parse("+".join(["v0"] * 5000), {"v0": 0})


def test_equal_formulas_share_an_angle():
    circuit = QuantumCircuit(2)
    circuit.rx(X[0] * X[1], 0)
    circuit.rx(X[0] * X[1], 1)
    found = from_qiskit(circuit)
    assert found.encode == Formulas(2, (("mul", 0, 1),))
    assert [op.angles[0] for op in found.template.ops] == [row(2), row(2)]


@pytest.mark.parametrize(
    ("angle", "name"),
    [
        (P[0] * X[0], "θ[0]"),
        (P[0] + 2 * X[0] * P[1], "θ[1]"),
        (P[0].sin() + P[1], "θ[0]"),
        (P[0] ** 2, "θ[0]"),
        (P[0].sign(), "θ[0]"),
        (P[0].abs() - X[0], "θ[0]"),
        (1 / P[0], "θ[0]"),
        (P[0] * P[1], "θ[0], θ[1]"),
    ],
    ids=str,
)
def test_products_and_functions_of_trained_parameters_are_refused(angle, name: str):
    circuit = QuantumCircuit(1)
    circuit.rz(angle, 0)
    with pytest.raises(CircuitError, match=re.escape(f"not in {name}")) as caught:
        from_qiskit(circuit)
    assert caught.value.value == str(angle)
    assert "input_scaling" in caught.value.fix


SUMS = {
    "two parameters": P[0] + P[1],
    "scaled": (P[0] - 2 * P[1]) / 4 + 0.3,
    "the same twice": P[0] + X[0] + P[0],
    "with a feature": 0.5 * X[1] - P[1] + math.pi,
    "with a formula": P[0] - X[0] * X[1] + 1,
    "with two features": X[0] - X[1] + 2 * P[0],
    "parts that cancel": P[0] - P[1] + P[1] + 0.1,
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_parameters_are_what_qiskit_computes(name: str):
    theirs = QuantumCircuit(2)
    theirs.ry(X[0], 0)
    theirs.ry(X[1], 1)
    theirs.crx(SUMS[name], 0, 1)
    theirs.rz(2 * SUMS[name], 1)
    theirs.ry(P[0] - P[1], 0)
    circuit = from_qiskit(theirs)
    x, params = np.random.default_rng(4).uniform(-2, 2, (3, 2)), np.array([0.7, -1.3])
    np.testing.assert_allclose(_fidelities(circuit, theirs, x, params), 1, atol=1e-12)
    assert from_text(circuit_text(circuit), name=circuit.name) == circuit


def test_equal_sums_are_equal_angles():
    circuit = QuantumCircuit(1)
    circuit.rx(P[1] + X[0] + P[0], 0)
    circuit.rx(X[0] + P[0] + P[1], 0)
    first, second = from_qiskit(circuit).template.ops
    assert first == second
    assert first.angles[0] == row(0).plus(param(0)).plus(param(1))


def _bent() -> Gate:
    """A gate of the user's own that bears the name of one of ours and is another."""
    body = QuantumCircuit(1)
    angle = Parameter("a")
    body.ry(3 * angle, 0)
    return body.to_gate(parameter_map={angle: P[0]}, label=None)


def _foreign(kind: str) -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    circuit.ry(0.4, 0)
    circuit.ry(X[0], 2)
    match kind:
        case "cu1 and mcx":
            circuit.cu(0.1, 0.2, 0.3, 0.4, 0, 1)
            circuit.mcx([0, 1], 2)
        case "single parameter":
            circuit.rzx(P[0], 0, 1)
            circuit.r(P[1], 0.3, 2)
        case "open control":
            circuit.append(ZGate().control(2, ctrl_state=1), [0, 1, 2])
        case "qft":
            circuit.append(QFTGate(3), [2, 0, 1])
        case "matrix":
            circuit.unitary(random_unitary(4, seed=1), [2, 0])
        case "named as ours":
            gate = _bent()
            gate.name = "rx"
            circuit.append(gate, [1])
        case "n_local":
            circuit.compose(n_local(3, "ry", "crz", reps=1), inplace=True)
        case "swap and id":
            circuit.id(0)
            circuit.barrier()
            circuit.cswap(0, 1, 2)
    return circuit


@pytest.mark.parametrize(
    "kind",
    [
        "cu1 and mcx",
        "single parameter",
        "open control",
        "qft",
        "matrix",
        "named as ours",
        "n_local",
        "swap and id",
    ],
)
def test_other_gates_are_decomposed(kind: str):
    theirs = _foreign(kind)
    circuit = from_qiskit(theirs)
    assert circuit.template.n_params == theirs.num_parameters - 1
    x = np.array([[0.7], [1.9]])
    params = np.random.default_rng(1).uniform(-2, 2, circuit.template.n_params)
    np.testing.assert_allclose(_fidelities(circuit, theirs, x, params), 1, atol=1e-10)


def test_a_gate_without_decomposition_is_named():
    circuit = QuantumCircuit(1)
    circuit.append(Gate("oracle", 1, []), [0])
    with pytest.raises(CircuitError, match="oracle"):
        from_qiskit(circuit)


def test_final_measurements_and_barriers_are_dropped():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.barrier()
    circuit.cx(0, 1)
    circuit.measure_all()
    assert from_qiskit(circuit).template.ops == (Op("h", (0,)), Op("cx", (0, 1)))


def _measured() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.h(0)
    return circuit


def _conditional() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    return circuit


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (_measured, "measure"),
        (_conditional, "if_else"),
    ],
)
def test_what_is_no_gate_is_refused_by_name(build, name: str):
    with pytest.raises(CircuitError, match=name):
        from_qiskit(build())


QASM_2 = """OPENQASM 2.0;
include "qelib1.inc";
gate turn(a) q { rx(a/2) q; u3(a,0,0) q; }
qreg q[2]; creg c[2];
turn(1.0) q[1]; cu1(0.2) q[0],q[1]; rzz(0.3) q[0],q[1]; sx q[0];
measure q -> c;
"""
QASM_3 = """OPENQASM 3.0;
include "stdgates.inc";
input float x_0; input float x_1; input float theta;
gate turn(a) q { rx(a/2) q; ry(a) q; }
qubit[2] q;
turn(x_1) q[0]; ry(2*theta + 0.5) q[1]; cx q[0], q[1]; rx(x_0*x_1) q[0];
"""


def test_openqasm_2_is_read(tmp_path: Path):
    file = tmp_path / "two.qasm"
    file.write_text(QASM_2, encoding="utf-8")
    circuit = from_qasm(file)
    assert (circuit.name, circuit.n_features, circuit.template.n_qubits) == ("two", 0, 2)
    theirs = QuantumCircuit.from_qasm_str(QASM_2.replace("sx q[0];", "rx(pi/2) q[0];"))
    theirs.remove_final_measurements()
    state = reference.states(circuit.template, np.zeros((1, 0)), np.zeros(0))[0]
    assert abs(np.vdot(state, Statevector(theirs).data)) == pytest.approx(1)


def test_openqasm_3_inputs_are_slots(tmp_path: Path):
    file = tmp_path / "three.qasm"
    file.write_text(QASM_3, encoding="utf-8")
    circuit = from_qasm(file)
    assert (circuit.n_features, circuit.template.n_rows, circuit.template.n_params) == (2, 3, 1)
    expected = QuantumCircuit(2)
    expected.rx(0.2, 0)
    expected.ry(0.4, 0)
    expected.ry(1.1, 1)
    expected.cx(0, 1)
    expected.rx(0.3 * 0.4, 0)
    rows = circuit.angles(np.array([[0.3, 0.4]]))
    state = reference.states(circuit.template, rows, np.array([0.3]))[0]
    zero = Operator(expected).data[:, 0]
    assert abs(np.vdot(state, zero)) == pytest.approx(1)


@pytest.mark.parametrize(
    "text",
    ["", "gate q;", "OPENQASM 3.0; qubit q", "OPENQASM 3.0; bar q[0];", "OPENQASM 2.0; bar q[0];"],
)
def test_what_is_no_openqasm_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "broken.qasm"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CircuitError):
        from_qasm(file)


MODULE = """
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.template import Op, Template, row

def qiskit():
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("x0"), 0)
    return circuit

def ours():
    return build_circuit(encoding="angle", ansatz="basic", n_qubits=1, n_features=1, layers=1)

def template():
    return Template(1, (Op("ry", (0,), (row(0),)),), n_rows=1)

def amplitudes():
    return Template(1, (), initial="amplitudes")

def needy(n, m=1):
    return qiskit()

number = 3
def text():
    return "H 0"
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch) -> str:
    (tmp_path / "users_own_circuits.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "users_broken_circuits.py").write_text("import no_such_package", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "users_own_circuits"


@pytest.mark.parametrize("function", ["qiskit", "ours", "template"])
def test_a_function_may_return_any_kind_of_circuit(user_module: str, function: str):
    circuit = load_circuit(f"{user_module}:{function}")
    assert circuit.n_features == 1
    rows = circuit.angles(np.array([[0.4]]))
    params = np.zeros(circuit.template.n_params)
    found = reference.expectations(circuit.template, [Observable.parse("Z0")], rows, params)
    assert found[0, 0] == pytest.approx(np.cos(0.4))


def test_a_qasm_file_is_a_circuit(tmp_path: Path):
    file = tmp_path / "mine.qasm"
    file.write_text(QASM_3, encoding="utf-8")
    assert load_circuit(str(file), n_features=4).n_features == 4


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hardware_efficient", "module:function"),
        (":build", "module:function"),
        ("no/such/file.qasm", "cannot read"),
        ("no_such_module:build", "cannot import no_such_module"),
        ("users_broken_circuits:build", "no_such_package"),
        ("users_own_circuits:missing", "no function missing"),
        ("users_own_circuits:number", "no function number"),
        ("users_own_circuits:needy", "arguments: n"),
        ("users_own_circuits:text", "returned str"),
        ("users_own_circuits:amplitudes", "returned Template"),
    ],
)
def test_a_wrong_specification_is_refused(user_module: str, spec: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_circuit(spec)


def test_text_keeps_a_circuit_with_formulas() -> None:
    """What travels in configurations and checkpoints gives back the same circuit."""
    x, p = ParameterVector("x", 3), ParameterVector("theta", 2)
    circuit = QuantumCircuit(2)
    circuit.rx(2.5 * x[0], 0)
    circuit.crz(2 * (np.pi - x[1]) * (np.pi - x[2]), 0, 1)
    circuit.ry(p[1] / 3 + 0.25, 1)
    circuit.ry(p[0], 0)
    ours = from_qiskit(circuit)
    back = from_text(circuit_text(ours), name=ours.name)
    assert back == ours
    rows = np.random.default_rng(0).normal(size=(5, 3))
    assert np.array_equal(back.angles(rows), ours.angles(rows))


def test_an_angle_that_is_no_real_number_names_its_gate():
    for value, message in (
        (1j, "an angle of rx must be real"),
        ("a", "an angle of rx must be a number"),
        (None, "an angle of rx must be a number"),
        (10**400, "an angle of rx must be a number"),
    ):
        with pytest.raises(CircuitError) as caught:
            _real(value, "rx")
        error = caught.value
        assert (error.message, error.field, error.value) == (message, "circuit", value)
    assert _real(2 + 0j, "rx") == 2.0
    assert type(_real(2, "rx")) is float


def test_a_sum_of_trained_parameters_is_an_angle_of_several_slots():
    circuit = QuantumCircuit(1)
    circuit.rx(2 * P[1] + P[0] - 0.5, 0)
    (op,) = from_qiskit(circuit).template.ops
    assert op.angles == (param(0, offset=-0.5).plus(param(1, 2.0)),)


def test_an_angle_without_a_value_at_0_is_refused_with_what_it_is():
    p = Parameter("p")
    circuit = QuantumCircuit(1)
    circuit.rx(p * p / p, 0)
    with pytest.raises(CircuitError, match="an angle of rx has no value where its") as caught:
        from_qiskit(circuit)
    assert (caught.value.field, caught.value.value) == ("circuit", str(p * p / p))


def test_an_angle_that_is_one_slot_is_a_parameter_of_qiskit():
    """Not an expression of it: what takes circuits by their parameters looks for the class."""
    ops = (Op("rx", (0,), (param(0),)), Op("ry", (0,), (row(0),)))
    circuit = to_qiskit(Template(1, ops, n_rows=1, n_params=1))
    assert [type(step.operation.params[0]) for step in circuit.data] == [type(X[0])] * 2


def test_a_start_from_amplitudes_cannot_be_written_as_gates():
    with pytest.raises(CircuitError, match="cannot be written as gates") as caught:
        to_qiskit(Template(1, (), initial="amplitudes"))
    assert (caught.value.field, caught.value.value) == ("initial", "amplitudes")
    assert "initial=" in caught.value.fix
