"""One step of training as a pure function: from parameters and rows to sums over blocks of rows.

Rows are processed in fixed blocks of 16 (the last one padded, with weight 0), for any number of
workers. The shapes and the order of the operations depend on the block alone, so its sums have the
same bits on any worker. The trainer adds the blocks of all workers in one fixed order, so W workers
end with exactly the parameters of one. The backend alone gets no padded row (`learn/padding.py`).

The rows of the returned array are blocks; its columns are the gradient of Σ loss by θ (in θ's
order), then Σ loss, the number of rows, and the number classified correctly. If rows have
weights, the gradient and Σ loss are of w · loss, and the two numbers count rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.backends.base import Backend, Pullback
from qstore_ray.backends.keys import DrawKey
from qstore_ray.learn.clipping import clip_factors, clip_rows
from qstore_ray.learn.gradients.base import GradientMethod, linearize
from qstore_ray.learn.layers import Tape, fill_dense
from qstore_ray.learn.model import Parts, QuantumModel
from qstore_ray.learn.padding import without_padding

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

BLOCK = 16
"""Rows of a block: a multiple of the engine's tile, small enough that few workers idle."""

_SMALLEST_CLIP = 1e-100  # below it squares of norms lose digits that matter

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
    weight: FloatArray | None = None,
    key: DrawKey | None = None,
    *,
    clip: float | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Σ over each block of ∂loss/∂θ, loss, rows, correct: (blocks, len(θ) + 3).

    Args:
        theta: parameters.
        x: features (B, F). y: class numbers or values (B,), or several labels or values (B, K).
        weight: of each row (B,), which its loss and gradient are multiplied by; None for 1.
        key: names the random draws of a backend that has any.
        clip: the largest norm of one row's gradient; a larger one is scaled down to it before the
            rows are added (DP-SGD). None leaves all as they are.
        out: where the result is written.
    """
    n_rows = len(x)
    x, there = _blocks(x)
    y = _padded(y, len(x))
    if weight is not None:
        weight = _padded(weight, len(x)) if there is None else there * _padded(weight, len(x))
    weight = there if weight is None else weight
    if out is None:
        out = np.empty((len(x) // BLOCK, model.n_parameters + EXTRA))
    parts = model.split(theta)
    inputs, before = model.inputs(parts, _by_block(x))
    inputs = inputs.reshape(len(x), -1)
    angles = model.circuit.angles(inputs)
    estimates, pullback = linearize(
        method,
        without_padding(backend, n_rows, len(x)),
        model.circuit.template,
        model.observables,
        model.bindings(parts, inputs, angles),
        rows_gradient=model.rows_gradient,
        key=key,
        block=BLOCK if clip is None else None,
    )
    outputs, hidden, after = _head(model, parts, _by_block(estimates.values))
    targets = _by_block(y)
    there = None if there is None else _by_block(there)
    weight = None if weight is None else _by_block(weight)
    values, slopes = model.loss.value_and_grad(outputs, targets)
    if weight is not None:
        slopes = slopes * weight[..., None]
    gradient = out[:, :-EXTRA]
    if clip is not None and model.pre is None and model.post is None and clip > _SMALLEST_CLIP:
        found = model.split(gradient)
        _fill_clipped(parts, found, hidden, slopes, pullback, angles, clip)
    else:
        if clip is not None:  # gradients of single rows, to be clipped
            gradient = np.zeros((len(x) // BLOCK, BLOCK, model.n_parameters))
        found = model.split(gradient)  # views, filled part by part
        slopes = _through_head(model, parts, found, hidden, after, slopes)
        gradients = pullback(slopes.reshape(len(x), -1))
        if clip is None:
            found.circuit[:] = gradients.params
        else:
            _fill(found.circuit, _by_block(gradients.params))
        by_angle = gradients.rows
        if parts.input_scale is not None and found.input_scale is not None:
            # The angle is scale · encoded angle: its derivative by the scale is the encoded angle.
            _fill(found.input_scale, _by_block(by_angle * angles))
            by_angle = by_angle * parts.input_scale
        if model.pre is not None and parts.pre is not None and found.pre is not None:
            by_input = model.circuit.pullback(inputs, by_angle, gradients.amplitudes)
            model.pre.pullback(parts.pre, before, _by_block(by_input), found.pre)
        if clip is not None:
            clipped = clip_rows(gradient.reshape(len(x), -1), clip)
            out[:, :-EXTRA] = _by_block(clipped).sum(axis=1)
    _fill_scores(out[:, -EXTRA:], model, outputs, targets, values, there, weight, there)
    return out


def evaluate(
    model: QuantumModel,
    theta: FloatArray,
    x: FloatArray,
    y: AnyArray,
    backend: Backend,
    weight: FloatArray | None = None,
    key: DrawKey | None = None,
    *,
    weighs_correct: bool = False,
) -> FloatArray:
    """The last three columns of `value_and_grad`, (blocks, 3): Σ loss, rows, correct.

    Args:
        weighs_correct: whether a correct row counts its weight, not 1.
    """
    outputs = block_outputs(model, theta, x, backend, key)
    return scored(model, outputs, y, weight, weighs_correct=weighs_correct)


def block_outputs(
    model: QuantumModel,
    theta: FloatArray,
    x: FloatArray,
    backend: Backend,
    key: DrawKey | None = None,
) -> FloatArray:
    """Outputs (blocks, 16, K) for features (B, F), as `evaluate` has them; the last is padded."""
    n_rows = len(x)
    x, _ = _blocks(x)
    backend = without_padding(backend, n_rows, len(x))
    parts = model.split(theta)
    inputs, _ = model.inputs(parts, _by_block(x))
    z = _expectations(model, parts, inputs.reshape(len(x), -1), backend, key)
    outputs, _, _ = _head(model, parts, _by_block(z))
    return outputs


def scored(
    model: QuantumModel,
    outputs: FloatArray,
    y: AnyArray,
    weight: FloatArray | None = None,
    *,
    weighs_correct: bool = False,
) -> FloatArray:
    """Σ loss, rows, correct (blocks, 3) of `block_outputs` against the targets y (B, …)."""
    n_rows = outputs.shape[0] * BLOCK
    there = np.zeros(n_rows)
    there[: len(y)] = 1.0
    weight = there if weight is None else there * _padded(weight, n_rows)
    targets, there, weight = _by_block(_padded(y, n_rows)), _by_block(there), _by_block(weight)
    losses, _ = model.loss.value_and_grad(outputs, targets)
    counted = weight if weighs_correct else there
    scores = np.empty((len(losses), EXTRA))
    _fill_scores(scores, model, outputs, targets, losses, there, weight, counted)
    return scores


def outputs_of(
    model: QuantumModel,
    theta: FloatArray,
    x: FloatArray,
    backend: Backend,
    key: DrawKey | None = None,
) -> FloatArray:
    """Outputs (B, K) for features (B, F); a row's do not depend on the other rows of the batch.

    The layers work on one row at a time: a matrix product rounds a row differently in batches of
    different sizes.
    """
    parts = model.split(theta)
    inputs, _ = model.inputs(parts, x[:, None])
    z = _expectations(model, parts, inputs[:, 0], backend, key)
    outputs, _, _ = _head(model, parts, z[:, None])
    return outputs[:, 0]


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


def row_variance(blocks: FloatArray) -> FloatArray:
    """The variance of ∂loss/∂θ from row to row (P,), estimated from the spread of blocks.

    Σ_b n_b (m_b − m)² / (blocks − 1), for the means m_b of blocks of n_b rows: the mean square
    between groups of an analysis of variance, whose mean is that variance where the rows come in a
    random order. NaN for a single block.
    """
    counts = blocks[:, -2]
    if len(counts) < 2:
        return np.full(blocks.shape[1] - EXTRA, np.nan)
    sums = blocks[:, :-EXTRA]
    mean = sums.sum(axis=0) / counts.sum()
    spread = counts[:, None] * (sums / counts[:, None] - mean) ** 2
    variance: FloatArray = spread.sum(axis=0) / (len(counts) - 1)
    return variance


def _expectations(
    model: QuantumModel, parts: Parts, x: FloatArray, backend: Backend, key: DrawKey | None
) -> FloatArray:
    """Expectation values (B, O) for the circuit's inputs (B, F′)."""
    bindings = model.bindings(parts, x, model.circuit.angles(x))
    drawn: dict[str, Any] = {} if key is None else {"key": key}
    return backend.evaluate(model.circuit.template, model.observables, bindings, **drawn).values


