"""The laws of noise: trajectories average to Aer's density matrix, with exact gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.placement import pauli_errors
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import Case, cases
from tests.aer_noise import density_values

ENGINES = ("native", "numpy")
KEY = DrawKey((1, 2, 3))
FEW = settings(max_examples=12, deadline=None)

PAULI_CHANNELS = {
    "depolarizing": {"name": "depolarizing", "p": 0.2},
    "most depolarizing": {"name": "depolarizing", "p": 16 / 15},
    "bit_flip": {"name": "bit_flip", "p": 0.15},
    "phase_flip": {"name": "phase_flip", "p": 0.2},
    "bit_phase_flip": {"name": "bit_phase_flip", "p": 0.1},
    "phase_damping": {"name": "phase_damping", "gamma": 0.3},
    "dephasing alone": {"name": "thermal_relaxation", "t1": 1e12, "t2": 1e-6, "time": 2e-7},
}
TWO = {"name": "pauli", "probabilities": {"XI": 0.1, "ZY": 0.05, "YY": 0.05, "IZ": 0.1}}
OTHERS = {
    "amplitude_damping": {"name": "amplitude_damping", "gamma": 0.3},
    "thermal_relaxation": {"name": "thermal_relaxation", "t1": 1e-6, "t2": 1e-6, "time": 3e-7},
}


def _noise(*channels, **fields) -> NoiseConfig:
    gates = [c if "channel" in c else {"on": "all", "channel": c} for c in channels]
    return NoiseConfig(gates=gates, **fields)


def _means(case: Case, noise: NoiseConfig, *, trajectories: int = 4000, engine: str = "native"):
    backend = StatevectorBackend(engine=engine, noise=noise, trajectories=trajectories)
    return backend.evaluate(*case, key=KEY)


def _agrees(found, expected: np.ndarray) -> None:
    """Within five standard errors; a value that no error changes, to rounding."""
    error = np.zeros_like(expected) if found.variances is None else np.sqrt(found.variances)
    assert (np.abs(found.values - expected) <= 5.0 * error + 1e-6).all()


small = cases(max_ops=6)


@FEW
@given(case=small, name=st.sampled_from(sorted(PAULI_CHANNELS)))
def test_the_mean_over_trajectories_is_the_density_matrix(case: Case, name: str):
    """Over the whole gate set; a channel of a gate of three qubits is one of each qubit."""
    channel = PAULI_CHANNELS[name]
    kinds = ("one_qubit", "two_qubit") if channel["name"] == "depolarizing" else ("all",)
    limits = {"one_qubit": 4 / 3, "two_qubit": 16 / 15}
    noise = _noise(*({"on": kind, "channel": _capped(channel, limits.get(kind))} for kind in kinds))
    _agrees(_means(case, noise), density_values(*case, noise))


def _capped(channel: dict, limit: float | None) -> dict:
    return {**channel, "p": min(channel["p"], limit)} if limit and "p" in channel else channel


@pytest.mark.parametrize("gate", [name for name, spec in GATES.items() if spec.n_qubits == 2])
def test_correlated_errors_of_two_qubits_are_those_of_the_gates_qubits(gate: str):
    spec = GATES[gate]
    slots = (param(0, 0.7), const(0.4), row(0))[: spec.n_angles]
    ops = (Op("ry", (0,), (row(0),)), Op("h", (1,)), Op("rx", (2,), (param(0),)))
    template = Template(3, (*ops, Op(gate, (2, 0), slots), Op("rx", (0,), (const(0.3),))), 1, 1)
    seen = tuple(Observable.parse(text) for text in ("Z0", "Z2", "X0 Y2", "Z0 Z2", "Y0"))
    bindings = Bindings(np.array([[0.4], [1.3]]), np.array([0.9]))
    noise = _noise({"on": gate, "channel": TWO})
    case = Case(template, seen, bindings)
    _agrees(_means(case, noise, trajectories=20_000), density_values(*case, noise))


@pytest.mark.parametrize("name", OTHERS)
def test_a_channel_that_is_no_pauli_channel_is_its_twirl(name: str):
    """Twirled: one of four Paulis before the channel, and the same one after it, at random."""
    template = Template(1, (Op("ry", (0,), (row(0),)),), 1, 0)
    bindings = Bindings(np.array([[0.8]]), np.zeros(0))
    noise = _noise(OTHERS[name], twirl=True)
    kraus = noise.gates[0].channel.kraus(1)
    paulis = [
        np.eye(2),
        np.array([[0, 1], [1, 0]]),
        np.array([[0, -1j], [1j, 0]]),
        np.diag([1, -1]),
    ]
    state = np.array([np.cos(0.4), np.sin(0.4)])
    rho = np.outer(state, state)
    mixed = sum(p @ k @ p @ rho @ p @ k.conj().T @ p for p in paulis for k in kraus) / 4
    seen = tuple(Observable.parse(text) for text in ("X0", "Z0"))
    expected = np.array([[np.trace(mixed @ paulis[i]).real for i in (1, 3)]])
    found = _means(Case(template, seen, bindings), noise, trajectories=40_000)
    _agrees(found, expected)


@pytest.mark.parametrize("engine", ENGINES)
@FEW
@given(case=small)
def test_gradients_are_central_differences_of_the_very_trajectories(engine: str, case: Case):
    """For fixed errors the values are a function of the angles, differentiated exactly."""
    template, observables, b = case
    noise = _noise({"on": "one_qubit", "channel": PAULI_CHANNELS["depolarizing"]},
                   {"on": "two_qubit", "channel": PAULI_CHANNELS["depolarizing"]},
                   readout=((0.9, 0.2), (0.1, 0.8)))  # fmt: skip
    backend = StatevectorBackend(engine=engine, noise=noise, trajectories=3)
    cotangent = np.random.default_rng(6).normal(size=(len(b), len(observables)))
    estimates, pullback = backend.vjp(*case, rows_gradient=True, key=KEY)
    found = pullback(cotangent)

    def value(rows: np.ndarray, params: np.ndarray) -> float:
        values = backend.evaluate(
            template, observables, Bindings(rows, params, b.amplitudes), key=KEY
        ).values
        return float((values * cotangent).sum())

    np.testing.assert_allclose(
        estimates.values, backend.evaluate(*case, key=KEY).values, atol=1e-13
    )
    by_params = found.params if b.params.ndim == 2 else found.params.sum(axis=0)
    np.testing.assert_allclose(
        by_params, _differences(lambda p: value(b.rows, p), b.params), atol=1e-7
    )
    np.testing.assert_allclose(
        found.rows, _differences(lambda r: value(r, b.params), b.rows), atol=1e-7
    )


def _differences(function, at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    found = np.zeros(at.shape)
    for place in np.ndindex(*at.shape):
        moved = np.zeros(at.shape)
        moved[place] = step
        found[place] = (function(at + moved) - function(at - moved)) / (2 * step)
    return found


@FEW
@given(case=small, seed=st.integers(0, 99))
def test_wrong_readout_is_that_of_measured_bits(case: Case, seed: int):
    """Against the definition: the distribution of each string's bits, through the confusion."""
    template, observables, b = case
    rng = np.random.default_rng(seed)
    flips = rng.uniform(0.0, 0.4, (template.n_qubits, 2))
    readout = {q: ((1 - p, r), (p, 1 - r)) for q, (p, r) in enumerate(flips)}
    found = StatevectorBackend(noise=_noise(readout=readout)).evaluate(*case)
    factors = [np.array(readout[q]).T @ np.array([1.0, -1.0]) for q in range(template.n_qubits)]
    expected = np.zeros(found.values.shape)
    for o, observable in enumerate(observables):
        for term in observable.terms:
            acting = [q for q in range(template.n_qubits) if (term.x | term.z) >> q & 1]
            for kept in range(2 ** len(acting)):
                mask = sum(1 << q for k, q in enumerate(acting) if kept >> k & 1)
                part = Observable((term._replace(x=term.x & mask, z=term.z & mask),))
                share = np.prod(
                    [
                        (factors[q][0] - factors[q][1]) / 2
                        if mask >> q & 1
                        else (factors[q][0] + factors[q][1]) / 2
                        for q in acting
                    ]
                )
                value = reference.expectations(template, (part,), b.rows, b.params, b.amplitudes)
                expected[:, o] += share * value[:, 0]
    np.testing.assert_allclose(found.values, expected, atol=1e-9)


