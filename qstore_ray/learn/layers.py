"""Dense layers before and after a circuit: y = f(x·W + b), one after the other.

    x (…, w_0) → f_1(x·W_1 + b_1) (…, w_1) → … → (…, w_n)

A chain is a value without numbers; those lie in one flat vector, W_1, b_1, W_2, b_2, …, which is a
part of the model's θ. All functions work on any leading shape. Given blocks of rows (blocks, 16, w)
each block is multiplied separately, in an order that its shape alone decides, so its bits do not
depend on the other blocks.

The activations, with their derivative written in terms of the value y they gave:

    tanh       tanh(a)       1 − y²
    relu       max(a, 0)     1 where y > 0
    identity   a             1
    angle      π·tanh(a)     π − y²/π: what enters a circuit as an angle stays within (−π, π)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class Activation(NamedTuple):
    """A function of each number, and its derivative as a function of its value."""

    value: Callable[[FloatArray], FloatArray]
    slope: Callable[[FloatArray], FloatArray]


ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation(np.tanh, lambda y: 1.0 - y * y),
    "relu": Activation(lambda a: np.maximum(a, 0.0), lambda y: (y > 0.0).astype(np.float64)),
    "identity": Activation(np.positive, np.ones_like),
    "angle": Activation(lambda a: math.pi * np.tanh(a), lambda y: math.pi - y * y / math.pi),
}

Tape: TypeAlias = "tuple[FloatArray, ...]"
"""What `forward` keeps for `pullback`: the input, then the value of every layer."""


@dataclass(frozen=True)
class DenseLayers:
    """A chain of dense layers.

    Args:
        widths: (w_0, w_1, …, w_n), the widths of the input and of every layer's output.
        activations: names of `ACTIVATIONS`, one a layer.
    """

    widths: tuple[int, ...]
    activations: tuple[str, ...]

    @property
    def n_parameters(self) -> int:
        """Σ w_{k−1}·w_k + w_k."""
        return sum((before + 1) * after for before, after in self._shapes())

    def initial(self, rng: np.random.Generator) -> FloatArray:
        """Parameters at the start: W uniform in ±√(6 / (w_{k−1} + w_k)), b = 0.

        Glorot & Bengio, AISTATS 2010: signals and gradients keep their size from layer to layer.
        """
        theta = np.zeros(self.n_parameters)
        for weights, _ in self._layers(theta):
            limit = math.sqrt(6.0 / sum(weights.shape))
            weights[:] = rng.uniform(-limit, limit, weights.shape)
        return theta

    def forward(self, theta: FloatArray, x: FloatArray) -> tuple[FloatArray, Tape]:
        """Outputs (…, w_n) of inputs (…, w_0), and what the pullback needs."""
        tape = [x]
        for (weights, bias), name in zip(self._layers(theta), self.activations, strict=True):
            tape.append(ACTIVATIONS[name].value(tape[-1] @ weights + bias))
        return tape[-1], tuple(tape)

    def pullback(
        self, theta: FloatArray, tape: Tape, cotangent: FloatArray, gradient: FloatArray
    ) -> FloatArray:
        """Jᵀ·cotangent for the inputs (blocks, B, w_0), and for θ summed over each block's rows.

        Args:
            theta: the parameters (n,).
            tape: from `forward` on blocks of rows (blocks, B, w_0).
            cotangent: gradient of the outputs (blocks, B, w_n).
            gradient: (blocks, n), filled with the gradient of the parameters; (blocks, B, n) for
                that of each row.
        """
        layers = list(zip(self._layers(theta), self._layers(gradient), strict=True))
        for number in reversed(range(len(layers))):
            (weights, _), (by_weights, by_bias) = layers[number]
            slope = ACTIVATIONS[self.activations[number]].slope(tape[number + 1])
            cotangent = cotangent * slope
            fill_dense(by_weights, by_bias, tape[number], cotangent)
            cotangent = cotangent @ weights.T
        return cotangent

    def _shapes(self) -> Iterator[tuple[int, int]]:
        return pairwise(self.widths)

    def _layers(self, theta: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Views of every layer's W (…, w_{k−1}, w_k) and b (…, w_k) in θ (…, n)."""
        begin = 0
        for before, after in self._shapes():
            middle = begin + before * after
            end = middle + after
            weights = theta[..., begin:middle].reshape(*theta.shape[:-1], before, after)
            yield weights, theta[..., middle:end]
            begin = end


def fill_dense(
    by_weights: FloatArray, by_bias: FloatArray, x: FloatArray, cotangent: FloatArray
) -> None:
    """The gradients of W and b of one layer x·W + b, over each block's rows or of each row.

    Args:
        by_weights: (blocks, w_in, w_out), filled with the sum over rows; (blocks, B, w_in, w_out)
            with that of each row. by_bias: likewise, (…, w_out).
        x: the input (blocks, B, w_in). cotangent: gradient of the output (blocks, B, w_out).
    """
    if by_bias.ndim == cotangent.ndim:
        np.multiply(x[..., :, None], cotangent[..., None, :], out=by_weights)
        by_bias[:] = cotangent
    else:
        np.matmul(x.transpose(0, 2, 1), cotangent, out=by_weights)
        by_bias[:] = cotangent.sum(axis=1)