def _head(model: QuantumModel, parts: Parts, z: FloatArray) -> tuple[FloatArray, FloatArray, Tape]:
    """Outputs (…, K) of expectation values (…, O); what the last layer was given, and its tape."""
    hidden = z
    tape: Tape = ()
    if model.post is not None and parts.post is not None:
        hidden, tape = model.post.forward(parts.post, z)
    if parts.weights is None or parts.bias is None:
        return hidden, hidden, tape
    return hidden @ parts.weights + parts.bias, hidden, tape


def _through_head(
    model: QuantumModel,
    parts: Parts,
    found: Parts,
    hidden: FloatArray,
    tape: Tape,
    slopes: FloatArray,
) -> FloatArray:
    """From the gradient of the outputs (blocks, 16, K) to that of the expectation values.

    Fills the head's and the last layers' gradients in `found`.
    """
    if parts.weights is not None and found.weights is not None and found.bias is not None:
        fill_dense(found.weights, found.bias, hidden, slopes)
        slopes = slopes @ parts.weights.T
    if model.post is not None and parts.post is not None and found.post is not None:
        slopes = model.post.pullback(parts.post, tape, slopes, found.post)
    return slopes


def _fill_clipped(
    parts: Parts,
    found: Parts,
    hidden: FloatArray,
    slopes: FloatArray,
    pullback: Pullback,
    angles: FloatArray,
    limit: float,
) -> None:
    """Fill `found` with Σ over each block of the clipped gradients of its rows, without layers.

    The gradient of a row by the head is an outer product h ⊗ s, whose norm is ‖h‖·‖s‖ (Goodfellow
    2015, arXiv:1510.01799), so it is never written out: the clipped rows are summed by the head's
    own product, with s scaled down.
    """
    inner, squares = slopes, np.zeros(slopes.shape[:2])
    if parts.weights is not None:
        squares += (_squares(hidden) + 1.0) * _squares(slopes)
        inner = slopes @ parts.weights.T
    gradients = pullback(inner.reshape(len(angles), -1))
    rows = [(found.circuit, _by_block(gradients.params))]
    if found.input_scale is not None:
        rows.append((found.input_scale, _by_block(gradients.rows * angles)))
    for _, each in rows:
        squares += _squares(each)
    factors = clip_factors(squares, limit)
    for filled, each in rows:
        filled[:] = (factors[:, None, :] @ each)[:, 0]
    if found.weights is not None and found.bias is not None:
        fill_dense(found.weights, found.bias, hidden, slopes * factors[..., None])


