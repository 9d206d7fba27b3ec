"""Qiskit Aer as a backend: an independent, well-tested simulator with shots, noise and GPUs.

    installation.py   which of its two builds is installed
    options.py        the options, checked by us
    noisy.py          what a noise makes of a circuit, also of one compiled for a device
    circuits.py       templates as Aer's circuits, with noise behind their gates
    device.py         CPU or GPU: probe and self-check
    simulator.py      Aer's simulator, with wrong readout
    truncation.py     what matrix product states leave out
    backend.py        AerBackend

Aer is the cross-check of our own engine, the exact answer for noise that is no Pauli channel, and,
with its GPU build, the engine for more qubits. To add an option, check it in `options.py`.
"""

from qstore_ray.backends.aer.backend import AerBackend

__all__ = ["AerBackend"]
