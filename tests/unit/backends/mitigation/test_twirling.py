"""Pauli twirling: no Pauli strings around a Clifford gate of two qubits change the circuit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from qstore_ray.backends.mitigation.cliffords import clifford_parts
from qstore_ray.backends.mitigation.placed_circuit import place_circuit
from qstore_ray.backends.mitigation.twirling import twirled_circuit
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.circuits.template import Op, Template, const, param
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import random_states

HALF = np.pi / 2
CLIFFORDS = [
    *(Op(name, (0, 1)) for name in ("cx", "cy", "cz", "swap", "iswap")),
    *(Op(name, (0, 1), (const(k * HALF),)) for name in ("rxx", "ryy", "rzz") for k in range(4)),
    *(Op(name, (0, 1), (const(k * np.pi),)) for name in ("cp", "crx", "cry", "crz")
      for k in range(4)),
]  # fmt: skip
OTHERS = [
    Op("ch", (0, 1)),
    Op("rzz", (0, 1), (const(0.3),)),
    Op("rzz", (0, 1), (param(0),)),
    Op("cp", (0, 1), (const(HALF),)),
    Op("h", (0,)),
    Op("ccx", (0, 1, 2)),
]
ECR = (Op("s", (0,)), Op("sx", (1,)), Op("cx", (0, 1)), Op("x", (0,)))


def _names(op: Op) -> str:
    return "-".join([op.gate, *(f"{angle.offset:.2f}" for angle in op.angles)])


@pytest.mark.parametrize("pair", [(0, 1), (2, 0)])
@pytest.mark.parametrize("op", CLIFFORDS, ids=_names)
def test_no_pauli_pair_changes_a_clifford_gate(op: Op, pair: tuple[int, int]):
    _check_all_strings((op._replace(qubits=pair),), n_parts=1)


def test_no_pauli_pair_changes_a_gate_of_a_device_that_is_several_here():
    noise = NoiseConfig(places=[{"after": 4, "qubits": [0, 1],
                                 "channel": {"name": "depolarizing", "p": 0.1}}])  # fmt: skip
    (part,) = clifford_parts(place_circuit(Template(2, ECR), noise))
    assert (part.first, part.last) == (2, 3)
    _check_all_strings(ECR, 1, noise)


def _check_all_strings(ops, n_parts: int, noise: NoiseConfig | None = None) -> None:
    template = Template(3, ops, 0, 0, "amplitudes")
    start = random_states(np.random.default_rng(4), 1, 3)
    expected = reference.states(template, np.zeros((1, 0)), np.zeros(0), start)[0]
    twirled = twirled_circuit(place_circuit(template, noise))
    assert len(twirled.parts) == n_parts
    strings = np.array(list(product((0, 1), repeat=4)))
    rows = twirled.angles(strings[:, None, :])
    assert len(np.unique(rows, axis=0)) == 16
    many = np.repeat(start, 16, axis=0)
    found = reference.states(twirled.circuit.template, rows, np.zeros(0), many)
    np.testing.assert_allclose(np.abs(found @ expected.conj()), 1.0, atol=1e-12)


@pytest.mark.parametrize("op", OTHERS, ids=_names)
def test_other_gates_are_left_alone(op: Op):
    template = Template(3, (op,), 0, 1)
    twirled = twirled_circuit(place_circuit(template, None))
    assert twirled.parts == ()
    assert twirled.circuit.template == template


def test_paulis_stand_around_the_channels_and_have_none():
    noise = NoiseConfig(gates=[{"channel": {"name": "phase_flip", "p": 0.1}}])
    twirled = twirled_circuit(place_circuit(Template(2, (Op("cx", (0, 1)),)), noise))
    gates = twirled.circuit.gates
    assert [gate.op.gate for gate in gates] == ["u", "u", "cx", "u", "u"]
    assert [len(gate.channels) for gate in gates] == [0, 0, 2, 0, 0]
