"""Techniques that change nothing for a circuit and its noise, and cost circuits all the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qstore_ray.backends.base import Backend
from qstore_ray.backends.mitigation.backend import MitigatedBackend
from qstore_ray.backends.mitigation.cliffords import clifford_parts
from qstore_ray.backends.mitigation.placed_circuit import PlacedCircuit, place_circuit
from qstore_ray.circuits.template import Template

_LEAST = 1e-12


def unused_mitigation(template: Template, backend: Backend) -> list[str]:
    """What the mitigation of a backend does in vain for a circuit, each as a sentence.

    Nothing is said of a backend that is not mitigated, or whose noise is not known.
    """
    if not isinstance(backend, MitigatedBackend) or not backend.knows_its_noise:
        return []
    return list(_unused(place_circuit(template, backend.noise), backend))


def _unused(circuit: PlacedCircuit, backend: MitigatedBackend) -> Iterator[str]:
    config, noise = backend.config, circuit.noise
    is_error_free = all(gate.error < _LEAST for gate in circuit.gates)
    if config.zne is not None and is_error_free:
        if noise is None or not noise.over_rotation:
            yield (
                "mitigation.zne changes nothing: folding repeats gates, and no gate of the circuit "
                "has an error. Wrong readout does not grow with folding; take readout = 'inverse'"
            )
        elif config.twirl is None:
            yield (
                "mitigation.zne changes nothing: folding undoes an over-rotation, and the gates of "
                "the circuit have no other error; set mitigation.twirl too"
            )
    if config.twirl is not None and not clifford_parts(circuit):
        yield "mitigation.twirl changes nothing: the circuit has no Clifford gate of two qubits"
    # Calibration circuits count errors of the gates that prepare 1 as errors of the readout.
    if config.readout is not None and (config.calibration == "noise" or is_error_free):
        confusions = [circuit.readout.confusion(q) for q in range(circuit.template.n_qubits)]
        if all(np.abs(confusion - np.eye(2)).max() < _LEAST for confusion in confusions):
            yield "mitigation.readout changes nothing: the noise has no wrong readout"
