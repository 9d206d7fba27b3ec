"""Aer's simulator with our options: its device, and wrong readout of what is measured."""

from __future__ import annotations

from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError

from qstore_ray.backends.aer.device import resolve_device
from qstore_ray.backends.aer.options import AerOptions
from qstore_ray.backends.noise.config import NoiseConfig


def open_simulator(options: AerOptions) -> AerSimulator:
    """The simulator of this process.

    Raises:
        BackendError: a GPU was asked for and none computes correctly here.
    """
    return AerSimulator(
        device=resolve_device(options.device, options.method, options.precision),
        **options.simulator,
    )


def readout_model(noise: NoiseConfig | None) -> NoiseModel | None:
    """Aer's noise model of wrong readout alone: an option of each run.

    The channels stand in the circuits, so Aer has no gates to find in a list.
    """
    if noise is None or noise.readout == 0.0:
        return None
    found = NoiseModel()
    if isinstance(noise.readout, dict):
        for qubit in noise.readout:
            found.add_readout_error(ReadoutError(noise.confusion(qubit).T), [qubit])
    else:
        found.add_all_qubit_readout_error(ReadoutError(noise.confusion(0).T))
    return found
