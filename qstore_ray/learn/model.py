"""A model: layers, circuit, observables, head and loss, with one flat vector of parameters.

    features x (B, F) → [dense layers (B, F′)] → angles (B, A) → expectation values z (B, O)
    → [dense layers (B, H)] → outputs z·W + b (B, K)

The layers in brackets exist only if they are configured; otherwise F′ = F and H = O. All trained
numbers lie in one vector θ, in this order, so that optimizers, checkpoints and the gradient sum see
a plain array:

    circuit     P     the circuit's parameters; first, where optimizers made for circuits find them
    pre               the dense layers before the circuit (`pre_layers`)
    input_scale A     factors of the encoded angles (with `input_scaling`)
    post              the dense layers after the circuit (`post_layers`)
    weights     H·K   of the linear head
    bias        K
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.base import Bindings
from qstore_ray.circuits.circuit import Circuit, all_finite
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.load import circuit_of_rows
from qstore_ray.circuits.observable import Observable
from qstore_ray.errors import CircuitError, ConfigError, DataError, under
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.goal import goal_of, observables_of
from qstore_ray.learn.layers import DenseLayers, Tape
from qstore_ray.learn.losses import Loss, get_loss

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, Task


class Parts(NamedTuple):
    """Views into a parameter vector, or into gradients (blocks, n); None for what there is not."""

    circuit: FloatArray
    pre: FloatArray | None
    input_scale: FloatArray | None
    post: FloatArray | None
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
        pre: dense layers before the circuit. post: those after it.
        huber_delta: δ of the loss huber.
    """

    circuit: Circuit
    observables: tuple[Observable, ...]
    loss_name: str
    n_outputs: int
    head: str = "linear"
    input_scaling: bool = False
    initial_spread: float = 0.1
    pre: DenseLayers | None = None
    post: DenseLayers | None = None
    huber_delta: float = 1.0

    @property
    def loss(self) -> Loss:
        """The loss by its functions."""
        return get_loss(self.loss_name, huber_delta=self.huber_delta)

    @property
    def n_features(self) -> int:
        """F, the width of the data."""
        return self.circuit.n_features if self.pre is None else self.pre.widths[0]

    @property
    def rows_gradient(self) -> bool:
        """Whether training needs the gradient of the encoded angles."""
        return self.input_scaling or self.pre is not None

    @cached_property  # asked several times a step
    def sizes(self) -> dict[str, int]:
        """How many numbers each part of θ has."""
        template = self.circuit.template
        linear = self.head == "linear"
        return {
            "circuit": template.n_params,
            "pre": 0 if self.pre is None else self.pre.n_parameters,
            "input_scale": template.n_rows if self.input_scaling else 0,
            "post": 0 if self.post is None else self.post.n_parameters,
            "weights": self._head_inputs * self.n_outputs if linear else 0,
            "bias": self.n_outputs if linear else 0,
        }

    @cached_property
    def n_parameters(self) -> int:
        """The length of θ."""
        return sum(self.sizes.values())

    def split(self, theta: FloatArray) -> Parts:
        """Views of the parts of θ (n,), or of gradients by θ (blocks, n)."""
        circuit, pre, scale, post, weights, bias = (
            None if part is None else theta[..., part] for part in self._slices
        )
        assert circuit is not None, "every model has a circuit"
        if weights is not None:
            weights = weights.reshape(*theta.shape[:-1], self._head_inputs, self.n_outputs)
        return Parts(circuit, pre, scale, post, weights, bias)

    def initial(self, seed: int) -> FloatArray:
        """θ at the start: small normal circuit parameters and weights, factors 1, bias 0.

        The dense layers start as `DenseLayers.initial` says.
        """
        rng = np.random.default_rng([seed, 0x1417])
        theta = np.zeros(self.n_parameters)
        parts = self.split(theta)
        parts.circuit[:] = rng.normal(scale=self.initial_spread, size=len(parts.circuit))
        if parts.input_scale is not None:
            parts.input_scale[:] = 1.0
        if parts.weights is not None:
            spread = 1.0 / np.sqrt(self._head_inputs)
            parts.weights[:] = rng.normal(scale=spread, size=parts.weights.shape)
        for layers, part in ((self.pre, parts.pre), (self.post, parts.post)):
            if layers is not None and part is not None:
                part[:] = layers.initial(rng)
        return theta

    def inputs(self, parts: Parts, x: FloatArray) -> tuple[FloatArray, Tape]:
        """What the circuit is given (…, F′) for features (…, F), and a tape for the gradient.

        Raises:
            DataError: a wrong width, NaN or infinity.
        """
        if self.pre is None or parts.pre is None:
            return x, ()
        if x.shape[-1] != self.n_features or not all_finite(x):
            raise DataError(
                f"the layers before the circuit take rows of {self.n_features} finite features",
                field="x",
                value=x.shape,
                fix="Impute or drop missing values, and keep the width of the training data.",
            )
        # C order, because the order in memory decides in which order numpy adds up a row.
        return self.pre.forward(parts.pre, np.ascontiguousarray(x, dtype=np.float64))

    def bindings(self, parts: Parts, x: FloatArray, angles: FloatArray) -> Bindings:
        """The circuit's slots for its inputs (B, F′) that were encoded as angles (B, A)."""
        if parts.input_scale is not None:
            angles = angles * parts.input_scale
        return Bindings(angles, parts.circuit, self.circuit.amplitudes(x))

    @cached_property
    def _slices(self) -> tuple[slice | None, ...]:
        """Where each part lies in θ; None for what there is not."""
        linear = self.head == "linear"
        there = (self.circuit, self.pre, self.input_scaling, self.post, linear, linear)
        ends = list(accumulate(self.sizes.values(), initial=0))
        return tuple(
            slice(begin, end) if part else None
            for part, (begin, end) in zip(there, pairwise(ends), strict=True)
        )

    @cached_property
    def _head_inputs(self) -> int:
        return len(self.observables) if self.post is None else self.post.widths[-1]


