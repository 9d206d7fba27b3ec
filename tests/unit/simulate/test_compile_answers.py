"""Compiled programs, passes and costs that are known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.simulate.compile import parts, tail
from qstore_ray.simulate.compile.compiler import compile_program, compile_states
from qstore_ray.simulate.compile.passes import Layer, product_start
from qstore_ray.simulate.compile.program import PHASES, TURNS, Program
from qstore_ray.simulate.compile.rotations import AngleSum, Rotation
from qstore_ray.simulate.compile.schedule import PHASE, SCALE, TURN, schedule
from qstore_ray.simulate.compile.signed_program import Site
from qstore_ray.simulate.compile.signs import compile_signed
from tests.unit.simulate.test_tail import convolutional

ALL_X = (Observable.parse("X0 X1 X2 X3"),)


def _turns(n: int, angle=param, first: int = 0) -> list[Op]:
    return [Op("ry", (q,), (angle(first + q),)) for q in range(n)]


def _phases(n: int, first: int) -> list[Op]:
    return [Op("rz", (q,), (param(first + q),)) for q in range(n)]


@pytest.fixture(scope="module")
def sandwich() -> Program:
    """Turns, phases and turns for each row: three layers of four rotations on four qubits."""
    ops = (*_turns(4), *_phases(4, 4), *_turns(4, row))
    return compile_program(Template(4, ops, 4, 8, "amplitudes"), ALL_X)


# --------------------------------------------------------------------------------------- programs


def test_arrays_have_the_types_that_kernels_read_even_if_empty(sandwich):
    empty = compile_program(Template(2, ()), ())
    for program in (sandwich, empty):
        whole = ("x", "z", "term_starts", "slots", "leading_starts", "layers", "terms", "parts")
        for name in (*whole, "kept"):
            assert getattr(program, name).dtype == np.int64, name
        assert program.offsets.dtype == program.scales.dtype == np.float64
        assert program.coefficients.dtype == np.float64
        assert program.by_row.dtype == bool
    shapes = [empty.layers.shape, empty.terms.shape, empty.kept.shape, empty.parts.shape]
    assert shapes == [(0, 3), (0, 4), (0, 3), (1, 5)]


def test_a_program_in_numbers(sandwich):
    assert sandwich.layers.tolist() == [[TURNS, 0, 4], [PHASES, 4, 8], [TURNS, 8, 12]]
    assert sandwich.x.tolist() == [1, 2, 4, 8, 0, 0, 0, 0, 1, 2, 4, 8]
    assert sandwich.z.tolist() == [1, 2, 4, 8] * 3
    assert sandwich.slots.tolist() == [4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3]
    assert sandwich.term_starts.tolist() == list(range(13))
    assert sandwich.by_row.tolist() == [False] * 8 + [True] * 4
    assert sandwich.leading_starts.tolist() == [0] * 5
    assert sandwich.terms.tolist() == [[15, 0, 0, 0]]
    assert sandwich.parts.tolist() == [[0, 4, 0, -1, -1]]
    assert (sandwich.n_slots, sandwich.n_leading, sandwich.dim) == (12, 0, 16)
    assert sandwich.from_amplitudes
    assert not sandwich.params_per_row
    assert sandwich.layer_qubits().tolist() == [4, 4, 4]


def test_the_final_state_is_asked_for_with_every_turn_bound_for_each_row():
    ops = (*_turns(2), *_phases(2, 0), Op("rx", (0,), (const(2 * math.pi),)))
    program = compile_states(Template(2, ops, 0, 2))
    kinds = [int(kind) for kind, _, _ in program.layers]
    assert kinds[:2] == [TURNS, PHASES]
    for kind, first, last in program.layers:
        assert program.by_row[first:last].all() == (kind == TURNS)
    assert program.n_leading == 0, "nothing is dropped at the start"
    assert program.parts.tolist() == [[0, 2, 0, -1, -1]]
    assert program.n_observables == len(program.terms) == 0
    once = [abs(o) == pytest.approx(2 * math.pi) for o in program.offsets]
    assert any(once), "a turn by 2π is −1 of the state and stays"


def test_a_turn_by_a_whole_is_left_out_of_values():
    ops = (
        *_turns(1),
        Op("ry", (0,), (const(2 * math.pi),)),
        Op("rz", (0,), (const(-4 * math.pi),)),
    )
    program = compile_program(Template(1, ops, 0, 1, "amplitudes"), z_observables(1))
    assert program.layers.tolist() == [[TURNS, 0, 1]]


def test_equal_turns_of_the_start_are_one():
    angle = AngleSum(0.0, ((0, 1.0),))
    rotations = [Rotation(1, 1, angle), Rotation(1, 1, angle), Rotation(3, 0, angle)]
    leading, rest = product_start([*rotations, Rotation(1, 1, angle)], 2)
    assert leading == [[Rotation(1, 1, AngleSum(0.0, ((0, 2.0),)))], []]
    assert rest == [Rotation(3, 0, angle), Rotation(1, 1, angle)]


# ------------------------------------------------------------------------------------------ passes


def test_turns_are_cut_in_threes_and_phases_join_the_pass_before(sandwich):
    found = schedule(sandwich, 0, 16)
    assert found.passes.tolist() == [
        [TURN, 0, 3, 0, 0, 0, 1, 0, 0, -1, -1],
        [TURN, 0, 1, 0, 3, 4, 3, 0, 0, 1, 0],
        [TURN, 2, 3, 0, 4, 8, 1, 0, 1, -1, -1],
        [TURN, 2, 1, 0, 7, 12, 3, 0, 1, -1, -1],
    ]
    assert found.order.tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert found.vectors.tolist() == [1, 2, 4, 8, 8, 1, 2, 4] * 2
    assert (found.table_amplitudes, found.edges.tolist()) == (16, [0, 4])
    assert found.local_z.tolist() == [1, 2, 4, 8] * 3
    assert found.kept_vectors.tolist() == []
    assert found.vectors.dtype == found.kept_vectors.dtype == np.uint32
    assert found.passes.dtype == found.order.dtype == found.local_z.dtype == np.int64


def test_phases_without_a_table_are_a_pass_of_their_own(sandwich):
    found = schedule(sandwich, 0, 15)
    assert found.passes[:, 0].tolist() == [TURN, TURN, PHASE, TURN, TURN]
    assert found.passes[2].tolist() == [PHASE, 1, 0, 0, 0, 0, 0, 0, 0, 1, -1]
    assert (found.table_amplitudes, found.edges.tolist()) == (0, [0, 5])


def test_turns_within_a_vector_take_room_of_their_own(sandwich):
    found = schedule(sandwich, 2, 99)
    assert found.passes.tolist() == [
        [TURN, 0, 2, 2, 0, 0, 0, 0, 0, 1, 0],
        [TURN, 2, 2, 2, 4, 4, 0, 0, 1, -1, -1],
    ]
    assert found.order.tolist() == [2, 3, 0, 1, 10, 11, 8, 9]
    assert found.vectors.tolist() == [4, 8, 1, 2] * 2


def test_phases_first_are_a_pass_and_tables_follow_each_other():
    ops = (*_phases(4, 0), *_turns(4), *_phases(4, 0), *_turns(4))
    program = compile_program(Template(4, ops, 0, 4, "amplitudes"), ALL_X)
    found = schedule(program, 2, 99)
    assert found.passes[:, [0, 1, 9, 10]].tolist() == [
        [PHASE, 0, 0, 0],
        [TURN, 1, 2, 16],
        [TURN, 3, -1, -1],
    ]
    assert found.table_amplitudes == 32
    assert schedule(program, 2, 31).passes[:, 10].tolist() == [0, -1, -1, -1]


def test_phases_of_each_row_have_no_table():
    ops = (*_turns(4), *(Op("rz", (q,), (row(q),)) for q in range(4)), *_turns(4))
    program = compile_program(Template(4, ops, 4, 4, "amplitudes"), ALL_X)
    found = schedule(program, 2, 99)
    assert found.passes[:, 0].tolist() == [TURN, PHASE, TURN]
    assert found.passes[1, 10] == -1
    assert found.table_amplitudes == 0


def test_a_scale_comes_before_the_turn_that_would_be_the_49th():
    chain = [Op("cx", (q, q + 1)) for q in range(3)]
    ops = [op for _ in range(30) for op in (*_turns(4), *chain)]
    several = [op for k in range(20) for op in (*_turns(3), Op("rzz", (0, 1), (row(k),)))]
    template = Template(3, tuple(several), 20, 3, "amplitudes")
    program = compile_program(template, (Observable.parse("X0 X1 X2"),))
    assert schedule(program, 0, 0).passes[:, 0].tolist().count(SCALE) == 0, "phases are a scale"
    plain = compile_program(
        Template(4, tuple(ops), 0, 4, "amplitudes"), (Observable.parse("Z0 Z1 Z2 Z3"),)
    )
    found, turned, scales = schedule(plain, 0, 2**20).passes, 0, 0
    for kind, layer, across, within, *rest in found.tolist():
        if kind == SCALE:
            assert [across, within, *rest] == [0, 0, 0, 0, 0, 0, 0, -1, -1]
            assert layer < len(plain.layers)
            scales, turned = scales + 1, 0
        else:
            turned += across + within
            assert turned <= 48
    assert scales == 2, "120 turns"


def test_directions_and_bases_with_lane_bits_are_marked():
    ops = (*_turns(4), Op("cx", (3, 0)), *_phases(4, 4), *_turns(4, first=8))
    program = compile_program(Template(4, ops, 0, 12, "amplitudes"), ALL_X)
    marks = []
    for lanes in (0, 1, 2, 3):
        found = schedule(program, lanes, 0)
        for kind, _, across, within, _, first, bases, permuted, *_ in found.passes.tolist():
            if kind == TURN:
                own = found.vectors[first : first + across + within + bases].tolist()
                moved = own[:across] + own[across + within :]
                assert permuted == any(vector & (2**lanes - 1) for vector in moved)
                marks.append(permuted)
    assert set(marks) == {0, 1}


# ------------------------------------------------------------------------------------------- costs


def test_the_work_of_a_part_is_passes_times_amplitudes():
    turns = [Rotation(1 << q, 1 << q, AngleSum(0.0, ((q, 1.0),))) for q in range(4)]
    phases = [Rotation(0, 1 << q, AngleSum(0.0, ((q, 1.0),))) for q in range(4)]
    assert [parts._work(turns[:n], 5) for n in (0, 1, 3, 4)] == [0, 32, 32, 64]
    assert parts._work(phases, 5) == 32
    assert parts._work(turns + phases, 6) == 3 * 64
    assert parts._passes(Layer("phases", {(0, q): AngleSum(1.0) for q in range(7)})) == 1
    assert parts._passes(Layer("turns", {(1, q): AngleSum(1.0) for q in range(7)})) == 3


def test_the_halves_of_a_circuit_are_what_acts_before_they_meet():
    angle = AngleSum(0.0, ((0, 1.0),))
    left, right, both = Rotation(1, 1, angle), Rotation(8, 8, angle), Rotation(0, 0b1010, angle)
    late_left, free = Rotation(2, 2, angle), Rotation(1, 0, angle)
    found = parts._halves([left, right, both, late_left, free, right], 2)
    assert found.left == [left, free], "what commutes with all that waits goes on"
    assert found.right == [right]
    assert found.rest == [both, late_left, right]
    assert parts._size(found, 4) == 3 * 16


def test_qubits_that_meet_late_are_cut_where_least_is_left():
    angle = AngleSum(0.0, ((0, 1.0),))

    def deep(first: int, last: int) -> list[Rotation]:
        return [
            rotation
            for _ in range(6)
            for q in range(first, last)
            for rotation in (
                Rotation(1 << q, 1 << q, angle),
                Rotation(0, (1 << q) | (1 << (q + 1 if q + 1 < last else first)), angle),
            )
        ]

    meeting = [Rotation(0, 0b11000, angle)]
    found = parts.split([*deep(0, 4), *deep(4, 9), *meeting], 0, 9)
    assert [(p.first, p.n_qubits) for p in found.in_order()] == [(0, 4), (4, 5), (0, 9)]
    assert found.rotations == meeting
    assert parts.split([*deep(0, 3), *deep(3, 7)], 0, 7).own == (), "too narrow for a cut"
    assert parts.split(deep(0, 8), 0, 8).own == (), "one ring has no halves"


def test_the_work_of_a_program_and_of_a_cut(sandwich):
    """50 for each amplitude that a pass meets, of 32 rows in vectors of 8."""
    assert tail.work(sandwich) == 50.0 * (2 + 1 + 2) * 16 * 32 / 8
    template, seen, widths = convolutional(8), (z_observables(8)[7],), []
    for head, end, qubits in tail._cuts(template, seen):
        cut = tail._compiled(template, (head, end, qubits), seen)
        k = len(qubits)
        widths.append(k)
        assert len(cut.head.kept) == k
        assert len(head) + len(end) == len(lower(template).ops)
        expected = tail.work(cut.head) + tail.work(cut.tail) * 2**k * 3 / 32 + 1e5
        expected += (20 + (4 * 1 + 2) * 2**k) * 2**8 * 4
        assert tail._work_of_cut(cut) == pytest.approx(expected, rel=1e-12)
    assert widths == sorted(set(widths))
    assert widths
    assert max(widths) <= 5


# ------------------------------------------------------------------------------------------- signs


@pytest.mark.parametrize("initial", ["zeros", "amplitudes"])
def test_a_circuit_with_errors_in_numbers(initial):
    ops = (Op("ry", (0,), (row(0),)), Op("ry", (1,), (param(0, 2.0, 0.5),)), Op("cx", (0, 1)))
    template = Template(2, ops, 1, 1, initial)
    seen = (Observable.parse("0.5*Z1 + X0"), Observable.parse("2*Z1"))
    found = compile_signed(template, seen, (Site(0, (0,)), Site(2, (0, 1))))
    assert found.program.from_amplitudes == (initial == "amplitudes")
    assert found.program.params_per_row
    assert (found.program.n_rows, found.program.n_params) == (2, 1)
    assert found.n_by_rows == 1
    np.testing.assert_array_equal(found.weights, [[0.5, 2.0], [1.0, 0.0]])
    assert found.outcome_starts.tolist() == [0, 4]
    assert len(found.flips) == 4 + 16
    assert found.offsets.tolist() == [0.0]
    assert found.row_scales.tolist() == [[1.0]]
    assert found.param_scales.tolist() == [[0.0]]


def test_a_circuit_that_only_moves_basis_states_may_have_errors():
    template = Template(2, (Op("x", (0,)), Op("cx", (0, 1))))
    found = compile_signed(template, (), (Site(1, (0,)),), states=True)
    assert found.flips.shape == (4, 0)
    assert found.weights.shape == (0, 0)
    assert len(found.program.layers) == 0
