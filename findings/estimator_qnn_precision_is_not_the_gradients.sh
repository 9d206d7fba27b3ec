#!/usr/bin/env bash
# The precision of an EstimatorQNN holds for its forward pass; its gradient is measured with another.
#
# Versions   qiskit-machine-learning 0.9.1, qiskit 2.6.2
# Valid input  EstimatorQNN(circuit, estimator=..., default_precision=0.25): one qubit, one input, one weight
# Behaviour  forward() asks the estimator for precision 0.25 (16 shots). backward() asks for no precision, so
#            that the estimator's own holds: of BackendEstimatorV2 it is 0.015625, which is 4,096 shots, 256
#            times as many for each of the two shifted circuits. Nothing is said, and on a device that is
#            paid by the shot nearly the whole bill is the part that was not asked for. The gradient has no
#            option for it either: only the default of the estimator itself reaches both passes.
# Output seen  forward asks for [0.25]
#              backward asks for [None]
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-machine-learning==0.9.1"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.primitives import StatevectorEstimator
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN


class Recording(StatevectorEstimator):
    """The estimator of Qiskit, which also keeps the precision that it is asked for."""

    def run(self, pubs, *, precision=None):
        asked.append(precision)
        return super().run(pubs, precision=precision)


asked = []
x, w = Parameter("x"), Parameter("w")
circuit = QuantumCircuit(1)
circuit.ry(x, 0)
circuit.rx(w, 0)


network = EstimatorQNN(
    circuit=circuit, input_params=[x], weight_params=[w], estimator=Recording(seed=1),
    default_precision=0.25,
)
network.forward([0.3], [0.4])
print("forward asks for", asked)
assert asked == [0.25], asked
asked.clear()
network.backward([0.3], [0.4])
print("backward asks for", asked)
assert asked == [None], asked
PYTHON
echo "as stated"
