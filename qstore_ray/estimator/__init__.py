"""Quantum models as scikit-learn estimators."""

from qstore_ray.estimator.classifier import QuantumClassifier
from qstore_ray.estimator.kernel import QuantumKernelClassifier
from qstore_ray.estimator.regressor import QuantumRegressor

__all__ = ["QuantumClassifier", "QuantumKernelClassifier", "QuantumRegressor"]