@FEW
@given(case=small)
def test_no_noise_is_the_exact_engine_to_the_last_bit(case: Case):
    exact = StatevectorBackend().evaluate(*case).values
    nothing = _noise({"name": "bit_flip", "p": 0.0}, {"name": "phase_damping", "gamma": 0.0})
    assert StatevectorBackend(noise=nothing).evaluate(*case).values.tobytes() == exact.tobytes()


def test_noise_outside_every_light_cone_changes_nothing():
    template = Template(
        3, (Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("rx", (2,), (param(0),))), 1, 1
    )
    bindings = Bindings(np.array([[0.3], [1.1]]), np.array([0.7]))
    seen = (Observable.parse("Z0 Z1"),)
    noise = _noise({"qubits": [2], "on": "one_qubit", "channel": {"name": "bit_flip", "p": 0.5}})
    exact = StatevectorBackend().evaluate(template, seen, bindings).values
    found = StatevectorBackend(noise=noise).evaluate(template, seen, bindings)
    assert found.values.tobytes() == exact.tobytes()
    assert found.usage.circuits == 2


def test_most_depolarizing_leaves_nothing():
    """At p = 1 the state is the maximally mixed one; each trajectory is ±, their mean is 0."""
    template = Template(2, (Op("ry", (0,), (row(0),)), Op("cx", (0, 1))), 1, 0)
    noise = _noise({"on": "two_qubit", "channel": {"name": "depolarizing", "p": 1.0}})
    case = Case(template, tuple(z_observables(2)), Bindings(np.array([[0.4]]), np.zeros(0)))
    _agrees(_means(case, noise, trajectories=20_000), np.zeros((1, 2)))


