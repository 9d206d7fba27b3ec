"""One step of training as a pure function: from parameters and rows to sums over blocks of rows.

Rows are worked on in fixed blocks of 16 (the last one padded, with weight 0), whatever the number
of workers. A block's sums come out of operations whose shapes and order depend on the block
alone, so they have the same bits on any worker. The trainer adds the blocks of all workers in one
fixed order: this is how W workers end with exactly the parameters of one.

The rows of the returned array are blocks; its columns are the gradient of Σ loss by θ (in θ's
order), then Σ loss, the number of rows, and the number classified correctly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.base import Backend
from qstore_ray.learn.gradients.base import GradientMethod, linearize
from qstore_ray.learn.model import Parts, QuantumModel

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

BLOCK = 16
"""Rows of a block: a multiple of the engine's tile, small enough that few workers idle."""

EXTRA = 3
"""Columns behind the gradient: loss, count, correct."""


class Sums(NamedTuple):
    """Sums over rows, as `total` returns them."""

    gradient: FloatArray
    loss: float
    n_rows: float
    correct: float


def value_and_grad(
    model: QuantumModel,
    theta: FloatArray,
    x: FloatArray,
    y: AnyArray,
    backend: Backend,
    method: GradientMethod,
) -> FloatArray:
    """Σ over each block of ∂loss/∂θ, loss, rows, correct: (blocks, len(θ) + 3).

    Args:
        theta: parameters.
        x: features (B, F). y: class numbers or values (B,).
    """
    x, y, weight = _blocks(x, y)
    n_blocks = len(x) // BLOCK
    parts = model.split(theta)
    angles = model.circuit.angles(x)
    bindings = model.bindings(parts, x, angles)
    estimates, pullback = linearize(
        method,
        backend,
        model.circuit.template,
        model.observables,
        bindings,
        rows_gradient=model.input_scaling,
    )
    z = estimates.values.reshape(n_blocks, BLOCK, -1)
    outputs = _head(parts, z)
    targets, weight = y.reshape(n_blocks, BLOCK), weight.reshape(n_blocks, BLOCK)
    values, slopes = model.loss.value_and_grad(outputs, targets)
    slopes = slopes * weight[..., None]
    result = np.zeros((n_blocks, model.n_parameters + EXTRA))
    if parts.weights is not None:
        head = len(theta) - parts.weights.size - len(slopes[0, 0])
        by_weight = z.transpose(0, 2, 1) @ slopes
        result[:, head : head + parts.weights.size] = by_weight.reshape(n_blocks, -1)
        result[:, head + parts.weights.size : -EXTRA] = slopes.sum(axis=1)
        slopes = slopes @ parts.weights.T
    gradients = pullback(slopes.reshape(len(x), -1))
    n_circuit = len(parts.circuit)
    result[:, :n_circuit] = gradients.params.reshape(n_blocks, BLOCK, -1).sum(axis=1)
    if parts.input_scale is not None:
        # The angle is scale · encoded angle, so its derivative by the scale is the encoded angle.
        by_scale = gradients.rows * angles
        scales = slice(n_circuit, n_circuit + len(parts.input_scale))
        result[:, scales] = by_scale.reshape(n_blocks, BLOCK, -1).sum(axis=1)
    result[:, -EXTRA:] = _scores(model, outputs, targets, values, weight)
    return result


def evaluate(
    model: QuantumModel, theta: FloatArray, x: FloatArray, y: AnyArray, backend: Backend
) -> FloatArray:
    """The last three columns of `value_and_grad`, (blocks, 3): Σ loss, rows, correct."""
    x, y, weight = _blocks(x, y)
    n_blocks = len(x) // BLOCK
    parts = model.split(theta)
    z = _expectations(model, parts, x, backend).reshape(n_blocks, BLOCK, -1)
    outputs = _head(parts, z)
    targets, weight = y.reshape(n_blocks, BLOCK), weight.reshape(n_blocks, BLOCK)
    losses, _ = model.loss.value_and_grad(outputs, targets)
    return _scores(model, outputs, targets, losses, weight)


def outputs_of(
    model: QuantumModel, theta: FloatArray, x: FloatArray, backend: Backend
) -> FloatArray:
    """Outputs (B, K) for features (B, F); a row's do not depend on the other rows of the batch.

    The head works on one row at a time: a matrix product rounds a row differently in batches of
    different sizes.
    """
    parts = model.split(theta)
    z = _expectations(model, parts, x, backend)
    return _head(parts, z[:, None])[:, 0]


def total(blocks: FloatArray) -> Sums:
    """The sum over all blocks (blocks, len(θ) + 3), added in the order of the blocks."""
    summed = blocks.sum(axis=0)
    loss, count, correct = (float(value) for value in summed[-EXTRA:])
    return Sums(summed[:-EXTRA], loss, count, correct)


def added(parts: Sequence[Sums]) -> Sums:
    """Sums of several batches, added in their order."""
    result = parts[0]
    for part in parts[1:]:
        result = Sums(
            result.gradient + part.gradient,
            result.loss + part.loss,
            result.n_rows + part.n_rows,
            result.correct + part.correct,
        )
    return result


def _expectations(model: QuantumModel, parts: Parts, x: FloatArray, backend: Backend) -> FloatArray:
    """Expectation values (B, O) for features (B, F)."""
    bindings = model.bindings(parts, x, model.circuit.angles(x))
    return backend.evaluate(model.circuit.template, model.observables, bindings).values


def _head(parts: Parts, z: FloatArray) -> FloatArray:
    """Outputs (…, K) of expectation values (…, O)."""
    if parts.weights is None or parts.bias is None:
        return z
    outputs: FloatArray = z @ parts.weights + parts.bias
    return outputs


def _blocks(x: FloatArray, y: AnyArray) -> tuple[FloatArray, AnyArray, FloatArray]:
    """Rows padded to whole blocks by repeating the first one, and weights 1 and 0."""
    missing = -len(x) % BLOCK
    if not missing:
        return x, y, np.ones(len(x))
    index = np.concatenate([np.arange(len(x)), np.zeros(missing, np.int64)])
    weight = np.concatenate([np.ones(len(x)), np.zeros(missing)])
    return x[index], y[index], weight


def _scores(
    model: QuantumModel,
    outputs: FloatArray,
    targets: AnyArray,
    losses: FloatArray,
    weight: FloatArray,
) -> FloatArray:
    """(blocks, 3): Σ loss, rows, rows whose prediction is the target."""
    correct = (model.loss.predict(outputs) == targets) * weight
    scores = np.empty((len(losses), EXTRA))
    scores[:, 0] = (losses * weight).sum(axis=1)
    scores[:, 1] = weight.sum(axis=1)
    scores[:, 2] = correct.sum(axis=1)
    return scores
