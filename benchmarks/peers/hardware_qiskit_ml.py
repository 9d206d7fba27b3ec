"""qiskit-machine-learning on the stand-in: `NeuralNetworkClassifier` with an `EstimatorQNN`.

shift        ADAM with the network's own gradient, `ParamShiftEstimatorGradient`
shift-alone  the same; the number of shots is given to the network alone, as its
             `default_precision`. The gradient does not pass it on: it has the Estimator's default
spsa         the optimizer SPSA, with its learning rate given: else it calibrates for 50 more
"""

from __future__ import annotations

import numpy as np
from hardware_peer import reached, task
from peer_qiskit_ml import expression
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import EstimatorV2, QiskitRuntimeService
from qiskit_machine_learning.algorithms import NeuralNetworkClassifier
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN
from qiskit_machine_learning.optimizers import ADAM, SPSA


def main() -> None:
    """Train and score."""
    given = task()
    case = given.case
    circuit = QuantumCircuit(case.n_qubits)
    rows = ParameterVector("x", case.rows.shape[1])
    params = ParameterVector("y", len(case.params))  # sorts after the rows, as the network needs
    for op in case.ops:
        angles = [expression(angle, rows, params) for angle in op.angles]
        getattr(circuit, op.gate)(*angles, *op.qubits)
    terms = [("Z" * len(qubits), list(qubits), 1.0) for qubits in case.observables]
    observable = SparsePauliOp.from_sparse_list(terms, num_qubits=case.n_qubits)

    backend = QiskitRuntimeService().backend(given.device)
    precision = 1 / np.sqrt(given.shots)
    estimator = EstimatorV2(mode=backend)
    estimator.options.resilience_level = 0
    if given.method != "shift-alone":
        estimator.options.default_precision = precision
    passes = generate_preset_pass_manager(backend=backend, optimization_level=3, seed_transpiler=0)
    compiled = passes.run(circuit)
    network = EstimatorQNN(
        circuit=compiled, observables=observable.apply_layout(compiled.layout),
        input_params=list(rows), weight_params=list(params), estimator=estimator,
        gradient=ParamShiftEstimatorGradient(estimator), default_precision=precision,
    )  # fmt: skip
    optimizer = (
        SPSA(given.steps, learning_rate=given.learning_rate, perturbation=given.perturbation)
        if given.method == "spsa"
        else ADAM(given.steps, lr=given.learning_rate, tol=0.0)
    )
    model = NeuralNetworkClassifier(
        network, loss="squared_error", optimizer=optimizer, initial_point=case.params
    )
    reached("ready")
    model.fit(case.rows, case.y)
    reached("trained")
    found = model.predict(given.test_rows).ravel()
    reached("scored", accuracy=float(np.mean(found == given.test_y)))


if __name__ == "__main__":
    main()
