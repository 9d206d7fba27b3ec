"""Programs: what becomes of gates, and that each pass keeps every value and gradient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.simulate import reference
from qstore_ray.simulate.compile.compiler import compile_program
from qstore_ray.simulate.compile.frame import pauli_rotations
from qstore_ray.simulate.compile.passes import layers, light_cone, product_start, real_rotations
from qstore_ray.simulate.compile.program import PHASES, TURNS, Program
from qstore_ray.simulate.compile.rotations import (
    AngleSum,
    Rotation,
    Term,
    commute,
    odd,
)
from qstore_ray.simulate.compile.schedule import SCALE, TURN, schedule
from qstore_ray.testing.strategies import Case, cases

Z = z_observables(1)
few = settings(max_examples=60)


def _program(n_qubits: int, *ops: Op, n_rows: int = 0, n_params: int = 0, seen=Z) -> Program:
    return compile_program(Template(n_qubits, ops, n_rows, n_params, "amplitudes"), seen)


def _layers(program: Program) -> list[tuple[int, int]]:
    """Kind and number of rotations of each layer."""
    return [(int(kind), int(last - first)) for kind, first, last in program.layers]


def _chain(gate: str, n_qubits: int) -> list[Op]:
    return [Op(gate, (q, q + 1)) for q in range(n_qubits - 1)]


def _turns(n_qubits: int, first_param: int = 0) -> list[Op]:
    return [Op("ry", (q,), (param(first_param + q),)) for q in range(n_qubits)]


# ------------------------------------------------------------------------- what becomes of gates


def test_cx_swap_and_pauli_gates_cost_nothing():
    ops = [*_chain("cx", 4), Op("swap", (0, 2)), Op("x", (1,)), Op("y", (0,)), Op("z", (3,))]
    program = _program(4, *ops, seen=z_observables(4))
    assert _layers(program) == []
    np.testing.assert_array_equal(program.terms[:, 1], [0b0111, 0b0011, 0b0001, 0b1111])
    np.testing.assert_array_equal(program.coefficients, [-1.0, -1.0, 1.0, 1.0])


def test_a_layer_of_an_ansatz_is_a_layer_of_turns_and_one_of_phases():
    ops = []
    for layer in range(3):
        ops += _turns(5, 10 * layer)
        ops += [Op("rz", (q,), (param(10 * layer + 5 + q),)) for q in range(5)]
        ops += _chain("cz", 5)
    program = _program(5, *ops, n_params=30, seen=(Observable.parse("X0 X1 X2 X3 X4"),))
    assert [kind for kind, _ in _layers(program)] == [TURNS, PHASES] * 3


def test_all_phases_of_a_layer_are_one_layer():
    ops = [Op("rz", (0,), (param(0),)), *_chain("cz", 3), Op("t", (1,))]
    ops += [Op("rzz", (0, 2), (row(0),)), Op("cp", (1, 2), (param(1),)), Op("s", (0,))]
    seen = (Observable.parse("X0 X1 X2"),)
    assert [kind for kind, _ in _layers(_program(3, *ops, n_rows=1, n_params=2, seen=seen))] == [
        PHASES
    ]


def test_turns_of_one_qubit_add_up_past_what_they_commute_with():
    ops = [Op("ry", (0,), (param(0),)), Op("ry", (1,), (row(0),)), Op("rz", (2,), (param(0),))]
    ops += [Op("ry", (0,), (param(1, 2.0, 0.5),)), Op("ry", (0,), (row(0, -1.0),))]
    seen = (Observable.parse("X0 X1 X2"),)
    program = _program(3, *ops, n_rows=1, n_params=2, seen=seen)
    assert sorted(_layers(program)) == [(PHASES, 1), (TURNS, 2)]
    turn = int(np.flatnonzero(program.x == 1)[0])
    terms = slice(program.term_starts[turn], program.term_starts[turn + 1])
    assert program.slots[terms].tolist() == [0, 1, 2]
    assert program.scales[terms].tolist() == [-1.0, 1.0, 2.0]
    assert program.offsets[turn] == 0.5


def test_gates_that_cancel_are_gone():
    ops = [Op("ry", (0,), (param(0),)), Op("h", (0,)), Op("s", (1,)), Op("sdg", (1,))]
    ops += [Op("h", (0,)), Op("ry", (0,), (param(0, -1.0),))]
    program = _program(2, *ops, n_params=1, seen=(Observable.parse("X0 Y1"),))
    assert _layers(program) == []


def test_what_no_observable_can_see_is_left_out():
    ops = [*_turns(4), *_chain("cz", 4), *_turns(4, 4)]
    ops += [Op("rz", (q,), (param(8 + q),)) for q in range(4)]
    program = _program(4, *ops, n_params=12)
    seen = set(program.slots.tolist())
    assert seen == {0, 1, 4}, "Z0 sees its own turns and, through CZ, those of its neighbour"


def test_the_first_rotations_of_each_qubit_are_the_start():
    ops = [Op("ry", (q,), (row(q),)) for q in range(3)]
    ops += [Op("rz", (q,), (param(q),)) for q in range(3)] + [Op("rx", (1,), (param(0),))]
    ops += [*_chain("cx", 3), *_turns(3)]
    template = Template(3, tuple(ops), 3, 3)
    program = compile_program(template, z_observables(3))
    assert program.n_leading == 7
    assert _layers(program) == [(TURNS, 3)]
    assert compile_program(Template(3, tuple(ops), 3, 3, "amplitudes"), Z).n_leading == 0


def test_phases_of_qubits_in_zero_are_left_out():
    ops = (Op("rz", (0,), (param(0),)), Op("rzz", (0, 1), (param(0),)), Op("cz", (1, 2)))
    assert compile_program(Template(3, ops, 0, 1), (Observable.parse("X0 X1 X2"),)).x.size == 0


def test_what_varies_by_row_is_marked():
    ops = (Op("rx", (0,), (row(0),)), Op("rx", (1,), (param(0, 2.0, 0.5),)))
    template, seen = Template(2, ops, 1, 1), (Observable.parse("Z0 Z1"),)
    assert compile_program(template, seen).by_row.tolist() == [True, False]
    assert compile_program(template, seen, True).by_row.tolist() == [True, True]


def test_the_reverse_sweep_stops_at_the_first_gradient_that_is_asked_for():
    encoding = [Op("ry", (q,), (row(q),)) for q in range(2)]
    program = _program(
        2, *encoding, Op("cz", (0, 1)), *_turns(2), n_rows=2, n_params=2, seen=z_observables(2)
    )
    assert [kind for kind, _ in _layers(program)] == [TURNS, PHASES, TURNS]
    assert program.layers_to_undo(rows_gradient=False) == 2
    assert program.layers_to_undo(rows_gradient=True) == -1, "down to the amplitudes"
    assert _program(2).layers_to_undo(rows_gradient=False) == 0


def test_equal_circuits_are_compiled_once():
    first, second = (Template(2, (Op("rx", (0,), (param(0),)),), 0, 1) for _ in range(2))
    assert compile_program(first, Z) is compile_program(second, Z)


def test_a_program_holds_the_observables():
    program = compile_program(
        Template(2, ()), (Observable.parse("2*X0 Y1 - Z1"), Observable.parse("I"))
    )
    np.testing.assert_array_equal(
        program.terms, [[0b11, 0b10, 1, 0], [0, 0b10, 0, 0], [0, 0, 0, 1]]
    )
    np.testing.assert_array_equal(program.coefficients, [2.0, -1.0, 1.0])


# ------------------------------------------------------------------------------- laws of the passes


def _string(x: int, z: int, power: int, n_qubits: int) -> np.ndarray:
    """i^power X^x Z^z as a matrix."""
    index = np.arange(2**n_qubits)
    matrix = np.zeros((2**n_qubits, 2**n_qubits), complex)
    matrix[index ^ x, index] = 1j**power * (1.0 - 2 * (np.bitwise_count(index & z) % 2))
    return matrix


def _values(rotations: list[Rotation], terms: list[Term], case: Case) -> np.ndarray:
    """Expectation values (N, O) straight from the definition of a rotation."""
    template, observables, b = case
    n = template.n_qubits
    params = np.broadcast_to(b.params, (len(b), template.n_params))
    slots = np.concatenate([b.rows, params], axis=1)
    found = np.zeros((len(b), len(observables)))
    for i in range(len(b)):
        psi = np.eye(2**n)[0].astype(complex) if b.amplitudes is None else b.amplitudes[i]
        for x, z, angle in rotations:
            half = (angle.offset + sum(c * slots[i, s] for s, c in angle.terms)) / 2
            psi = np.cos(half) * psi - 1j * np.sin(half) * (_string(x, z, odd(x & z), n) @ psi)
        for x, z, power, observable, coefficient in terms:
            value = psi.conj() @ _string(x, z, power, n) @ psi
            found[i, observable] += coefficient * value.real
    return found


def _start(case: Case) -> tuple[list[Rotation], list[Term], np.ndarray]:
    rotations, terms = pauli_rotations(case.template, case.observables)
    return rotations, terms, _values(rotations, terms, case)


def _flat(case: Case, rotations: list[Rotation]) -> list[Rotation]:
    leading, rest = product_start(rotations, case.template.n_qubits)
    return [rotation for run in leading for rotation in run] + rest


@few
@given(cases())
def test_rotations_are_the_circuit(case):
    _, _, found = _start(case)
    b = case.bindings
    expected = reference.expectations(
        case.template, case.observables, b.rows, b.params, b.amplitudes
    )
    np.testing.assert_allclose(found, expected, atol=1e-12, rtol=0)


@few
@given(cases())
def test_fixed_quarter_turns_may_go_into_the_frame(case):
    rotations, terms = pauli_rotations(case.template, case.observables, quarter_turns=True)
    for rotation in rotations:
        fixed = rotation.angle.offset / (np.pi / 2)
        assert rotation.angle.terms or abs(fixed - round(fixed)) > 1e-15
    b = case.bindings
    expected = reference.expectations(
        case.template, case.observables, b.rows, b.params, b.amplitudes
    )
    np.testing.assert_allclose(_values(rotations, terms, case), expected, atol=1e-12, rtol=0)


def test_a_circuit_compiled_for_a_device_runs_in_about_as_many_layers():
    """Each RX is five gates there, and each CX is a CZ between Hadamards."""
    n, ops, compiled = 4, [], []
    for layer in range(3):
        for q in range(n):
            slot = layer * n + q
            ops.append(Op("rx", (q,), (param(slot),)))
            compiled += [Op("rz", (q,), (const(np.pi / 2),)), Op("sx", (q,))]
            compiled += [Op("rz", (q,), (param(slot, offset=np.pi),)), Op("sx", (q,))]
            compiled += [Op("rz", (q,), (const(5 * np.pi / 2),))]
        for q in range(n - 1):
            ops.append(Op("cx", (q, q + 1)))
            turn = Op("rz", (q + 1,), (const(np.pi / 2),))
            h = [turn, Op("sx", (q + 1,)), turn]
            compiled += [*h, Op("cz", (q, q + 1)), *h]
    observables = z_observables(n)
    own, other = (
        compile_program(Template(n, tuple(found), 0, 3 * n), observables)
        for found in (ops, compiled)
    )
    assert len(other.layers) <= len(own.layers) + 1
    assert len(other.x) <= len(own.x) + n
    b = Bindings(np.zeros((2, 0)), np.linspace(0.0, 3.0, 3 * n))
    values = [
        StatevectorBackend().evaluate(Template(n, tuple(found), 0, 3 * n), observables, b).values
        for found in (ops, compiled)
    ]
    np.testing.assert_allclose(*values, atol=1e-12, rtol=0)


@few
@given(cases())
def test_the_light_cone_holds_all_that_matters(case):
    rotations, terms, expected = _start(case)
    kept = light_cone(rotations, terms)
    assert len(kept) <= len(rotations)
    np.testing.assert_allclose(_values(kept, terms, case), expected, atol=1e-12, rtol=0)


@few
@given(cases(initial=("zeros",)))
def test_a_product_start_is_the_same_start(case):
    rotations, terms, expected = _start(case)
    leading, rest = product_start(rotations, case.template.n_qubits)
    for qubit, run in enumerate(leading):
        assert all(rotation.x | rotation.z == 1 << qubit for rotation in run)
        assert not run or run[0].x, "a phase of |0⟩ is nothing"
    flat = [rotation for run in leading for rotation in run] + rest
    np.testing.assert_allclose(_values(flat, terms, case), expected, atol=1e-12, rtol=0)


def test_a_phase_is_dropped_where_what_was_before_it_cancels():
    rotations, _ = pauli_rotations(Template(2, (Op("ch", (0, 1)),)), z_observables(2))
    leading, _ = product_start(rotations, 2)
    assert all(not run or run[0].x for run in leading)


@few
@given(cases())
def test_real_rotations_are_real_and_the_same(case):
    rotations, terms, expected = _start(case)
    found = real_rotations(rotations)
    assert all(not r.x or odd(r.x & r.z) for r in found)
    np.testing.assert_allclose(_values(found, terms, case), expected, atol=1e-12, rtol=0)


@few
@given(cases(max_ops=14))
def test_layers_commute_within_and_are_the_same_circuit(case):
    rotations, terms, expected = _start(case)
    found = layers(real_rotations(rotations))
    for layer in found:
        strings = list(layer.rotations)
        for i, (x, z) in enumerate(strings):
            assert (x == 0) == (layer.kind == "phases")
            for other_x, other_z in strings[:i]:
                assert commute(x, z, other_x, other_z)
                assert not odd(x & other_z), "one direction leaves the role of another alone"
    flat = [Rotation(*key, angle) for layer in found for key, angle in layer.rotations.items()]
    np.testing.assert_allclose(_values(flat, terms, case), expected, atol=1e-12, rtol=0)


def test_an_angle_of_several_slots():
    angle = AngleSum(0.5, ((0, 1.0), (2, -1.0))).plus(AngleSum(0.25, ((2, 1.0), (1, 3.0))))
    assert angle == AngleSum(0.75, ((0, 1.0), (1, 3.0)))
    assert angle.scaled(-2.0) == AngleSum(-1.5, ((0, -2.0), (1, -6.0)))


# ------------------------------------------------------------------------------- the schedule


@pytest.mark.parametrize("lane_bits", [0, 1, 2, 3])
@few
@given(case=cases(max_qubits=7, max_ops=20))
def test_each_turn_is_done_once_and_every_amplitude_is_met_once(lane_bits: int, case):
    template, observables, _ = case
    if template.n_qubits < lane_bits:
        return
    program = compile_program(template, observables)
    found = schedule(program, lane_bits, 99)
    turns = [g for kind, first, last in program.layers if kind == TURNS for g in range(first, last)]
    assert sorted(found.order.tolist()) == turns
    for kind, _, across, within, order, vectors, bases, *_ in found.passes:
        if kind != TURN:
            continue
        rotations = found.order[order : order + across + within]
        directions = [int(v) for v in found.vectors[vectors : vectors + across]]
        base = [int(v) for v in found.vectors[vectors + across + within :][:bases]]
        lanes = [1 << bit for bit in range(lane_bits)]
        span = {0}
        for vector in directions + base + lanes:
            span |= {vector ^ other for other in span}
        assert len(span) == program.dim, "directions, bases and lanes reach every amplitude"
        for g in rotations:
            assert not any(odd(vector & int(program.z[g])) for vector in base)


def test_deep_circuits_are_scaled_back():
    ops = [op for _ in range(30) for op in (*_turns(4), *_chain("cx", 4))]
    program = _program(4, *ops, n_params=4, seen=(Observable.parse("Z0 Z1 Z2 Z3"),))
    passes = schedule(program, 0, 2**20).passes
    turned = np.where(passes[:, 0] == TURN, passes[:, 2] + passes[:, 3], 0)
    marks = np.flatnonzero(passes[:, 0] == SCALE)
    assert len(marks) > 1
    assert max(part.sum() for part in np.split(turned, marks)) <= 48


def test_a_library_circuit_takes_few_passes():
    circuit = build_circuit(
        encoding="angle", ansatz="strongly_entangling", n_qubits=12, n_features=12, layers=3
    )
    program = compile_program(circuit.template, z_observables(12))
    passes = schedule(program, 0, 2**20).passes
    assert len(passes) == 9, "one of phases after the start, four of turns for each later layer"


def test_constant_rotations_have_no_slots():
    program = _program(1, Op("ry", (0,), (const(0.3),)))
    assert program.offsets.tolist() == [0.3]
    assert program.slots.size == 0


def test_a_circuit_of_quarter_turns_is_no_rotation_in_their_frame():
    """Z0 was X0 before them, and Z1 was X0 Y1; a rotation that is not fixed stays, by its X0."""
    ops = (Op("h", (0,)), Op("s", (0,)), Op("cz", (0, 1)), Op("sx", (1,)))
    z = z_observables(2)
    rotations, terms = pauli_rotations(Template(2, ops), z, quarter_turns=True)
    assert rotations == []
    assert [(t.x, t.z, t.coefficient) for t in terms] == [(1, 0, 1.0), (3, 2, 1.0)]
    turned = Template(2, (*ops, Op("rz", (0,), (param(0),))), n_params=1)
    (rotation,), _ = pauli_rotations(turned, z, quarter_turns=True)
    assert (rotation.x, rotation.z) == (1, 0)
    assert len(pauli_rotations(turned, z)[0]) > 1
