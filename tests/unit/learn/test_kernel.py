"""Quantum kernels: their definition, the laws of a kernel, known limits, scikit-learn on top."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.datasets import load_iris
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC

from qstore_ray.backends.aer import AerBackend
from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.library.encodings import ENCODINGS, Features
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.lower import inverse
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import CircuitError, ConfigError, DataError
from qstore_ray.learn.kernel.alignment import alignment, centred
from qstore_ray.learn.kernel.kernel import (
    FidelityKernel,
    FidelityKernelConfig,
    ProjectedKernel,
    ProjectedKernelConfig,
    build_kernel,
    kernel_matrix,
)
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import templates
from qstore_ray.train.ray.kernel_matrix import gram_matrix

RNG = np.random.default_rng(3)


def _encoding(name: str, n_qubits: int = 3) -> Circuit:
    found = ENCODINGS[name](n_qubits, n_qubits)
    return Circuit(found.template, n_qubits, name, found.encode, found.load)


def _rows(n: int, n_features: int = 3) -> np.ndarray:
    return RNG.uniform(0.1, 3.0, (n, n_features))


def _reference(circuit: Circuit, x: np.ndarray, params=()) -> np.ndarray:
    return reference.states(
        circuit.template, circuit.angles(x), np.array(params), circuit.amplitudes(x)
    )


def _reduced(states: np.ndarray, qubit: int) -> np.ndarray:
    """Density matrices (N, 2, 2) of one qubit, by their definition."""
    parts = states.reshape(len(states), -1, 2, 2**qubit)
    return np.einsum("nabc,nadc->nbd", parts, parts.conj())


KERNELS = {"fidelity": FidelityKernel, "projected": ProjectedKernel}
ANGLES = ("angle", "dense_angle", "zz", "iqp")
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)


@pytest.mark.parametrize("name", [*ANGLES, "amplitude"])
def test_fidelity_is_the_squared_overlap_of_the_states(name: str):
    circuit, x, y = _encoding(name), _rows(7), _rows(4)
    overlaps = _reference(circuit, x).conj() @ _reference(circuit, y).T
    found = FidelityKernel(circuit).matrix(x, y)
    np.testing.assert_allclose(found, np.abs(overlaps) ** 2, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", [*ANGLES, "amplitude"])
def test_projected_compares_one_qubit_density_matrices(name: str):
    circuit, x, y = _encoding(name), _rows(5), _rows(4)
    a, b = _reference(circuit, x), _reference(circuit, y)
    distance = sum(
        np.linalg.norm(_reduced(a, q)[:, None] - _reduced(b, q), axis=(2, 3)) ** 2 for q in range(3)
    )
    found = ProjectedKernel(circuit, gamma=0.7).matrix(x, y)
    np.testing.assert_allclose(found, np.exp(-2 * 0.7 * distance), atol=1e-12, rtol=0)


@every_kernel
@pytest.mark.parametrize("name", ANGLES)
def test_a_matrix_is_symmetric_with_ones_on_its_diagonal_and_positive(kernel, name: str):
    found = kernel(_encoding(name)).matrix(_rows(40))
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1.0)
    assert np.linalg.eigvalsh(found).min() >= -1e-10
    assert found.min() >= 0.0
    assert found.max() <= 1.0 + 1e-12


@every_kernel
@pytest.mark.parametrize("block", [1, 3, 8, 100])
def test_blocks_make_the_same_matrix(kernel, block: int):
    made, x, y = kernel(_encoding("zz")), _rows(20), _rows(9)
    square = kernel_matrix(made, x, block=block)
    np.testing.assert_allclose(square, made.matrix(x, x), atol=1e-13, rtol=0)
    np.testing.assert_array_equal(square, square.T)
    np.testing.assert_allclose(
        kernel_matrix(made, x, y, block=block), made.matrix(x, y), atol=1e-13, rtol=0
    )
    np.testing.assert_allclose(made.matrix(y, x).shape, (9, 20))


@every_kernel
def test_no_rows_make_an_empty_matrix(kernel):
    made = kernel(_encoding("angle"))
    assert made.matrix(_rows(0)).shape == (0, 0)
    assert made.matrix(_rows(2), _rows(0)).shape == (2, 0)


def test_a_unitary_after_the_encoding_changes_no_fidelity():
    plain, x = _encoding("zz"), _rows(8)
    template = build_circuit(
        encoding="zz", ansatz="strongly_entangling", n_qubits=3, n_features=3, layers=2
    )
    theta = RNG.normal(size=template.template.n_params)
    np.testing.assert_allclose(
        FidelityKernel(template, theta).matrix(x), FidelityKernel(plain).matrix(x), atol=1e-12
    )


def test_product_states_have_a_fidelity_in_closed_form():
    x, y = _rows(5), _rows(6)
    expected = np.prod(np.cos((x[:, None] - y) / 2) ** 2, axis=2)
    found = FidelityKernel(_encoding("angle")).matrix(x, y)
    np.testing.assert_allclose(found, expected, atol=1e-12, rtol=0)


def test_with_a_small_gamma_all_rows_are_alike_and_with_a_large_one_none():
    x = _rows(6)
    tiny = ProjectedKernel(_encoding("zz"), gamma=1e-12).matrix(x)
    np.testing.assert_allclose(tiny, 1.0, atol=1e-10)
    huge = ProjectedKernel(_encoding("zz"), gamma=1e6).matrix(x)
    np.testing.assert_allclose(huge, np.eye(6), atol=1e-10)


def test_scale_is_the_variance_of_the_rows_compared_with():
    circuit, x, y = _encoding("zz"), _rows(5), _rows(30)
    kernel = ProjectedKernel(circuit)
    embedded = kernel.embed(y)
    assert embedded.shape == (30, 9)
    gamma = 1 / embedded.var(axis=0).sum()
    fixed = ProjectedKernel(circuit, gamma=gamma)
    np.testing.assert_allclose(kernel.matrix(x, y), fixed.matrix(x, y), atol=1e-14)
    np.testing.assert_allclose(kernel.matrix(y), fixed.matrix(y), atol=1e-14)
    exponents = -np.log(kernel.matrix(y))
    assert exponents.mean() == pytest.approx(2.0)
    same = np.tile(x[:1], (4, 1))
    np.testing.assert_allclose(kernel.matrix(same), np.ones((4, 4)), atol=1e-14)


@settings(max_examples=30)
@given(templates(initial=("zeros",)))
def test_an_inverse_undoes_its_circuit(template: Template):
    rng = np.random.default_rng(0)
    rows, params = rng.normal(size=(1, template.n_rows)), rng.normal(size=template.n_params)
    there_and_back = template.then(inverse(template))
    state = reference.states(there_and_back, np.tile(rows, 2), np.tile(params, 2))
    assert abs(state[0, 0]) == pytest.approx(1.0, abs=1e-12)


def test_a_backend_without_states_compares_pairs_by_circuits():
    ops = (Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("u", (1,), (row(1), param(0), row(0))))
    circuit = Circuit(Template(2, ops, 2, 1), 2, "own", Features())
    x, y, theta = _rows(3, 2), _rows(2, 2), np.array([0.4])
    exact = FidelityKernel(circuit, theta)
    by_circuits = FidelityKernel(circuit, theta, AerBackend())
    np.testing.assert_allclose(by_circuits.matrix(x, y), exact.matrix(x, y), atol=1e-10)
    np.testing.assert_allclose(by_circuits.matrix(x), exact.matrix(x), atol=1e-10)
    projected = [ProjectedKernel(circuit, theta, b).matrix(x) for b in (None, AerBackend())]
    np.testing.assert_allclose(*projected, atol=1e-10)


@pytest.mark.parametrize("circuit", [_encoding("angle", 11), _encoding("amplitude")])
def test_what_no_circuit_can_compare_is_refused(circuit: Circuit):
    with pytest.raises(ConfigError, match="has no states") as caught:
        FidelityKernel(circuit, backend=AerBackend())
    assert (caught.value.field, caught.value.value) == ("backend", "aer")
    assert "statevector" in caught.value.fix


@every_kernel
def test_parameters_that_are_not_the_circuit_s_are_refused(kernel):
    circuit = build_circuit(encoding="angle", ansatz="basic", n_qubits=2, n_features=2, layers=1)
    with pytest.raises(CircuitError, match="2 parameters") as caught:
        kernel(circuit)
    assert (caught.value.field, caught.value.value) == ("params", (0,))
    assert "2 angles" in caught.value.fix


@every_kernel
def test_rows_that_do_not_fit_are_refused(kernel):
    with pytest.raises(DataError, match="3 features"):
        kernel(_encoding("angle")).matrix(np.zeros((4, 2)))


@pytest.mark.parametrize("gamma", [0.0, -1.0, float("nan"), "auto"])
def test_a_gamma_that_makes_no_kernel_is_refused(gamma):
    with pytest.raises(ConfigError, match="gamma"):
        ProjectedKernel(_encoding("angle"), gamma=gamma)


def test_a_configuration_names_its_kernel():
    circuit = _encoding("angle")
    assert isinstance(build_kernel(FidelityKernelConfig(), circuit), FidelityKernel)
    found = build_kernel(ProjectedKernelConfig(gamma=0.5), circuit)
    assert isinstance(found, ProjectedKernel)
    assert found.gamma == 0.5
    assert ProjectedKernelConfig.from_dict(ProjectedKernelConfig().to_dict()).gamma == "scale"
    with pytest.raises(ConfigError):
        FidelityKernelConfig(name="projected")


def test_centring_takes_the_mean_in_feature_space_away():
    x, y = RNG.normal(size=(12, 4)), RNG.normal(size=(5, 4))
    mean = x.mean(axis=0)
    np.testing.assert_allclose(centred(x @ x.T), (x - mean) @ (x - mean).T, atol=1e-12)
    np.testing.assert_allclose(centred(y @ x.T, x @ x.T), (y - mean) @ (x - mean).T, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_alignment_is_one_for_the_kernel_of_the_labels_and_none_by_chance(n_classes: int):
    labels = np.arange(30) % n_classes
    ideal = np.where(labels[:, None] == labels, 1.0, -1.0 / (n_classes - 1))
    for centre in (True, False):
        assert alignment(ideal, labels, centre=centre) == pytest.approx(1.0)
        assert alignment(-ideal, labels, centre=centre) == pytest.approx(-1.0)
    assert alignment(3.0 * ideal + 5.0, labels) == pytest.approx(1.0)
    assert alignment(np.ones((30, 30)), labels) == 0.0


@pytest.mark.parametrize("labels", [np.zeros(4), np.arange(3)])
def test_labels_that_align_with_nothing_are_refused(labels):
    with pytest.raises(DataError) as caught:
        alignment(np.eye(4), labels)
    assert caught.value.field == "labels"


@every_kernel
def test_scikit_learn_takes_the_matrices(kernel):
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    train, test = slice(0, 100), slice(100, None)
    low, high = x[train].min(axis=0), x[train].max(axis=0)
    x = 2.0 * (x - low) / (high - low)
    circuit = build_circuit(encoding="angle", ansatz="basic", n_qubits=4, n_features=4, layers=1)
    made = kernel(circuit, np.full(circuit.template.n_params, 0.3))
    k_train, k_test = made.matrix(x[train]), made.matrix(x[test], x[train])
    assert SVC(kernel="precomputed", C=10).fit(k_train, y[train]).score(k_test, y[test]) >= 0.92
    assert alignment(k_train, y[train]) > 0.5
    ridge = KernelRidge(kernel="precomputed", alpha=0.01).fit(k_train, x[train, 2])
    assert ridge.score(k_test, x[test, 2]) >= 0.95


def test_blocks_of_a_gram_matrix_in_this_process_are_the_kernel_s_own():
    made, x, y = FidelityKernel(_encoding("zz")), _rows(20), _rows(9)
    np.testing.assert_array_equal(
        gram_matrix(made, x, y, block=8), kernel_matrix(made, x, y, block=8)
    )


@pytest.mark.parametrize(("name", "value"), [("num_workers", -1), ("block", 0)])
def test_sizes_of_a_gram_matrix_that_mean_nothing_are_refused(name: str, value: int):
    with pytest.raises(ConfigError) as caught:
        gram_matrix(FidelityKernel(_encoding("zz")), _rows(2), **{name: value})
    assert (caught.value.field, caught.value.value) == (name, value)
