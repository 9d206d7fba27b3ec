"""Tables of any width become features of a circuit; wrong parameters are refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris

from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.errors import CircuitError, ConfigError, QStoreError, UnknownNameError
from qstore_ray.estimator import QuantumClassifier, QuantumKernelClassifier, QuantumRegressor
from qstore_ray.estimator.features import MOST_QUBITS, fit_features

X, Y = load_iris(return_X_y=True)


@given(
    encoding=st.sampled_from(sorted(ENCODINGS)),
    n_rows=st.integers(1, 12),
    n_columns=st.integers(1, 40),
    n_qubits=st.none() | st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_any_table_becomes_what_the_encoding_takes(encoding, n_rows, n_columns, n_qubits, seed):
    x = np.random.default_rng(seed).normal(size=(n_rows, n_columns)) * 100.0
    if encoding == "zz" and n_qubits is not None:
        n_qubits = min(n_qubits, n_rows, n_columns)  # it takes as many features as qubits
    if encoding == "hamiltonian" and n_qubits is not None:
        n_qubits += 1  # it takes one feature less
    fitted = fit_features(x, encoding=encoding, n_qubits=n_qubits, scale=True, reduce="pca")
    assert fitted.n_qubits <= (n_qubits or MOST_QUBITS)
    circuit = build_circuit(
        encoding=encoding, ansatz="basic", n_qubits=fitted.n_qubits,
        n_features=fitted.n_features, layers=1,
    )  # fmt: skip
    rows = fitted.preparation.apply(x)
    assert rows.shape == (n_rows, circuit.n_features)
    assert np.isfinite(circuit.angles(rows)).all()


@pytest.mark.parametrize(
    ("encoding", "n_columns", "n_qubits", "n_features"),
    [
        ("angle", 1, 2, 1),
        ("angle", 5, 5, 5),
        ("angle", 64, 8, 8),
        ("zz", 1, 1, 1),
        ("zz", 9, 8, 8),
        ("dense_angle", 5, 3, 5),
        ("dense_angle", 16, 8, 16),
        ("dense_angle", 17, 8, 16),
        ("hamiltonian", 3, 4, 3),
        ("hamiltonian", 9, 8, 7),
        ("amplitude", 3, 2, 4),
        ("amplitude", 4, 3, 8),
        ("amplitude", 64, 7, 128),
    ],
)
def test_the_columns_decide_the_qubits(encoding, n_columns, n_qubits, n_features):
    x = np.random.default_rng(0).normal(size=(50, n_columns))
    fitted = fit_features(x, encoding=encoding, n_qubits=None, scale=True, reduce="pca")
    assert (fitted.n_qubits, fitted.n_features) == (n_qubits, n_features)


def test_columns_are_standardised_before_they_are_projected():
    """Else the column with the largest unit would be the first component, whatever it tells."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=200)
    x = np.column_stack([signal, signal, signal, 1e6 * rng.normal(size=200)])
    fitted = fit_features(x, encoding="angle", n_qubits=1, scale=True, reduce="pca")
    found = fitted.preparation.apply(x)[:, 0]
    assert abs(np.corrcoef(found, signal)[0, 1]) > 0.99


def test_without_scaling_features_are_the_angles():
    x = np.random.default_rng(0).normal(size=(9, 3))
    fitted = fit_features(x, encoding="angle", n_qubits=None, scale=False, reduce="pca")
    np.testing.assert_array_equal(fitted.preparation.apply(x), x)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@pytest.mark.parametrize("kind", [QuantumClassifier, QuantumRegressor, QuantumKernelClassifier])
def test_every_encoding_can_be_fitted_on_a_wide_table(kind, encoding):
    x = np.random.default_rng(1).normal(size=(30, 12))
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    model = kind(encoding=encoding, n_qubits=3)
    if kind is not QuantumKernelClassifier:
        model.set_params(epochs=1, random_state=0)
    assert model.fit(x, y).predict(x).shape == (30,)


