"""Folding: the same circuit with as much more noise as was asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.mitigation.backend import open_mitigated
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.mitigation.folding import fold
from qstore_ray.backends.mitigation.placed_circuit import NoisyGate, place_circuit, undone
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import ConfigError
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import cases, random_states

NOISE = NoiseConfig(
    gates=[
        {"on": "two_qubit", "channel": {"name": "depolarizing", "p": 0.1}},
        {"on": "sx", "channel": {"name": "bit_flip", "p": 0.02}},
    ]
)
foldings = st.sampled_from(["global", "local"])


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_is_undone_with_its_own_noise(gate: str):
    spec = GATES[gate]
    slots = (row(0, 0.5, 0.1), param(0, -2.0), const(1.1))[: spec.n_angles]
    op = Op(gate, (2, 0, 1)[: spec.n_qubits], slots)
    rng = np.random.default_rng(1)
    start = random_states(rng, 1, 3)
    placed = place_circuit(Template(3, (op,), 1, 1, "amplitudes"), NOISE).gates[0]
    back = undone(placed)
    assert back[-1].channels == placed.channels
    template = Template(3, (op, *(each.op for each in back)), 1, 1, "amplitudes")
    states = reference.states(template, np.array([[0.7]]), np.array([0.4]), start)
    assert abs(np.vdot(states[0], start[0])) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(case=cases(), scale=st.floats(1.0, 6.0), folding=foldings)
def test_a_folded_circuit_does_the_same(case, scale: float, folding: str):
    template, observables, b = case
    folded = fold(place_circuit(template, NOISE), scale, folding)
    arguments = (observables, b.rows, b.params, b.amplitudes)
    np.testing.assert_allclose(
        reference.expectations(folded.circuit.template, *arguments),
        reference.expectations(template, *arguments),
        atol=1e-9,
    )


@settings(max_examples=40, deadline=None)
@given(case=cases(), scale=st.floats(1.0, 6.0), folding=foldings)
def test_the_scale_that_it_reports_is_the_noise_that_it_has(case, scale: float, folding: str):
    placed = place_circuit(case.template, NOISE)
    folded = fold(placed, scale, folding)
    before, after = (sum(g.error for g in c.gates) for c in (placed, folded.circuit))
    if before:
        assert after / before == pytest.approx(folded.scale)
        largest = max(gate.error for gate in placed.gates) / before
        assert abs(folded.scale - scale) <= largest + 1e-9


@pytest.mark.parametrize("folding", ["global", "local"])
@pytest.mark.parametrize("scale", [1.0, 3.0, 5.0, 7.0])
def test_odd_scales_repeat_every_channel_as_often(folding: str, scale: float):
    """Also of gates whose inverse has another name, which the noise does not list."""
    ops = (Op("sx", (0,)), Op("cx", (0, 1)), Op("iswap", (1, 2)), Op("rz", (2,), (const(0.3),)))
    placed = place_circuit(Template(3, ops), NOISE)
    folded = fold(placed, scale, folding)
    assert folded.scale == pytest.approx(scale)
    before, after = (_channels(c.gates) for c in (placed, folded.circuit))
    assert after == {each: scale * count for each, count in before.items()}


def _channels(gates: tuple[NoisyGate, ...]) -> Counter:
    return Counter((c.fingerprint(), on) for gate in gates for c, on in gate.channels)


def test_gates_without_errors_are_not_folded_one_by_one():
    ops = (Op("h", (0,)), Op("cx", (0, 1)), Op("t", (1,)))
    folded = fold(place_circuit(Template(2, ops), NOISE), 3.0, "local")
    assert [gate.op.gate for gate in folded.circuit.gates] == ["h", "cx", "cx", "cx", "t"]


def test_partial_local_folds_are_spread_over_the_circuit():
    ops = tuple(Op("cx", (q % 2, 1 - q % 2)) for q in range(8))
    folded = fold(place_circuit(Template(2, ops), NOISE), 1.5, "local")
    lengths = [gate.op.qubits for gate in folded.circuit.gates]
    repeated = [k for k in range(2, len(lengths)) if lengths[k - 2] == lengths[k - 1] == lengths[k]]
    assert folded.scale == 1.5
    assert len(repeated) == 2
    assert repeated[1] - repeated[0] > 3


def test_scales_that_a_small_circuit_cannot_reach_are_refused():
    template = Template(1, (Op("h", (0,)),))
    zne = {"scales": [1, 1.2]}
    backend = open_mitigated(
        "aer", {"noise": {"gates": [{"channel": {"name": "bit_flip", "p": 0.1}}]}},
        MitigationConfig(zne=zne),
    )  # fmt: skip
    bindings = Bindings(np.zeros((1, 0)), np.zeros(0))
    for method in (backend.check, backend.evaluate):
        with pytest.raises(ConfigError, match="too few for these scales") as caught:
            method(template, z_observables(1), bindings)
        assert "[1, 3, 5]" in caught.value.fix
