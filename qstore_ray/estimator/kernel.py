"""A support vector machine on a quantum kernel, for scikit-learn.

    QuantumKernelClassifier(encoding="iqp", bandwidth=0.5, C=10.0).fit(x_train, y_train)

The kernel k(x, y) of `learn/kernel/kernel.py` compares the states that the encoding makes of two
rows; it has no trained parameters, and the machine on top of it is a convex problem with one
solution.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

from qstore_ray.backends.base import Backend
from qstore_ray.backends.keys import DrawKey, for_scoring
from qstore_ray.backends.paid_call import measured
from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.circuits.load import circuit_of_rows
from qstore_ray.circuits.slots import feature_names
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import Scale
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.estimator.base import rows_that_count
from qstore_ray.estimator.checks import check_types
from qstore_ray.estimator.classifier import class_numbers
from qstore_ray.estimator.features import Reduce, fit_features, fit_own_features
from qstore_ray.estimator.parameters import as_parameters, backend_of, seed_of
from qstore_ray.estimator.rows import checked_pairs, checked_rows
from qstore_ray.learn.kernel.kernel import (
    Comparison,
    FidelityKernel,
    FidelityKernelConfig,
    ProjectedKernel,
    ProjectedKernelConfig,
    build_kernel,
    kernel_matrix,
)
from qstore_ray.learn.kernel.overlap import Overlaps
from qstore_ray.learn.weights import check_class_weight, class_weights

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, ReadOnlyTable

_KERNELS = ("fidelity", "projected")


class QuantumKernelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """Classes by a support vector machine on k(x, y), which compares encoded rows.

    Args:
        kernel: `fidelity`, |⟨ψ(x)|ψ(y)⟩|², or `projected`, a Gaussian of one-qubit expectations.
        gamma: of the projected kernel, see `learn.kernel.ProjectedKernelConfig`.
        encoding: see `circuits.encodings`; or a circuit of your own without trained parameters, as
            `ModelConfig` takes it. Its features are scaled to [0, π].
        features: which parameters of such a circuit are data, see `ModelConfig`.
        n_qubits: None takes as many as the features need, 8 at most; see `estimator.features`.
        bandwidth: factor of the features before they are encoded. Small factors make rows more
            alike, which keeps kernels of many qubits from becoming an identity matrix
            (Shaydulin & Wild 2022, Phys. Rev. A 106, 042407).
        scale_features: bring every feature into the encoding's range, as seen in `fit`.
        reduce: `pca` projects features that do not fit on the qubits; None refuses them.
        C: strength of the penalty for rows on the wrong side.
        class_weight: None, `balanced`, or a weight for each label, which its C is multiplied by.
        shots: of each pair of rows of the fidelity kernel, for estimates as a device gives them;
            None for exact values. A pair has the same estimate in `fit` and in `predict`.
        random_state: of the shots. On a device, another number measures everything again.
        backend: a name, with `backend_options`, or a backend.
        n_threads: of the simulator; the result does not depend on it.

    Attributes:
        classes_: the labels (C,), sorted.
        n_features_in_, feature_names_in_: of the rows `fit` was given.
        preparation_: raw rows to the circuit's features. circuit_: the encoding. n_qubits_: its.
        svc_: the support vector machine, on the matrix of the training rows.
        support_: which training rows are support vectors (S,).
        support_vectors_: their features as the circuit takes them (S, …).

    Examples:
        x, y = np.array([[0.1, 0.2], [0.9, 0.8]] * 4), np.array(["no", "yes"] * 4)
        model = QuantumKernelClassifier(n_qubits=2).fit(x, y)
        assert model.predict(x[:1]).shape == (1,)
    """

    def __init__(
        self,
        *,
        kernel: Literal["fidelity", "projected"] = "fidelity",
        gamma: float | Literal["scale"] = "scale",
        encoding: Any = "angle",
        features: Any = None,
        n_qubits: int | None = None,
        bandwidth: float = 1.0,
        scale_features: bool = True,
        reduce: Reduce = "pca",
        C: float = 1.0,  # noqa: N803 - scikit-learn's name
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        shots: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        backend: str | Backend = "statevector",
        backend_options: ReadOnlyTable | None = None,
        n_threads: int = 1,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.encoding = encoding
        self.features = features
        self.n_qubits = n_qubits
        self.bandwidth = bandwidth
        self.scale_features = scale_features
        self.reduce = reduce
        self.C = C
        self.class_weight = class_weight
        self.shots = shots
        self.random_state = random_state
        self.backend = backend
        self.backend_options = backend_options
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Compute the kernel's matrix of rows X (N, F) with labels y (N,), and fit the machine.

        Args:
            sample_weight: of each row (N,), which its C is multiplied by; None for 1.

        Raises:
            ValueError: scikit-learn's, for rows and labels that it would not take either.
            ConfigError: a wrong parameter or weight, or one class only.
        """
        x, y = checked_pairs(self, X, y)
        x, y, weight, numbers = rows_that_count(x, y, sample_weight)
        self.classes_, y_numbers = class_numbers(y)
        of_classes = self._class_weight(y_numbers)
        self.preparation_, self.n_qubits_, self.circuit_ = self._fit_circuit(x)
        rows = self.preparation_.apply(x)
        self._config = self._kernel_config()
        backend = self._backend()

        def compare(bound: Backend) -> tuple[FloatArray, Comparison]:
            kernel = self._kernel(bound)
            found = kernel_matrix(kernel, rows)
            # With gamma="scale" the training rows as a whole decide γ, so it is kept from here.
            return found, kernel.comparison(lambda: kernel.embed(rows))

        matrix, self._compare = measured("kernel", backend, (rows,), compare)
        self.svc_ = SVC(kernel="precomputed", C=self.C, class_weight=of_classes)
        self.svc_.fit(matrix, y, sample_weight=weight)
        self.support_ = numbers[self.svc_.support_]
        self.support_vectors_ = rows[self.svc_.support_]
        return self

    def predict(self, X: Any) -> AnyArray:  # noqa: N803
        """Labels (N,) of rows X (N, F)."""
        matrix = self._against_support(X)
        labels: AnyArray = self.svc_.predict(matrix)
        return labels

    def decision_function(self, X: Any) -> FloatArray:  # noqa: N803
        """Scores of rows X (N, F): (N, C), of two classes the signed distance (N,)."""
        matrix = self._against_support(X)
        scores: FloatArray = self.svc_.decision_function(matrix)
        return scores

    def _class_weight(self, y: AnyArray) -> dict[Any, float] | Literal["balanced"] | None:
        """The weight of each class, for classes of numbers y (N,); a label as text is the class."""
        given = check_class_weight(self.class_weight)
        if not isinstance(given, dict):
            return given
        weights = class_weights(y, self.classes_.tolist(), given)
        if not weights.all():
            raise ConfigError(
                "a support vector machine takes class weights above 0",
                field="class_weight",
                value=self.class_weight,
                fix="Leave the rows of the class out, or give it a small weight.",
            )
        return dict(zip(self.classes_.tolist(), weights.tolist(), strict=True))

    def _fit_circuit(self, x: FloatArray) -> tuple[Preparation, int, Circuit]:
        """What prepares rows x (N, F), the number of qubits, and the encoding."""
        scale, reduce, after = self.scale_features, self.reduce, self._narrowed()
        if not (isinstance(self.encoding, str) and self.encoding.isidentifier()):
            with as_parameters({"circuit": "encoding"}):
                own = circuit_of_rows(self.encoding, feature_names(self.features))
            fitted = fit_own_features(x, own, scale=scale, reduce=reduce, after=after)
            return fitted.preparation, fitted.n_qubits, own
        if self.features is not None:
            raise ConfigError(
                "the features of an encoding by name are all columns",
                field="features",
                value=self.features,
                fix="Give a circuit as encoding, or leave features out.",
            )
        preparation, n_qubits, width = fit_features(
            x,
            encoding=self.encoding,
            n_qubits=self.n_qubits,
            scale=scale,
            reduce=reduce,
            after=after,
        )
        encoded = ENCODINGS[self.encoding](n_qubits, width)
        circuit = Circuit(encoded.template, width, self.encoding, encoded.encode, encoded.load)
        return preparation, n_qubits, circuit

    def _narrowed(self) -> tuple[Scale, ...]:
        if self.bandwidth == 1.0:
            return ()
        if isinstance(self.encoding, str) and self.encoding in ("amplitude", "basis"):
            raise ConfigError(
                f"the encoding {self.encoding} has no angles that a bandwidth could scale",
                field="bandwidth",
                value=self.bandwidth,
                fix="Take 1.0, or the encoding angle, dense_angle, iqp or zz.",
            )
        return (Scale(factor=float(self.bandwidth)),)

    def _kernel_config(self) -> FidelityKernelConfig | ProjectedKernelConfig:
        if self.kernel not in _KERNELS:
            raise unknown_name_error("kernel", self.kernel, _KERNELS, field="kernel")
        if self.shots is not None and self.kernel != "fidelity":
            raise ConfigError(
                f"the {self.kernel} kernel takes no shots",
                field="shots",
                value=self.shots,
                fix="Take kernel='fidelity', or leave shots out.",
            )
        if self.kernel == "fidelity":
            seed = 0 if self.shots is None else seed_of(self.random_state)
            return FidelityKernelConfig(shots=self.shots, seed=seed)
        return ProjectedKernelConfig(gamma=self.gamma)

    def _backend(self) -> Backend:
        """The backend; one by name has the same draws in every call, since a kernel is a function.

        An object whose draws have no name is refused by the kernel.
        """
        backend = backend_of(self)
        if not isinstance(self.backend, str):
            return backend
        seed = int(self.random_state) if isinstance(self.random_state, Integral) else 0
        named: Backend = for_scoring(backend, DrawKey((seed, 2)))
        return named

    def _kernel(self, backend: Backend) -> FidelityKernel | ProjectedKernel:
        """The kernel that was fitted, also if the parameters have changed since."""
        return build_kernel(self._config, self.circuit_, backend=backend)

    def _against_support(self, x: Any) -> FloatArray:
        """k of rows x (N, F) with the training rows; 0 for those that are no support vectors."""
        check_is_fitted(self)
        rows = checked_rows(self, x, reset=False)
        prepared, vectors = self.preparation_.apply(rows), self.support_vectors_

        def compare(bound: Backend) -> FloatArray:
            kernel = self._kernel(bound)
            a, b = kernel.embed(prepared), kernel.embed(vectors)
            by_circuits = isinstance(self._compare, Overlaps)  # they are run for this call
            return (kernel.comparison(lambda: b) if by_circuits else self._compare)(a, b)

        matrix = np.zeros((len(prepared), self.svc_.shape_fit_[0]))
        found = measured("kernel", self._backend(), (prepared, vectors), compare)
        matrix[:, self.svc_.support_] = found
        return matrix