WRONG: dict[str, tuple[dict, type[QStoreError], str]] = {
    "an encoding": ({"encoding": "angles"}, UnknownNameError, "encoding"),
    "an ansatz": ({"ansatz": "su2"}, UnknownNameError, "ansatz"),
    "no layers": ({"n_layers": 0}, ConfigError, "n_layers"),
    "no qubits": ({"n_qubits": 0}, ConfigError, "n_qubits"),
    "too many qubits": ({"n_qubits": 1001}, ConfigError, "n_qubits"),
    "a reduction": ({"reduce": "lda"}, ConfigError, "reduce"),
    "no epochs": ({"epochs": 0}, ConfigError, "epochs"),
    "no batch": ({"batch_size": 0}, ConfigError, "batch_size"),
    "an optimizer": ({"optimizer": "adamm"}, UnknownNameError, "optimizer"),
    "a backend": ({"backend": "qpu"}, UnknownNameError, "backend"),
    "an observable": ({"observables": ["Q0"]}, CircuitError, "observable"),
    "an option": ({"trainer_options": {"epochs": 3}}, UnknownNameError, "trainer_options"),
    "a model's option": ({"model_options": {"layers": 3}}, UnknownNameError, "model_options"),
    "a layer": ({"model_options": {"pre_layers": [0]}}, ConfigError, "pre_layers.0"),
    "a loss": ({"model_options": {"loss": "mse"}}, ConfigError, "loss"),
    "no threads": ({"n_threads": 0}, ConfigError, "n_threads"),
    "no callback": ({"callbacks": [print]}, ConfigError, "callbacks"),
    "a callback's name": ({"callbacks": [{"name": "tims"}]}, UnknownNameError, "name"),
    "no patience": ({"early_stopping": True, "n_iter_no_change": 0}, ConfigError,
                    "n_iter_no_change"),
    "a tolerance": ({"early_stopping": True, "tol": -1.0}, ConfigError, "tol"),
    "a fraction": ({"early_stopping": True, "validation_fraction": 1.5}, ConfigError,
                   "validation_fraction"),
    "amplitudes twice": ({"encoding": "amplitude", "reuploading": True}, CircuitError,
                         "reuploading"),
}  # fmt: skip


@pytest.mark.parametrize(("parameters", "error", "field"), WRONG.values(), ids=WRONG)
def test_a_wrong_parameter_is_named_when_fitting(parameters, error, field):
    with pytest.raises(error) as caught:
        QuantumClassifier(**parameters).fit(X, Y)
    assert type(caught.value) is error
    assert caught.value.field == field


def test_a_table_too_wide_says_what_to_set():
    x = np.zeros((5, 9))
    with pytest.raises(ConfigError, match="at most 8 features on 8 qubits") as caught:
        QuantumClassifier(reduce=None).fit(x, [0, 1, 0, 1, 0])
    assert caught.value.field == "reduce"
    assert "reduce='pca'" in caught.value.fix
    with pytest.raises(ConfigError, match="at most 2 features on 2 qubits"):
        QuantumClassifier(reduce=None, n_qubits=2).fit(x, [0, 1, 0, 1, 0])


@pytest.mark.parametrize("kind", [QuantumClassifier, QuantumKernelClassifier])
def test_one_class_is_refused(kind):
    with pytest.raises(ConfigError, match="one class") as caught:
        kind().fit(X, np.full(len(X), 7))
    assert (caught.value.field, caught.value.value) == ("y", [7])


def test_a_warm_start_of_another_model_is_refused():
    model = QuantumClassifier(epochs=1, warm_start=True, random_state=0).fit(X, Y)
    with pytest.raises(ConfigError, match="other classes") as caught:
        model.fit(X, Y + 1)
    assert (caught.value.field, caught.value.value) == ("warm_start", [1, 2, 3])
    with pytest.raises(ConfigError, match="left 35 parameters") as caught:
        model.set_params(n_layers=5).fit(X, Y)
    assert caught.value.field == "warm_start"
    with pytest.raises(ValueError, match="expecting 4 features"):
        model.fit(X[:, :2], Y)
