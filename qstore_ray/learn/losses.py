"""Losses: a number for each row, and its derivative by the model's outputs.

| name | outputs | value of a row |
|---|---|---|
| `cross_entropy` | K scores | −log softmax(outputs)_y |
| `binary_cross_entropy` | one score s | log(1 + e^s) − y·s |
| `mse` | one number s | (s − y)² |

Each works on arrays of any leading shape (…, K), row by row; averaging is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.errors import unknown_name

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class Loss(NamedTuple):
    """A loss by its two functions.

    Attributes:
        value_and_grad: outputs (…, K) and targets (…) to values (…) and derivatives (…, K).
        predict: outputs (…, K) to class numbers (…), or to the predicted values for regression.
        classification: whether targets are class numbers.
    """

    value_and_grad: Callable[[FloatArray, AnyArray], tuple[FloatArray, FloatArray]]
    predict: Callable[[FloatArray], AnyArray]
    classification: bool


def probabilities(outputs: FloatArray) -> FloatArray:
    """Class probabilities (…, K) of scores (…, K); one score s gives (1 − σ(s), σ(s))."""
    if outputs.shape[-1] == 1:
        outputs = np.concatenate([np.zeros_like(outputs), outputs], axis=-1)
    shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    result: FloatArray = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def n_outputs(loss: str, n_classes: int) -> int:
    """K: how many outputs the loss needs for that many classes."""
    return n_classes if loss == "cross_entropy" else 1


def get_loss(name: str) -> Loss:
    """The loss of that name.

    Raises:
        UnknownNameError: no such loss.
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES, field="model.loss")
    return LOSSES[name]


def _cross_entropy(outputs: FloatArray, targets: AnyArray) -> tuple[FloatArray, FloatArray]:
    # Classes first: a sum over the last of a few numbers costs numpy ten times as much.
    scores = np.ascontiguousarray(outputs.reshape(-1, outputs.shape[-1]).T)
    scores -= scores.max(axis=0)
    slope = np.exp(scores)
    total = slope.sum(axis=0)
    hit = (targets.ravel(), np.arange(targets.size))
    value = np.log(total) - scores[hit]
    slope /= total
    slope[hit] -= 1.0
    return value.reshape(targets.shape), slope.T.reshape(outputs.shape)


def _binary_cross_entropy(outputs: FloatArray, targets: AnyArray) -> tuple[FloatArray, FloatArray]:
    score = outputs[..., 0]
    value = np.logaddexp(0.0, score) - targets * score
    # σ(s) by tanh: no overflow at either end.
    slope = 0.5 * (1.0 + np.tanh(0.5 * score)) - targets
    return value, slope[..., None]


def _mse(outputs: FloatArray, targets: AnyArray) -> tuple[FloatArray, FloatArray]:
    difference = outputs[..., 0] - targets
    return difference**2, 2.0 * difference[..., None]


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(_cross_entropy, lambda o: o.argmax(axis=-1), True),
    "binary_cross_entropy": Loss(
        _binary_cross_entropy, lambda o: (o[..., 0] > 0.0).astype(np.int64), True
    ),
    "mse": Loss(_mse, lambda o: o[..., 0], False),
}
