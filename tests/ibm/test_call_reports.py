"""What users of IBM's client reported of predictions, kernels and searches by scikit-learn.

Each test names the kind of report that it is about.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit.library import zz_feature_map
from sklearn.model_selection import GridSearchCV, cross_val_score

from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.circuits.load import circuit_of_rows
from qstore_ray.estimator.classifier import QuantumClassifier
from qstore_ray.estimator.kernel import QuantumKernelClassifier
from qstore_ray.train.model.trained import TrainedModel
from tests.ibm.test_calls import X, Y, is_closed, ledgers, simulated
from tests.ibm.test_searches import options


def given(folder: Path, **more) -> dict:
    return {"backend": "ibm", "backend_options": options(folder, **more), "n_qubits": 2}


def test_a_model_file_is_loaded_and_predicts_on_a_device(ibm, tmp_path):
    """A saved classifier had no way to a device (qiskit#11332, qiskit-machine-learning#718)."""
    path = simulated(tmp_path).save(tmp_path / "m.qsm")
    model = TrainedModel.load(path, IbmBackend(**options(tmp_path)))
    assert model.predict(X).shape == (6,)
    assert len(ibm.accepted()) == 1
    assert ledgers(tmp_path)[0].startswith("predict-")


def test_a_grid_search_runs_on_a_device_and_measures_equal_points_once(ibm, tmp_path):
    """Cloned estimators lost their circuit or backend (qiskit-machine-learning#494, sQUlearn#190,
    #286). The penalty changes no circuit, so all its values share the matrices of a fold."""
    machine = QuantumKernelClassifier(**given(tmp_path))
    search = GridSearchCV(machine, {"C": [0.1, 10.0]}, cv=2, refit=False)
    search.fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    n_matrices = len(ibm.accepted())
    search.fit(X, Y)
    assert len(ibm.accepted()) == n_matrices
    assert sum(name.startswith("kernel-") for name in ledgers(tmp_path)) == n_matrices
    assert is_closed()


def test_a_search_over_feature_maps_of_qiskit_runs_on_a_device(ibm, tmp_path):
    """sQUlearn#286: circuits of one's own in a grid.

    As `Circuit`s: scikit-learn makes an array of a parameter's values, and numpy takes a circuit of
    Qiskit for a list of its gates.
    """
    circuits = [circuit_of_rows(zz_feature_map(2, reps=reps), None) for reps in (1, 2)]
    machine = QuantumKernelClassifier(**{**given(tmp_path), "n_qubits": None})
    search = GridSearchCV(machine, {"encoding": circuits}, cv=2).fit(X, Y)
    assert search.predict(X).shape == (6,)


@pytest.mark.parametrize("kind", [QuantumClassifier, QuantumKernelClassifier])
def test_a_fitted_estimator_is_pickled_and_predicts_elsewhere(ibm, tmp_path, kind):
    """Jobs, services and kernels could not be pickled (qiskit#6978,
    qiskit-machine-learning#607)."""
    more = {"epochs": 1, "batch_size": 6} if kind is QuantumClassifier else {}
    fitted = kind(random_state=0, **given(tmp_path), **more).fit(X, Y)
    text = pickle.dumps(fitted)
    assert ibm.settings.api_key.encode() not in text
    assert (pickle.loads(text).predict(X) == fitted.predict(X)).all()
    assert is_closed()


def test_cross_validation_of_a_classifier_names_no_fold_twice(ibm, tmp_path):
    """qiskit-machine-learning#494."""
    machine = QuantumClassifier(epochs=1, batch_size=3, random_state=0, **given(tmp_path))
    scores = cross_val_score(machine, X, Y, cv=3)
    assert scores.shape == (3,)
    assert len(ledgers(tmp_path)) == 6, "a training and a prediction for each fold"
    assert is_closed()


@pytest.mark.parametrize("kernel", ["fidelity", "projected"])
def test_a_kernel_takes_the_noise_of_a_device(kernel):
    """qiskit-machine-learning#852: a kernel with the noise model of a device."""
    noise = {"shots": 64, "noise": {"device": "fake_manila", "twirl": True}}
    machine = QuantumKernelClassifier(
        kernel=kernel, n_qubits=2, backend="statevector", backend_options=noise
    )
    assert machine.fit(X, Y).predict(X).shape == (6,)
