"""Noisy circuits on Aer's density matrix, gate by gate: the means of our trajectories."""

from __future__ import annotations

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    QuantumError,
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
    phase_damping_error,
    thermal_relaxation_error,
)

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.circuits.qiskit.qiskit import to_qiskit
from qstore_ray.circuits.template import Template


def aer_error(channel, n_qubits: int) -> QuantumError:
    """Aer's own error of the same physical numbers."""
    made = {
        "depolarizing": lambda: depolarizing_error(channel.p, n_qubits),
        "bit_flip": lambda: pauli_error([("X", channel.p), ("I", 1 - channel.p)]),
        "phase_flip": lambda: pauli_error([("Z", channel.p), ("I", 1 - channel.p)]),
        "bit_phase_flip": lambda: pauli_error([("Y", channel.p), ("I", 1 - channel.p)]),
        "pauli": lambda: _pauli(channel, n_qubits),
        "amplitude_damping": lambda: amplitude_damping_error(channel.gamma),
        "phase_damping": lambda: phase_damping_error(channel.gamma),
        "thermal_relaxation": lambda: thermal_relaxation_error(
            channel.t1, channel.t2, channel.time
        ),
    }
    return made[channel.name]()


def _pauli(channel, n_qubits: int) -> QuantumError:
    entries = [(string[::-1], p) for string, p in channel.probabilities.items()]
    rest = 1.0 - sum(p for _, p in entries)
    return pauli_error([*entries, ("I" * n_qubits, rest)])


def density_values(
    template: Template, observables, bindings: Bindings, noise: NoiseConfig
) -> np.ndarray:
    """⟨O⟩ (N, O) of Aer's density matrix with the channels after the gates; readout left out."""
    simulator = AerSimulator(method="density_matrix", zero_threshold=0.0)
    circuits = [_bound(template, bindings, i, noise) for i in range(len(bindings))]
    for circuit in circuits:
        for number, observable in enumerate(observables):
            circuit.save_expectation_value(
                _operator(observable, template.n_qubits), range(template.n_qubits), str(number)
            )
    result = simulator.run(circuits).result()
    assert result.success
    return np.array(
        [[result.data(i)[str(o)] for o in range(len(observables))] for i in range(len(circuits))]
    )


def _bound(template: Template, bindings: Bindings, i: int, noise: NoiseConfig) -> QuantumCircuit:
    found = QuantumCircuit(template.n_qubits)
    if bindings.amplitudes is not None:
        state = bindings.amplitudes[i]
        found.set_density_matrix(np.outer(state, state.conj()))
    rows = bindings.rows[i]
    params = bindings.params if bindings.params.ndim == 1 else bindings.params[i]
    for op in template.ops:
        single = to_qiskit(Template(template.n_qubits, (op,), template.n_rows, template.n_params))
        values = {p: (rows if p.vector.name == "x" else params)[p.index] for p in single.parameters}
        found.compose(single.assign_parameters(values).decompose(reps=3), inplace=True)
        for entry in noise.gates:
            if not entry.follows(op.gate, op.qubits):
                continue
            if entry.channel.n_qubits == 1:
                for qubit in op.qubits:
                    found.append(aer_error(entry.channel, 1), [qubit])
            else:
                found.append(aer_error(entry.channel, len(op.qubits)), list(op.qubits))
    return found


def _operator(observable, n_qubits: int) -> SparsePauliOp:
    letters = {(1, 0): "X", (1, 1): "Y", (0, 1): "Z"}
    terms = []
    for term in observable.terms:
        acting = [q for q in range(n_qubits) if (term.x | term.z) >> q & 1]
        text = "".join(letters[term.x >> q & 1, term.z >> q & 1] for q in acting)
        terms.append((text, acting, term.coefficient))
    return SparsePauliOp.from_sparse_list(terms, num_qubits=n_qubits)