def build_model(
    config: ModelConfig,
    *,
    n_features: int,
    n_classes: int | None,
    task: Task | None = None,
    n_targets: int = 1,
) -> QuantumModel:
    """Build the model that `config` describes, for data with F features.

    Args:
        n_classes: number of classes, or of labels of a multilabel task; None for numbers.
        task: the task of the data; without it, classification if there are classes.
        n_targets: how many numbers a row of a regression has.

    Raises:
        ConfigError: a loss that does not fit the task, or outputs that do not fit the classes.
        CircuitError: a circuit that does not fit the features.
    """
    task = task or ("regression" if n_classes is None else "classification")
    with under("model"):
        pre = _layers_before(config, n_features)
        circuit = _circuit(config, n_features if pre is None else pre.widths[-1])
        observables = observables_of(config, circuit.template)
    goal = goal_of(config, task, n_targets if n_classes is None else n_classes)
    if config.head == "none" and len(observables) != goal.n_outputs:
        raise ConfigError(
            f"without a head there must be {goal.n_outputs} observables",
            field="model.observables",
            value=len(observables),
            fix="Name that many, or take head = 'linear'.",
        )
    model = QuantumModel(
        circuit=circuit,
        observables=observables,
        loss_name=goal.loss,
        n_outputs=goal.n_outputs,
        head=config.head,
        input_scaling=config.input_scaling,
        initial_spread=config.initial_spread,
        pre=pre,
        post=_layers_after(config, len(observables)),
        huber_delta=config.huber_delta,
    )
    if not model.n_parameters:
        raise ConfigError(
            "there is nothing to train: the circuit has no parameters besides its features",
            field="model.circuit",
            value=circuit.name,
            fix="Name fewer parameters in features, take head = 'linear' or input_scaling = true, "
            "or compare rows by a quantum kernel, which needs no parameters.",
        )
    return model


def _layers_before(config: ModelConfig, n_features: int) -> DenseLayers | None:
    if not config.pre_layers:
        return None
    if config.circuit == "library" and config.encoding == "basis":
        raise CircuitError(
            "layers cannot be trained in front of basis encoding, which has no derivative",
            field="encoding",
            value=config.encoding,
            fix="Take the encoding angle, or leave pre_layers out.",
        )
    last = "identity" if config.activation == "identity" else "angle"
    hidden = (config.activation,) * (len(config.pre_layers) - 1)
    return DenseLayers((n_features, *config.pre_layers), (*hidden, last))


def _layers_after(config: ModelConfig, n_observables: int) -> DenseLayers | None:
    if not config.post_layers:
        return None
    if config.head == "none":
        raise ConfigError(
            "layers after the circuit end in a linear head",
            field="model.post_layers",
            value=config.post_layers,
            fix="Set head = 'linear', or leave post_layers out.",
        )
    widths = (n_observables, *config.post_layers)
    return DenseLayers(widths, (config.activation,) * len(config.post_layers))


def _circuit(config: ModelConfig, n_features: int) -> Circuit:
    if config.circuit == "library":
        return build_circuit(
            encoding=config.encoding,
            ansatz=config.ansatz,
            n_qubits=config.n_qubits,
            n_features=n_features,
            layers=config.layers,
            entanglement=config.joined,
            reuploading=config.reuploading,
        )
    circuit = circuit_of_rows(config.circuit, config.features)
    if circuit.n_features != n_features:
        have = "the last of pre_layers has" if config.pre_layers else "the data have"
        raise CircuitError(
            f"the circuit takes {circuit.n_features} features, {have} {n_features}",
            field="circuit",
            value=circuit.name,
            fix="Change the preprocessing (for example PCA components), or say by `features` which "
            "of the circuit's parameters are data; without it they are those named x.",
        )
    return circuit
