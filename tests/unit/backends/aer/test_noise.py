"""Noise on Aer: every channel once behind its gate, exact or in shots, with wrong readout."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.readout import read_wrongly
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import BackendError, ConfigError
from qstore_ray.testing.strategies import Case, cases
from tests.aer_noise import density_values

KEY = DrawKey((3, 1))
FEW = settings(max_examples=12, deadline=None)
CHANNELS = {
    "bit_flip": {"name": "bit_flip", "p": 0.15},
    "phase_flip": {"name": "phase_flip", "p": 0.2},
    "bit_phase_flip": {"name": "bit_phase_flip", "p": 0.1},
    "phase_damping": {"name": "phase_damping", "gamma": 0.3},
    "amplitude_damping": {"name": "amplitude_damping", "gamma": 0.3},
    "full damping": {"name": "amplitude_damping", "gamma": 1.0},
    "thermal_relaxation": {"name": "thermal_relaxation", "t1": 1e-6, "t2": 1e-6, "time": 3e-7},
    "long T2": {"name": "thermal_relaxation", "t1": 1e-6, "t2": 1.6e-6, "time": 3e-7},
}
TWO = {"name": "pauli", "probabilities": {"XI": 0.1, "ZY": 0.05, "YY": 0.05, "IZ": 0.1}}
READOUT = ((0.9, 0.2), (0.1, 0.8))


def _noise(*channels, **fields) -> NoiseConfig:
    gates = [c if "channel" in c else {"on": "all", "channel": c} for c in channels]
    return NoiseConfig(gates=gates, **fields)


DEPOLARIZING = _noise(
    {"on": "one_qubit", "channel": {"name": "depolarizing", "p": 0.2}},
    {"on": "two_qubit", "channel": {"name": "depolarizing", "p": 0.3}},
)
small = cases(max_ops=6)


@FEW
@given(case=small, name=st.sampled_from(sorted(CHANNELS)))
def test_exact_values_are_those_of_the_density_matrix(case: Case, name: str):
    """Against Aer's own errors, appended gate by gate."""
    noise = _noise(CHANNELS[name])
    found = AerBackend(noise=noise).evaluate(*case)
    np.testing.assert_allclose(found.values, density_values(*case, noise), atol=1e-9)
    assert found.variances is None


@pytest.mark.parametrize("gate", [name for name, spec in GATES.items() if spec.n_qubits == 2])
def test_noise_follows_every_gate_once_however_it_is_rewritten(gate: str):
    slots = (param(0, 0.7), const(0.4), row(0))[: GATES[gate].n_angles]
    ops = (Op("ry", (0,), (row(0),)), Op("h", (1,)), Op("rx", (2,), (param(0),)))
    template = Template(3, (*ops, Op(gate, (2, 0), slots), Op("rx", (0,), (const(0.3),))), 1, 1)
    seen = tuple(Observable.parse(text) for text in ("Z0", "Z2", "X0 Y2", "Z0 Z2", "Y0"))
    case = Case(template, seen, Bindings(np.array([[0.4], [1.3]]), np.array([0.9])))
    noise = _noise({"on": gate, "channel": TWO}, {"on": gate, "channel": CHANNELS["bit_flip"]})
    found = AerBackend(noise=noise).evaluate(*case).values
    np.testing.assert_allclose(found, density_values(*case, noise), atol=1e-9)
    clean = AerBackend().evaluate(*case).values
    assert abs(found - clean).max() > 1e-3


@FEW
@given(case=small)
def test_the_trajectories_of_the_exact_engine_average_to_it(case: Case):
    noise = DEPOLARIZING.model_copy(update={"readout": READOUT, "over_rotation": 0.1})
    found = StatevectorBackend(noise=noise, trajectories=3000).evaluate(*case, key=KEY)
    exact = AerBackend(noise=noise).evaluate(*case).values
    error = np.zeros_like(exact) if found.variances is None else np.sqrt(found.variances)
    assert (np.abs(found.values - exact) <= 5.0 * error + 1e-6).all()


def test_channels_of_wide_circuits_are_not_fused():
    """Aer fuses channels of larger circuits, and its routine for that fails on this one."""
    angles = iter(np.random.default_rng(0).normal(size=64))
    ops = []
    for _ in range(4):
        for q in range(8):
            ops += [Op("ry", (q,), (const(next(angles)),)), Op("rz", (q,), (const(next(angles)),))]
        ops += [Op("cx", (q, q + 1)) for q in range(7)]
    case = Case(Template(8, tuple(ops)), z_observables(8), Bindings(np.zeros((1, 0)), np.zeros(0)))
    weak = _noise(
        {"on": "one_qubit", "channel": {"name": "depolarizing", "p": 0.01}},
        {"on": "two_qubit", "channel": {"name": "depolarizing", "p": 0.01}},
    )
    exact = AerBackend(noise=weak).evaluate(*case).values
    found = StatevectorBackend(noise=weak, trajectories=2000).evaluate(*case, key=KEY)
    assert (np.abs(found.values - exact) <= 5.0 * np.sqrt(found.variances) + 1e-6).all()


