#!/usr/bin/env bash
# The results of a grid search over circuits have other objects in their place.
#
# Versions   scikit-learn 1.9.1, numpy 2.4.6, qiskit 2.6.2
# Valid input  GridSearchCV over a parameter whose values are two QuantumCircuits
# Behaviour  The estimators get the circuits, and best_params_ has one of them. cv_results_ has an object of
#            the circuits' insides, CircuitData, for each: it compares equal to the circuit, but has no name and
#            no draw, and is not a circuit that can be run. scikit-learn keeps parameters in a masked array of
#            numpy, which stores the attribute _data of whatever is put into it, if it has one: a circuit has.
#            In a plain array of objects the same circuits stay what they are.
# Output seen  best_params_: QuantumCircuit
#              cv_results_: CircuitData, CircuitData
#              with a name: False, False
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "scikit-learn==1.9.1" "numpy==2.4.6" "qiskit==2.6.2"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from qiskit import QuantumCircuit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV


class WithCircuit(ClassifierMixin, BaseEstimator):
    """Always answers 0."""

    def __init__(self, circuit=None):
        self.circuit = circuit

    def fit(self, x, y):
        assert isinstance(self.circuit, QuantumCircuit), type(self.circuit)
        self.classes_ = np.unique(y)
        return self

    def predict(self, x):
        return np.zeros(len(x), int)


circuits = [QuantumCircuit(2, name=f"of {gates} gates") for gates in (1, 2)]
for gates, circuit in enumerate(circuits, start=1):
    for _ in range(gates):
        circuit.h(0)
x, y = np.zeros((10, 2)), np.arange(10) % 2
search = GridSearchCV(WithCircuit(), {"circuit": circuits}, cv=2).fit(x, y)
best = type(search.best_params_["circuit"]).__name__
kept = list(search.cv_results_["param_circuit"])
kinds = [type(each).__name__ for each in kept]
named = [hasattr(each, "name") for each in kept]
print(f"best_params_: {best}")
print(f"cv_results_: {', '.join(kinds)}")
print(f"with a name: {', '.join(map(str, named))}")
assert not any(hasattr(each, "draw") for each in kept)
assert all(one == two for one, two in zip(kept, circuits))
plain = np.empty(2, object)
plain[:] = circuits
assert all(isinstance(each, QuantumCircuit) for each in plain)
assert (best, kinds, named) == ("QuantumCircuit", ["CircuitData"] * 2, [False, False])
PYTHON
echo "as stated"
