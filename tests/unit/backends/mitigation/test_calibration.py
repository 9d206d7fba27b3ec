"""Calibration: the confusion matrices that two circuits measure on a circuit's own qubits."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation import calibration
from qstore_ray.backends.mitigation.backend import open_mitigated
from qstore_ray.backends.mitigation.calibration import ReadoutCalibration
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.mitigation.placed_circuit import place_circuit, preparation
from qstore_ray.backends.mitigation.runner import DirectRunner
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template
from qstore_ray.errors import BackendError, ConfigError

PAIR = Template(2, (Op("h", (0,)), Op("cx", (0, 1))))
NOTHING = Bindings(np.zeros((1, 0)), np.zeros(0))
CIRCUITS = MitigationConfig(readout="inverse", calibration="circuits", calibration_shots=40_000)


def _measured(noise: NoiseConfig, shots: int | None = None) -> np.ndarray:
    def reopen(own: NoiseConfig):
        return open_backend("aer", {"noise": own, "shots": shots})

    calibration = ReadoutCalibration(DirectRunner(reopen(noise), reopen), CIRCUITS)
    return calibration.readout(place_circuit(PAIR, noise), sampled=shots is not None).confusions


@pytest.mark.parametrize("shots", [None, 10])
def test_the_error_of_the_x_gate_counts_as_readout(shots: int | None):
    """Read as 0 after X: (1 − p) P(0|1) + p P(0|0). Shots are the calibration's own."""
    flip, readout = 0.1, {0: [[0.97, 0.05], [0.03, 0.95]], 1: 0.02}
    gates = [{"on": "x", "channel": {"name": "bit_flip", "p": flip}}]
    noise = NoiseConfig(gates=gates, readout=readout)
    expected = np.array([noise.confusion(0), noise.confusion(1)])
    expected[:, :, 1] = (1 - flip) * expected[:, :, 1] + flip * expected[:, :, 0]
    found = _measured(noise, shots)
    np.testing.assert_allclose(found, expected, atol=1e-12 if shots is None else 0.01)


def test_a_device_prepares_the_qubits_that_the_circuit_is_on():
    noise = NoiseConfig(device="fake_torino", twirl=True)
    circuit = place_circuit(PAIR, noise)
    layout = circuit.compiled.layout
    ones, zeros = (preparation(circuit, ones=each) for each in (True, False))
    assert zeros.gates == ()
    for qubit, gate in enumerate(ones.gates):
        expected = noise.device.channels("x", (layout[qubit],))
        assert [(channel, (qubit,)) for channel, _ in expected] == list(gate.channels)
    known = np.array([circuit.readout.confusion(q) for q in range(2)])
    found = _measured(noise)
    assert 0.0 < np.abs(found - known).max() < 0.01
    np.testing.assert_allclose(found[:, :, 0], known[:, :, 0], atol=1e-12)


@pytest.mark.parametrize("readout", ["inverse", "matrix_free"])
@pytest.mark.parametrize(("wrong", "least"), [(0.0, 100), (0.05, 124), (0.25, 400)])
def test_too_few_shots_of_a_calibration_are_refused_before_they_are_taken(readout, wrong, least):
    def check(shots: int) -> None:
        config = MitigationConfig(
            readout=readout, calibration="circuits", calibration_shots=shots, zne={"scales": [1, 3]}
        )
        options = {"noise": {"readout": wrong}, "shots": 50}
        open_mitigated("statevector", options, config).check(PAIR, z_observables(2), NOTHING)

    check(least)
    for few in (1, 10, least - 1):
        with pytest.raises(ConfigError, match=f"Take at least {least}") as caught:
            check(few)
        assert caught.value.field == "mitigation.calibration_shots"


@pytest.mark.parametrize("readout", ["inverse", "matrix_free"])
def test_readout_that_cannot_be_inverted_is_refused_before_it_is_measured(readout):
    config = MitigationConfig(readout=readout, calibration="circuits")
    backend = open_mitigated("statevector", {"noise": {"readout": 0.5}, "shots": 50}, config)
    with pytest.raises(BackendError, match="read alike"):
        backend.check(PAIR, z_observables(2), NOTHING)


def test_strings_that_are_too_long_for_measured_matrices_are_refused_before():
    wide, string = Template(11, ()), (Observable.parse(" ".join(f"Z{q}" for q in range(11))),)
    options = {"noise": {"readout": 0.01}, "shots": 50}
    for source in ("noise", "circuits"):
        config = MitigationConfig(readout="inverse", calibration=source)
        backend = open_mitigated("statevector", options, config)
        if source == "noise":  # the same error in 0 and 1 multiplies out to one string
            backend.check(wide, string, NOTHING)
            continue
        with pytest.raises(BackendError, match="matrix_free"):
            backend.check(wide, string, NOTHING)


def test_the_least_shots_of_a_calibration_are_enough(monkeypatch: pytest.MonkeyPatch):
    """Slopes of 300 calibrations of the worst readout are all far from 0."""
    noise = NoiseConfig(readout=0.25)
    circuit = place_circuit(PAIR, noise)
    slopes = []
    for seed in range(300):
        monkeypatch.setattr(calibration, "_KEY", DrawKey((seed,)))
        config = MitigationConfig(readout="inverse", calibration="circuits", calibration_shots=400)
        backend = open_backend("statevector", {"noise": noise, "shots": 1})
        found = (
            ReadoutCalibration(DirectRunner(backend), config)
            .readout(circuit, sampled=True)
            .confusions
        )
        slopes += list(1.0 - found[:, 0, 1] - found[:, 1, 0])
    assert min(slopes) > 0.3
    assert abs(np.mean(slopes) - 0.5) < 0.01
