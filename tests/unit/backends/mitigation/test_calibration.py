"""Calibration: the confusion matrices that two circuits measure on a circuit's own qubits."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends import open_backend
from qstore_ray.backends.mitigation.calibration import ReadoutCalibration
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.mitigation.placed_circuit import place_circuit, preparation
from qstore_ray.backends.mitigation.runner import DirectRunner
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.circuits.template import Op, Template

PAIR = Template(2, (Op("h", (0,)), Op("cx", (0, 1))))
CIRCUITS = MitigationConfig(readout="inverse", calibration="circuits", calibration_shots=40_000)


def _measured(noise: NoiseConfig, shots: int | None = None) -> np.ndarray:
    def reopen(own: NoiseConfig):
        return open_backend("aer", {"noise": own, "shots": shots})

    calibration = ReadoutCalibration(DirectRunner(reopen(noise), reopen), CIRCUITS)
    return calibration.confusions(place_circuit(PAIR, noise), sampled=shots is not None)


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