def _squares(rows: FloatArray) -> FloatArray:
    """‖row‖² of rows (blocks, 16, n): (blocks, 16)."""
    found: FloatArray = np.einsum("brn,brn->br", rows, rows)
    return found


def _fill(gradient: FloatArray, rows: FloatArray) -> None:
    """Fill a part of the gradient, of blocks or of rows, from its rows (blocks, 16, n)."""
    gradient[:] = rows if gradient.ndim == rows.ndim else rows.sum(axis=1)


def _by_block(rows: AnyArray) -> AnyArray:
    """Rows (B, …) as blocks (blocks, 16, …)."""
    return rows.reshape(len(rows) // BLOCK, BLOCK, *rows.shape[1:])


def _blocks(x: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Rows padded to whole blocks, and 1 for a row, 0 for padding; None without padding."""
    if len(x) % BLOCK == 0:
        return x, None
    n_rows = len(x) + -len(x) % BLOCK
    there = np.ones(n_rows)
    there[len(x) :] = 0.0
    return _padded(x, n_rows), there


def _padded(rows: AnyArray, n_rows: int) -> AnyArray:
    """Rows (B, …) as (n_rows, …), by repeating the first one."""
    missing = n_rows - len(rows)
    if not missing:
        return rows
    padded: AnyArray = np.empty((n_rows, *rows.shape[1:]), rows.dtype)
    padded[: len(rows)], padded[len(rows) :] = rows, rows[0]
    return padded


def _fill_scores(
    scores: FloatArray,
    model: QuantumModel,
    outputs: FloatArray,
    targets: AnyArray,
    losses: FloatArray,
    there: FloatArray | None,
    weight: FloatArray | None,
    counted: FloatArray | None,
) -> None:
    """(blocks, 3): Σ w · loss, rows, and Σ `counted` of rows whose prediction is the target.

    None stands for ones.
    """
    right = model.loss.predict(outputs) == targets
    if right.ndim > 2:  # several labels or numbers: the row is right if all of them are
        right = right.all(axis=-1)
    scores[:, 0] = (losses if weight is None else losses * weight).sum(axis=1)
    scores[:, 1] = BLOCK if there is None else there.sum(axis=1)
    scores[:, 2] = (right if counted is None else right * counted).sum(axis=1)
