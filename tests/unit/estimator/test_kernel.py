"""The kernel classifier: a support vector machine on the kernel's own matrix."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from qstore_ray.errors import ConfigError, UnknownNameError
from qstore_ray.estimator import QuantumKernelClassifier
from qstore_ray.learn.kernel.kernel import FidelityKernel, ProjectedKernel

X, Y = load_iris(return_X_y=True)
TRAIN, TEST = (X[::2], Y[::2]), (X[1::2], Y[1::2])
KERNELS = {"fidelity": FidelityKernel, "projected": ProjectedKernel}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("encoding", ["angle", "dense_angle", "iqp", "zz"])
def test_it_is_a_machine_on_the_kernel_s_matrix(kernel, encoding):
    """The rows compared with are the support vectors only; γ is still that of all rows."""
    model = QuantumKernelClassifier(kernel=kernel, encoding=encoding, C=2.0).fit(*TRAIN)
    own = KERNELS[kernel](model.circuit_)
    train, test = (model.preparation_.apply(rows) for rows in (TRAIN[0], TEST[0]))
    machine = SVC(kernel="precomputed", C=2.0).fit(own.matrix(train), TRAIN[1])
    matrix = own.matrix(test, train)
    np.testing.assert_allclose(
        model.decision_function(TEST[0]), machine.decision_function(matrix), atol=1e-9
    )
    np.testing.assert_array_equal(model.predict(TEST[0]), machine.predict(matrix))
    assert len(model.support_vectors_) == len(model.support_) < len(TRAIN[0])
    assert model.score(*TEST) > (0.5 if encoding == "zz" else 0.85)  # guessing: 0.33


def test_the_bandwidth_scales_the_angles():
    plain = QuantumKernelClassifier().fit(*TRAIN)
    narrow = QuantumKernelClassifier(bandwidth=0.5).fit(*TRAIN)
    np.testing.assert_allclose(
        narrow.preparation_.apply(X), 0.5 * plain.preparation_.apply(X), rtol=1e-12
    )


def test_a_backend_may_be_given_by_name_and_options():
    plain = QuantumKernelClassifier().fit(*TRAIN)
    numpy = QuantumKernelClassifier(backend_options={"engine": "numpy"}).fit(*TRAIN)
    np.testing.assert_allclose(numpy.decision_function(X), plain.decision_function(X), atol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "error", "field"),
    [
        ({"kernel": "rbf"}, UnknownNameError, "kernel"),
        ({"kernel": "projected", "gamma": -1.0}, ConfigError, "gamma"),
        ({"encoding": "angels"}, UnknownNameError, "encoding"),
        ({"bandwidth": 0.0}, ConfigError, "bandwidth"),
        ({"bandwidth": 0.5, "encoding": "amplitude"}, ConfigError, "bandwidth"),
        ({"backend": "qpu"}, UnknownNameError, "backend"),
        ({"n_threads": 0}, ConfigError, "n_threads"),
        ({"class_weight": {"no such label": 1.0}}, UnknownNameError, "class_weight"),
        ({"class_weight": {0: -1.0}}, ConfigError, "class_weight"),
        ({"class_weight": {0: 0.0}}, ConfigError, "class_weight"),
        ({"class_weight": {0: 0.0, 1: 0.0, 2: 0.0}}, ConfigError, "class_weight"),
        ({"class_weight": "equal"}, ConfigError, "class_weight"),
    ],
)
def test_a_wrong_parameter_is_named_when_fitting(parameters, error, field):
    with pytest.raises(error) as caught:
        QuantumKernelClassifier(**parameters).fit(*TRAIN)
    assert caught.value.field.partition(".")[0] == field


def test_shots_give_estimates_that_are_the_same_in_fit_and_predict():
    exact = QuantumKernelClassifier(C=2.0).fit(*TRAIN)
    model = QuantumKernelClassifier(C=2.0, shots=200, random_state=1).fit(*TRAIN)
    again = QuantumKernelClassifier(C=2.0, shots=200, random_state=1).fit(*TRAIN)
    other = QuantumKernelClassifier(C=2.0, shots=200, random_state=2).fit(*TRAIN)
    scores = model.decision_function(TEST[0])
    np.testing.assert_array_equal(again.decision_function(TEST[0]), scores)
    assert (other.decision_function(TEST[0]) != scores).any()
    assert (exact.decision_function(TEST[0]) != scores).any()
    np.testing.assert_array_equal(model.decision_function(TEST[0][:5]), scores[:5])
    assert model.score(*TEST) > 0.8


@pytest.mark.parametrize(
    ("options", "words"),
    [({"shots": 0}, "shots"), ({"shots": 10, "kernel": "projected"}, "takes no shots")],
)
def test_shots_that_fit_nothing_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        QuantumKernelClassifier(**options).fit(*TRAIN)


CHANGES = [
    {"kernel": "projected"},
    {"gamma": 9.0},
    {"bandwidth": 0.1, "encoding": "iqp", "n_qubits": 2, "C": 9.0, "scale_features": False},
]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_parameters_that_change_after_fit_change_no_prediction(kernel: str, changes: dict):
    model = QuantumKernelClassifier(kernel=kernel).fit(*TRAIN)
    before = model.decision_function(TEST[0])
    model.set_params(**changes)
    np.testing.assert_array_equal(model.decision_function(TEST[0]), before)
