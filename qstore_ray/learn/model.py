"""A model: circuit, observables, head and loss, with one flat vector of parameters.

    features x (B, F) → angles (B, A) → expectation values z (B, O) → outputs z·W + b (B, K)

All trained numbers lie in one vector θ, in this order, so that optimizers, checkpoints and the
gradient sum see a plain array:

    circuit     P     the circuit's parameters
    input_scale A     factors of the encoded angles (with `input_scaling`)
    weights     O·K   of the linear head
    bias        K
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.base import Bindings
from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.library import build_circuit
from qstore_ray.circuits.load import load_circuit
from qstore_ray.circuits.observable import Observable, z_observables, zz_observables
from qstore_ray.errors import CircuitError, ConfigError, under
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.losses import Loss, get_loss, n_outputs

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class Parts(NamedTuple):
    """Views into a parameter vector: circuit (P,), input_scale (A,) or None, weights, bias."""

    circuit: FloatArray
    input_scale: FloatArray | None
    weights: FloatArray | None
    bias: FloatArray | None


@dataclass(frozen=True)
class QuantumModel:
    """The function θ, x → outputs, without values for θ.

    Args:
        circuit: the circuit with its encoding.
        observables: O Pauli sums.
        loss_name: a name of `losses.LOSSES`.
        n_outputs: K.
        head: `linear` or `none` (then K = O).
        input_scaling: whether the encoded angles have trained factors.
        initial_spread: standard deviation of the initial circuit parameters.
    """

    circuit: Circuit
    observables: tuple[Observable, ...]
    loss_name: str
    n_outputs: int
    head: str = "linear"
    input_scaling: bool = False
    initial_spread: float = 0.1

    @property
    def loss(self) -> Loss:
        """The loss by its functions."""
        return get_loss(self.loss_name)

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers each part of θ has."""
        template = self.circuit.template
        linear = self.head == "linear"
        return {
            "circuit": template.n_params,
            "input_scale": template.n_rows if self.input_scaling else 0,
            "weights": len(self.observables) * self.n_outputs if linear else 0,
            "bias": self.n_outputs if linear else 0,
        }

    @property
    def n_parameters(self) -> int:
        """The length of θ."""
        return sum(self.sizes.values())

    def split(self, theta: FloatArray) -> Parts:
        """Views of the parts of θ."""
        sizes = iter(self.sizes.values())
        end = 0

        def take() -> FloatArray:
            nonlocal end
            begin, end = end, end + next(sizes)
            return theta[begin:end]

        circuit, scale, weights, bias = take(), take(), take(), take()
        linear = self.head == "linear"
        return Parts(
            circuit,
            scale if self.input_scaling else None,
            weights.reshape(len(self.observables), self.n_outputs) if linear else None,
            bias if linear else None,
        )

    def initial(self, seed: int) -> FloatArray:
        """θ at the start: small normal circuit parameters and weights, factors 1, bias 0."""
        rng = np.random.default_rng([seed, 0x1417])
        theta = np.zeros(self.n_parameters)
        parts = self.split(theta)
        parts.circuit[:] = rng.normal(scale=self.initial_spread, size=len(parts.circuit))
        if parts.input_scale is not None:
            parts.input_scale[:] = 1.0
        if parts.weights is not None:
            spread = 1.0 / np.sqrt(len(self.observables))
            parts.weights[:] = rng.normal(scale=spread, size=parts.weights.shape)
        return theta

    def bindings(self, parts: Parts, x: FloatArray, angles: FloatArray) -> Bindings:
        """The circuit's slots for features (B, F) that were encoded as angles (B, A)."""
        if parts.input_scale is not None:
            angles = angles * parts.input_scale
        return Bindings(angles, parts.circuit, self.circuit.amplitudes(x))


def build_model(config: ModelConfig, *, n_features: int, n_classes: int | None) -> QuantumModel:
    """The model that `config` describes, for data of F features.

    Args:
        n_classes: number of classes, None for regression.

    Raises:
        ConfigError: a loss that does not fit the task, or outputs that do not fit the classes.
        CircuitError: a circuit that does not fit the features.
    """
    with under("model"):
        circuit = _circuit(config, n_features)
        observables = _observables(config, circuit.template.n_qubits)
    loss_name = _loss_name(config, n_classes)
    outputs = n_outputs(loss_name, n_classes or 1)
    if config.head == "none" and len(observables) != outputs:
        raise ConfigError(
            f"without a head there must be {outputs} observables",
            field="model.observables",
            value=len(observables),
            fix="Name that many, or take head = 'linear'.",
        )
    return QuantumModel(
        circuit=circuit,
        observables=observables,
        loss_name=loss_name,
        n_outputs=outputs,
        head=config.head,
        input_scaling=config.input_scaling,
        initial_spread=config.initial_spread,
    )


def _circuit(config: ModelConfig, n_features: int) -> Circuit:
    if config.circuit == "library":
        return build_circuit(
            encoding=config.encoding,
            ansatz=config.ansatz,
            n_qubits=config.n_qubits,
            n_features=n_features,
            layers=config.layers,
            entanglement=config.entanglement,
            reuploading=config.reuploading,
        )
    circuit = load_circuit(config.circuit)
    if circuit.n_features != n_features:
        raise CircuitError(
            f"the circuit takes {circuit.n_features} features, the data have {n_features}",
            field="circuit",
            value=circuit.name,
            fix="Change the preprocessing (for example PCA components) or the circuit's "
            "feature parameters (those named x).",
        )
    return circuit


def _observables(config: ModelConfig, n_qubits: int) -> tuple[Observable, ...]:
    if isinstance(config.observables, str):
        pairs = zz_observables(n_qubits) if config.observables == "z+zz" else ()
        return z_observables(n_qubits) + pairs
    observables: Sequence[Observable] = [Observable.parse(text) for text in config.observables]
    if not observables:
        raise ConfigError("at least one observable is needed", field="observables", value=[])
    return tuple(observables)


def _loss_name(config: ModelConfig, n_classes: int | None) -> str:
    if config.loss == "auto":
        if n_classes is None:
            return "mse"
        return "binary_cross_entropy" if n_classes == 2 else "cross_entropy"
    wants_classes = get_loss(config.loss).classification
    if wants_classes != (n_classes is not None):
        task = "regression" if n_classes is None else "classification"
        raise ConfigError(
            f"this loss does not fit {task}",
            field="model.loss",
            value=config.loss,
            fix="Take loss = 'auto'.",
        )
    if config.loss == "binary_cross_entropy" and n_classes != 2:
        raise ConfigError(
            f"binary_cross_entropy needs 2 classes, the data have {n_classes}",
            field="model.loss",
            value=config.loss,
            fix="Take cross_entropy.",
        )
    return config.loss