def test_twirl_makes_the_channels_those_of_the_exact_engine():
    template = Template(1, (Op("ry", (0,), (row(0),)),), 1, 0)
    case = Case(template, z_observables(1), Bindings(np.array([[2.5]]), np.zeros(0)))
    damping = CHANNELS["amplitude_damping"]
    exact = AerBackend(noise=_noise(damping)).evaluate(*case).values[0, 0]
    assert exact == pytest.approx(0.3 + 0.7 * np.cos(2.5))
    twirled = AerBackend(noise=_noise(damping, twirl=True)).evaluate(*case).values[0, 0]
    assert twirled == pytest.approx(0.7 * np.cos(2.5))


@FEW
@given(case=small)
def test_no_noise_changes_nothing(case: Case):
    nothing = _noise({"name": "bit_flip", "p": 0.0}, {"name": "phase_damping", "gamma": 0.0})
    found = AerBackend(method="density_matrix", noise=nothing).evaluate(*case).values
    exact = AerBackend(method="density_matrix").evaluate(*case).values
    np.testing.assert_allclose(found, exact, atol=1e-14)


@pytest.mark.parametrize("method", ["density_matrix", "statevector", "matrix_product_state"])
def test_shots_have_the_noisy_mean_and_the_wrong_readout(method: str):
    template = Template(
        2,
        (Op("ry", (0,), (row(0),)), Op("crx", (0, 1), (param(0),)), Op("h", (0,))),
        n_rows=1,
        n_params=1,
    )
    seen = tuple(map(Observable.parse, ("Z0", "Z0 Z1", "Y0 X1", "0.5*Z1 + X0 - 0.2*Z0 Z1")))
    case = Case(template, seen, Bindings(np.array([[0.7], [2.0]]), np.array([1.1])))
    noise = _noise(
        CHANNELS["amplitude_damping"],
        {"on": "crx", "channel": TWO},
        readout={0: READOUT, 1: 0.1},
    )
    exact = AerBackend(noise=noise).evaluate(*case).values
    wrongly = tuple(read_wrongly(o, noise) for o in seen)
    expected = density_values(template, wrongly, case.bindings, noise)
    np.testing.assert_allclose(exact, expected, atol=1e-9)
    shots = 4000 if method == "density_matrix" else 1000
    found = AerBackend(method=method, noise=noise).evaluate(*case, shots=shots, key=KEY)
    assert (np.abs(found.values - exact) <= 5.0 * np.sqrt(found.variances)).all()
    assert found.usage == (2 * 3, 2 * 3 * shots)


@pytest.mark.parametrize("method", ["density_matrix", "statevector"])
def test_noisy_rows_draw_apart_beyond_the_step_between_aers_seeds(method: str):
    """Aer gives row k the seed s + 2113·k, and shot i of a trajectory s + i: equal rows would
    share their shots."""
    template = Template(1, (Op("h", (0,)),))
    case = Case(template, z_observables(1), Bindings(np.zeros((4, 0)), np.zeros(0)))
    backend = AerBackend(method=method, noise=_noise(CHANNELS["amplitude_damping"]))
    found = backend.evaluate(*case, shots=2500, key=KEY)
    assert len(set(found.values[:, 0].tolist())) == 4
    assert np.abs(np.diff(found.values[:, 0])).max() > 0.005  # 4/2500 if they shared their shots
    following = backend.evaluate(*case, shots=2500, key=KEY._replace(first_row=1))
    assert following.values[:-1].tobytes() == found.values[1:].tobytes()


@pytest.mark.parametrize("method", ["statevector", "matrix_product_state"])
def test_methods_that_draw_errors_have_no_exact_noisy_values(method: str):
    backend = AerBackend(method=method, noise=_noise(CHANNELS["bit_flip"]))
    case = Case(Template(1, ()), z_observables(1), Bindings(np.zeros((1, 0)), np.zeros(0)))
    with pytest.raises(BackendError, match="density_matrix") as caught:
        backend.evaluate(*case)
    assert caught.value.field == "method"


def test_readout_and_over_rotation_alone_need_no_density_matrix():
    template = Template(1, (Op("rx", (0,), (row(0),)),), 1, 0)
    case = Case(template, z_observables(1), Bindings(np.array([[0.5]]), np.zeros(0)))
    backend = AerBackend(noise={"readout": 0.1, "over_rotation": 0.2})
    assert backend.method == "statevector"
    assert backend.evaluate(*case).values[0, 0] == pytest.approx(0.8 * np.cos(0.6))


def test_automatic_is_decided_by_the_noise_and_said(caplog: pytest.LogCaptureFixture):
    """Not by the shots, as Aer would."""
    with caplog.at_level(logging.INFO, "qstore_ray.backends.aer.options"):
        assert AerBackend(shots=10).method == "statevector"
        noisy = AerBackend(noise=_noise(CHANNELS["bit_flip"]), shots=10)
    assert noisy.method == "density_matrix"
    assert "density_matrix" in repr(noisy)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["method automatic: statevector", "method automatic: density_matrix"]


def test_noise_on_a_qubit_that_the_circuit_lacks_is_refused():
    backend = AerBackend(noise=_noise({"qubits": [3], "on": "one_qubit",
                                       "channel": CHANNELS["bit_flip"]}))  # fmt: skip
    case = Case(Template(2, ()), z_observables(2), Bindings(np.zeros((1, 0)), np.zeros(0)))
    with pytest.raises(ConfigError, match="4 qubits"):
        backend.check(*case)
    with pytest.raises(ConfigError, match="4 qubits"):
        backend.evaluate(*case, shots=10, key=KEY)