def test_over_rotation_turns_every_angle_further():
    template = Template(1, (Op("rx", (0,), (row(0),)), Op("rx", (0,), (param(0),))), 1, 1)
    bindings = Bindings(np.array([[0.4]]), np.array([0.5]))
    found = StatevectorBackend(noise=NoiseConfig(over_rotation=0.1)).evaluate(
        template, z_observables(1), bindings
    )
    assert found.values[0, 0] == pytest.approx(np.cos(1.1 * 0.9))


# ------------------------------------------------------------------------------------------- draws

TEMPLATE = Template(
    2, (Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("rx", (1,), (param(0),))), 1, 1
)
NOISE = _noise({"name": "bit_flip", "p": 0.3})


def _values(rows: int, key: DrawKey, trajectories: int = 2) -> np.ndarray:
    x = np.linspace(0.1, 2.0, 40)[key.first_row : key.first_row + rows, None]
    backend = StatevectorBackend(noise=NOISE, trajectories=trajectories)
    return backend.evaluate(
        TEMPLATE, z_observables(2), Bindings(x, np.array([0.3])), key=key
    ).values


def test_the_same_key_gives_the_same_bits_and_another_one_others():
    first = _values(16, KEY)
    assert _values(16, KEY).tobytes() == first.tobytes()
    others = [KEY.and_also(0), KEY.and_also(1), DrawKey((3, 2, 1)), DrawKey((1, 2))]
    texts = {_values(16, key).tobytes() for key in others} | {first.tobytes()}
    assert len(texts) == 5


@pytest.mark.parametrize("trajectories", [1, 3])
@pytest.mark.parametrize("cut", [1, 7, 16])
def test_a_row_draws_the_same_in_any_part_of_the_batch(cut: int, trajectories: int):
    whole = _values(40, KEY, trajectories)
    parts = [
        _values(min(cut, 40 - start), KEY._replace(first_row=start), trajectories)
        for start in range(0, 40, cut)
    ]
    np.testing.assert_allclose(np.vstack(parts), whole, atol=1e-14)


def test_errors_happen_as_often_as_they_should():
    """Chi-square over the four outcomes of one site, over many keys."""
    from scipy.stats import chisquare

    template = Template(1, (Op("ry", (0,), (row(0),)),), 1, 0)
    noise = _noise({"name": "pauli", "probabilities": {"X": 0.1, "Y": 0.2, "Z": 0.3}})
    errors = pauli_errors(template, noise)
    seen = tuple(Observable.parse(text) for text in ("X0", "Z0"))
    backend = StatevectorBackend(noise=noise, trajectories=1)
    bindings = Bindings(np.full((500, 1), 0.7), np.zeros(0))
    counts = dict.fromkeys([(1, 1), (1, -1), (-1, 1), (-1, -1)], 0)
    for key in range(40):
        values = backend.evaluate(template, seen, bindings, key=DrawKey((key,))).values
        for x, z in np.sign(values).astype(int):
            counts[int(x), int(z)] += 1
    # I keeps both signs, X flips Z, Z flips X, Y flips both.
    expected = {(1, 1): 0.4, (1, -1): 0.1, (-1, 1): 0.3, (-1, -1): 0.2}
    assert list(errors.probabilities[0]) == pytest.approx([0.4, 0.1, 0.3, 0.2])
    total = sum(counts.values())
    assert chisquare(list(counts.values()), [expected[k] * total for k in counts]).pvalue > 1e-4
