"""Lowered gates are the gates, and an inverse undoes them; maps and projectors in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.library.coupling import heavy_hex, in_rounds, joined_pairs
from qstore_ray.circuits.lower import ENTANGLERS, FIXED, ROTATIONS, inverse, lower
from qstore_ray.circuits.observable import Observable, zeros_mean, zeros_projector
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.simulate import reference

ANGLES = (0.7, -1.3, 0.4)
every_gate = pytest.mark.parametrize("gate", GATES)


def _template(gate: str, initial: str = "zeros", angles: tuple[float, ...] = ANGLES) -> Template:
    """The gate on the last of three qubits first, which other gates have moved out of |0⟩."""
    spec = GATES[gate]
    before = (
        ()
        if initial == "amplitudes"
        else tuple(Op("ry", (q,), (const(0.5 + q),)) for q in range(3))
    )
    own = Op(gate, (2, 0, 1)[: spec.n_qubits], tuple(const(a) for a in angles[: spec.n_angles]))
    return Template(3, (*before, own), initial=initial)


def _state(template: Template, start: np.ndarray | None = None) -> np.ndarray:
    rows = np.zeros((1, template.n_rows))
    return reference.states(template, rows, np.zeros(template.n_params), start)[0]


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Up to a phase."""
    return abs(np.vdot(a, b)) == pytest.approx(1.0, abs=1e-12)


@every_gate
def test_a_lowered_gate_is_the_gate_up_to_a_phase(gate: str):
    template = _template(gate)
    lowered = lower(template)
    assert {op.gate for op in lowered.ops} <= FIXED | ROTATIONS | ENTANGLERS
    assert all(len(op.angles) == (op.gate in ROTATIONS) for op in lowered.ops)
    assert _equal(_state(lowered), _state(template))


@every_gate
def test_the_phase_is_the_same_for_every_basis_state(gate: str):
    template = _template(gate, "amplitudes")
    rng = np.random.default_rng(3)
    start = rng.normal(size=(1, 8)) + 1j * rng.normal(size=(1, 8))
    start /= np.linalg.norm(start)
    assert _equal(_state(lower(template), start), _state(template, start))


@every_gate
def test_an_inverse_undoes_the_gate(gate: str):
    template = _template(gate)
    there_and_back = template.then(inverse(template))
    assert abs(_state(there_and_back)[0]) == pytest.approx(1.0, abs=1e-12)
    assert inverse(template).initial == inverse(_template(gate, "amplitudes")).initial == "zeros"


def test_an_inverse_turns_the_angles_of_slots_round():
    template = Template(1, (Op("rx", (0,), (row(0, 2.0, 0.5),)), Op("s", (0,))), n_rows=1)
    assert inverse(template).ops == (Op("sdg", (0,)), Op("rx", (0,), (row(0, -2.0, -0.5),)))
    both = Template(1, (Op("rz", (0,), (param(0).plus(row(0)),)),), n_rows=1, n_params=1)
    assert inverse(both).ops[0].angles[0] == param(0, -1.0).plus(row(0, -1.0))


# ----------------------------------------------------------------------- projectors and their mean


@pytest.mark.parametrize("qubits", [[0], [1, 3], [2, 0, 1]])
def test_the_projector_and_the_mean_of_zeros(qubits):
    projector, mean = zeros_projector(qubits), zeros_mean(qubits)
    index = np.arange(16)
    bits = np.stack([index >> q & 1 for q in qubits])

    def diagonal(observable: Observable) -> np.ndarray:
        assert all(term.x == 0 for term in observable.terms)
        return sum(
            term.coefficient * (1.0 - 2.0 * (np.bitwise_count(index & term.z) % 2))
            for term in observable.terms
        )

    np.testing.assert_allclose(diagonal(projector), (bits == 0).all(axis=0), atol=1e-12)
    np.testing.assert_allclose(diagonal(mean), (bits == 0).mean(axis=0), atol=1e-12)


# -------------------------------------------------------------------------------------------- maps


def test_heavy_hex_is_the_map_of_the_127_qubit_devices():
    """Rows of 14 or 15 qubits, joined by bridges; these are as the devices number them."""
    pairs = set(heavy_hex(127))
    rows = [(0, 13), (18, 32), (37, 51), (56, 70), (75, 89), (94, 108), (113, 126)]
    chains = {(q, q + 1) for first, last in rows for q in range(first, last)}
    bridges = {
        14: (0, 18), 15: (4, 22), 16: (8, 26), 17: (12, 30),
        33: (20, 39), 34: (24, 43), 35: (28, 47), 36: (32, 51),
        52: (37, 56), 53: (41, 60), 54: (45, 64), 55: (49, 68),
        71: (58, 77), 72: (62, 81), 73: (66, 85), 74: (70, 89),
        90: (75, 94), 91: (79, 98), 92: (83, 102), 93: (87, 106),
        109: (96, 114), 110: (100, 118), 111: (104, 122), 112: (108, 126),
    }  # fmt: skip
    joined = {tuple(sorted((bridge, q))) for bridge, both in bridges.items() for q in both}
    assert pairs == chains | joined
    assert len(heavy_hex(127)) == 144
    assert set(heavy_hex(20)) == {pair for pair in pairs if max(pair) < 20}
    assert heavy_hex(1) == ()


def test_rounds_are_disjoint_pairs_in_the_first_round_that_is_free():
    assert in_rounds([(3, 2), (0, 1), (1, 2), (1, 0)]) == ((0, 1), (2, 3), (1, 2))
    star = in_rounds([(0, 1), (0, 2), (0, 3), (4, 5)])
    assert star == ((0, 1), (4, 5), (0, 2), (0, 3))
    assert in_rounds([]) == ()


def test_joined_pairs_are_those_of_a_gate():
    ops = (Op("ccx", (2, 0, 1)), Op("cx", (3, 2)), Op("h", (4,)), Op("cz", (2, 3)))
    assert joined_pairs(Template(5, ops)) == ((0, 1), (0, 2), (1, 2), (2, 3))
