"""A parameter of a wrong type is an error that names it, in every estimator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier

from qstore_ray.errors import ConfigError, QStoreError
from qstore_ray.estimator import QuantumClassifier, QuantumKernelClassifier, QuantumRegressor

RNG = np.random.default_rng(0)
X, Y = RNG.random((12, 3)), np.arange(12) % 2
ESTIMATORS = {
    "classifier": QuantumClassifier(n_qubits=2, epochs=1, n_layers=1),
    "kernel": QuantumKernelClassifier(n_qubits=2),
    "regressor": QuantumRegressor(n_qubits=2, epochs=1, n_layers=1),
}
WRONG = ("zz", -1, 2.5, None, [1], {"a": 1}, True, float("nan"), float("inf"))
FLAGS = ("early_stopping", "scale_features", "warm_start")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_parameter_of_any_type_ends_in_a_foreign_error(name: str):
    """Each is fitted with, or is an error that names it."""
    for parameter in ESTIMATORS[name].get_params(deep=False):
        for value in WRONG:
            estimator = clone(ESTIMATORS[name]).set_params(**{parameter: value})
            try:
                estimator.fit(X, Y)
            except QStoreError as exc:
                named = exc.field.partition(".")[0]
                assert parameter.startswith(named) or parameter in ("circuit", "features")


@pytest.mark.parametrize("flag", FLAGS)
def test_a_text_is_not_taken_for_true(flag: str):
    with pytest.raises(ConfigError, match="true or false") as caught:
        QuantumClassifier(**{flag: "no"}).fit(X, Y)
    assert caught.value.field == flag


@pytest.mark.parametrize("seed", [-1, 2**32, "one", np.random.default_rng(0)])
def test_a_random_state_that_is_none_is_named(seed: object):
    with pytest.raises(ConfigError, match="a random state is") as caught:
        QuantumClassifier(random_state=seed).fit(X, Y)
    assert caught.value.field == "random_state"


@pytest.mark.parametrize("labels", [Y, Y.astype(float), Y.astype(bool), np.array(["a", "b"])[Y]])
def test_class_weights_of_the_kernel_machine_are_found_by_text_too(labels):
    classes = np.unique(labels).tolist()
    own = QuantumKernelClassifier(class_weight=dict(zip(classes, (1.0, 5.0), strict=True)))
    texts = [str(int(label)) if isinstance(label, float) else str(label) for label in classes]
    by_text = QuantumKernelClassifier(class_weight=dict(zip(texts, (1.0, 5.0), strict=True)))
    plain = QuantumKernelClassifier().fit(X, labels).decision_function(X)
    found = own.fit(X, labels).decision_function(X)
    np.testing.assert_array_equal(by_text.fit(X, labels).decision_function(X), found)
    assert np.abs(found - plain).max() > 1e-3


def test_a_loss_without_probabilities_lacks_the_method_before_and_after_fit():
    hinge = QuantumClassifier(n_qubits=2, epochs=1, model_options={"loss": "hinge"})
    assert not hasattr(hinge, "predict_proba")
    assert not hasattr(hinge.fit(X, Y), "predict_proba")
    assert hasattr(QuantumClassifier(), "predict_proba")
    stack = StackingClassifier([("hinge", hinge)], cv=2).fit(X, Y)  # takes decision_function
    assert stack.predict(X).shape == (12,)
