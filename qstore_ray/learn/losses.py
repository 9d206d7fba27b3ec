"""Losses: a number for each row, and its derivative by the model's outputs.

| name | outputs | value of a row |
|---|---|---|
| `cross_entropy` | K scores | −log softmax(outputs)_y |
| `binary_cross_entropy` | one score s | log(1 + e^s) − y·s |
| `hinge` | one score s | max(0, 1 − t·s) with t = ±1 for the classes 1 and 0 |
| `multilabel_cross_entropy` | a score a label | mean over the labels of log(1 + e^s) − y·s |
| `mse` | a number s a target | mean over the targets of (s − y)² |
| `mae` | the same | mean over the targets of the distance d of s and y |
| `huber` | the same | mean over the targets of ½d² up to d = δ, then δ·(d − ½δ) |
| `compression` | one fidelity f | 1 − f; the targets are not looked at |
| `compression_local` | the same | 1 − f, with f a mean over qubits |

Where hinge and mae bend, their derivative is taken as 0. Each works on arrays of any leading shape
(…, K), row by row; averaging over the rows is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from qstore_ray.errors import unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

Goal: TypeAlias = Literal["classification", "multilabel", "regression", "compression"]
_Both: TypeAlias = "tuple[FloatArray, FloatArray]"


class Loss(NamedTuple):
    """A loss by its functions.

    Attributes:
        value_and_grad: outputs (…, K) and targets (…) to values (…) and derivatives (…, K). Several
            labels or numbers a row are targets (…, K).
        predict: outputs (…, K) to class numbers (…), labels of 0 and 1 (…, K), or the predicted
            values (…) or (…, K).
        goal: the kind of target: one class of several, labels of 0 and 1, numbers, or compression.
        probabilities: outputs (…, K) to probabilities (…, C); None if the loss defines none.
    """

    value_and_grad: Callable[[FloatArray, AnyArray], _Both]
    predict: Callable[[FloatArray], AnyArray]
    goal: Goal
    probabilities: Callable[[FloatArray], FloatArray] | None = None

    @property
    def classification(self) -> bool:
        """Whether a prediction is right or wrong (several labels: right if all of them are)."""
        return self.goal in {"classification", "multilabel"}


def probabilities(outputs: FloatArray) -> FloatArray:
    """Class probabilities (…, K) of scores (…, K); one score s gives (1 − σ(s), σ(s))."""
    if outputs.shape[-1] == 1:
        outputs = np.concatenate([np.zeros_like(outputs), outputs], axis=-1)
    shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    result: FloatArray = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def n_outputs(loss: str, n_targets: int) -> int:
    """K: how many outputs the loss needs for so many classes, labels, or numbers a row."""
    return 1 if loss in _ONE_OUTPUT else n_targets


def get_loss(name: str, *, huber_delta: float = 1.0) -> Loss:
    """The loss of that name.

    Args:
        huber_delta: δ, from where `huber` grows linearly, in the units of the targets it is given.

    Raises:
        UnknownNameError: no such loss.
    """
    if name not in LOSSES:
        raise unknown_name_error("loss", name, LOSSES, field="model.loss")
    return LOSSES[name] if name != "huber" else _numbers(_huber(huber_delta))


def _cross_entropy(outputs: FloatArray, targets: AnyArray) -> _Both:
    # Classes first: a sum over the last of a few numbers costs numpy ten times as much.
    scores = np.ascontiguousarray(outputs.reshape(-1, outputs.shape[-1]).T)
    scores -= scores.max(axis=0)
    slope = np.exp(scores)
    total = slope.sum(axis=0)
    hit = targets.ravel() * targets.size + np.arange(targets.size)  # places in the flat arrays
    value = np.log(total) - scores.ravel()[hit]
    slope /= total
    slope.ravel()[hit] -= 1.0
    return value.reshape(targets.shape), slope.T.reshape(outputs.shape)


def _binary_cross_entropy(outputs: FloatArray, targets: AnyArray) -> _Both:
    value, slope = _logistic(outputs[..., 0], targets)
    return value, slope[..., None]


def _multilabel_cross_entropy(outputs: FloatArray, targets: AnyArray) -> _Both:
    value, slope = _logistic(outputs, targets)
    return value.mean(axis=-1), slope / outputs.shape[-1]


def _logistic(score: FloatArray, targets: AnyArray) -> _Both:
    value = np.logaddexp(0.0, score) - targets * score
    return value, _sigmoid(score) - targets


def _sigmoid(score: FloatArray) -> FloatArray:
    """1 / (1 + e^−s), by tanh: no overflow at either end."""
    result: FloatArray = 0.5 * (1.0 + np.tanh(0.5 * score))
    return result


def _hinge(outputs: FloatArray, targets: AnyArray) -> _Both:
    sign = 2.0 * targets - 1.0
    short = 1.0 - sign * outputs[..., 0]
    return np.maximum(short, 0.0), np.where(short > 0.0, -sign, 0.0)[..., None]


def _squared(difference: FloatArray) -> _Both:
    return difference**2, 2.0 * difference


def _absolute(difference: FloatArray) -> _Both:
    return np.abs(difference), np.sign(difference)


def _huber(delta: float) -> Callable[[FloatArray], _Both]:
    """Huber, Ann. Math. Stat. 35, 73 (1964)."""

    def both(difference: FloatArray) -> _Both:
        near = np.clip(difference, -delta, delta)
        return near * (difference - 0.5 * near), near

    return both


def _numbers(of_difference: Callable[[FloatArray], _Both]) -> Loss:
    """The loss that is a mean over the targets of a function of output − target."""

    def both(outputs: FloatArray, targets: AnyArray) -> _Both:
        if targets.ndim < outputs.ndim:  # one number a row
            value, slope = of_difference(outputs[..., 0] - targets)
            return value, slope[..., None]
        value, slope = of_difference(outputs - targets)
        return value.mean(axis=-1), slope / outputs.shape[-1]

    return Loss(both, lambda o: o[..., 0] if o.shape[-1] == 1 else o, "regression")


def _compression(outputs: FloatArray, _targets: AnyArray) -> _Both:
    return 1.0 - outputs[..., 0], np.full_like(outputs, -1.0)


def _positive(outputs: FloatArray) -> AnyArray:
    return (outputs > 0.0).astype(np.int64)


def _positive_score(outputs: FloatArray) -> AnyArray:
    return _positive(outputs[..., 0])


_FIDELITY = Loss(_compression, lambda o: o[..., 0], "compression")

LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(
        _cross_entropy, lambda o: o.argmax(axis=-1), "classification", probabilities
    ),
    "binary_cross_entropy": Loss(
        _binary_cross_entropy, _positive_score, "classification", probabilities
    ),
    "hinge": Loss(_hinge, _positive_score, "classification"),
    "multilabel_cross_entropy": Loss(_multilabel_cross_entropy, _positive, "multilabel", _sigmoid),
    "mse": _numbers(_squared),
    "mae": _numbers(_absolute),
    "huber": _numbers(_huber(1.0)),
    "compression": _FIDELITY,
    "compression_local": _FIDELITY,
}

_ONE_OUTPUT = {"binary_cross_entropy", "hinge", "compression", "compression_local"}
TWO_CLASSES = frozenset({"binary_cross_entropy", "hinge"})
