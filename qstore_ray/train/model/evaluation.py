"""What a trained model scored on the rows of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.learn.scoring import Answers, Scores

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


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
