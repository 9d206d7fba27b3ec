"""What a trained model scored on the rows of a split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from qstore_ray.errors import numbered
from qstore_ray.learn import step
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.scoring import Answers, Scores, Scoring, answers_of
from qstore_ray.learn.targets import TargetScaling

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.types import AnyArray, FloatArray


ScoresOf: TypeAlias = Callable[
    [Scoring, "AnyArray", Answers, Sequence[str], "FloatArray | None"], Scores
]
"""`Scoring.scores`, or what gives the same."""


class Evaluation(NamedTuple):
    """A model on the rows of a split.

    Attributes:
        scores: metrics by name, and those that could not be computed with the reason.
        y: the targets (N,) or (N, T). answers: the model's. weight: of the rows (N,), if any.
    """

    scores: Scores
    y: AnyArray
    answers: Answers
    weight: FloatArray | None = None


def outputs_of_split(
    block_outputs: Callable[[FloatArray, int], FloatArray],
    n_outputs: int,
    dataset: Dataset,
    split: str,
) -> tuple[FloatArray, AnyArray]:
    """Outputs (blocks, 16, K) of a model on the rows of a split, and their targets (N, …).

    Streamed rows are read part by part; the outputs of a row are the same.

    Args:
        block_outputs: of features (N, F), whose first row has this number in the split.
    """
    parts: list[FloatArray] = []
    targets: list[AnyArray] = []
    start = 0
    for x, y in dataset.parts(split):
        with numbered(dataset.rows(split)[start:]):
            blocks = block_outputs(x, start)
        if len(y) == dataset.sizes[split]:
            return blocks, y
        parts.append(blocks.reshape(-1, n_outputs)[: len(y)])
        targets.append(y)
        start += len(y)
    filling = np.repeat(parts[0][:1], -start % step.BLOCK, axis=0)
    outputs = np.concatenate([*parts, filling])
    return outputs.reshape(-1, step.BLOCK, n_outputs), np.concatenate(targets)


def scored(
    model: QuantumModel,
    blocks: FloatArray,
    y: AnyArray,
    scoring: Scoring,
    metrics: Sequence[str] | None,
    *,
    weight: FloatArray | None,
    targets: TargetScaling | None,
    scores: ScoresOf = Scoring.scores,
) -> Evaluation:
    """The scores of a split's rows.

    Args:
        blocks: outputs (blocks, 16, K) of the model, see `learn.step.block_outputs`.
        y: targets (N,) or (N, T), in the units of the data.
        metrics: names of those to compute besides loss and accuracy; None for all that fit.
        weight: of the rows (N,). targets: how the model's were scaled.
        scores: computes the metrics, here or in another process.
    """
    how = model.loss
    seen = y if targets is None else targets.apply(y)
    shares = None if weight is None else weight / weight.mean()
    sums = step.scored(model, blocks, seen, shares, weighs_correct=True)
    loss, count, correct = sums.sum(axis=0)
    values = {"loss": float(loss / count)}
    if how.classification:
        values["accuracy"] = min(1.0, float(correct / count))  # weights are rounded
    if how.goal == "compression":
        values["fidelity"] = 1.0 - values["loss"]
    outputs = blocks.reshape(-1, model.n_outputs)[: len(y)]
    if targets is not None:
        outputs = targets.undo(outputs)
    answers = answers_of(how, outputs)
    names = [n for n in scoring.metrics if n not in values and (metrics is None or n in metrics)]
    found = scores(scoring, y, answers, names, weight)
    return Evaluation(Scores(values | found.values, found.missing), y, answers, weight)
