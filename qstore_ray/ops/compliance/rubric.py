"""The maturity model: the 28 tests of Breck et al. 2017, each answered from a run.

"The ML Test Score: A Rubric for ML Production Readiness and Technical Debt Reduction" has seven
tests each of data, model, infrastructure and monitoring. It was chosen because each of its points
is a question about evidence, where levels of maturity are a question about an organisation. The
points are in our own words.

An answer is `met` only with evidence of this run, `not met` if the run shows the opposite or lacks
what it would record, and otherwise `cannot be known from a run`. The paper's score (half a point
for a test done by hand, a whole one for an automatic one, the lowest section counts) is about
practice over time, which one run does not show: it is not computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from qstore_ray.ops.compliance import rubric_of_runs as answers
from qstore_ray.ops.compliance.document import UNKNOWN, PointAnswer, RubricPoint
from qstore_ray.ops.compliance.evidence import RunEvidence

MODEL: Final = (
    'Breck et al., "The ML Test Score: A Rubric for ML Production Readiness and Technical Debt '
    'Reduction", IEEE Big Data 2017, doi:10.1109/BigData.2017.8258038'
)

Answered: TypeAlias = tuple[PointAnswer, str, str]


class _AskedPoint(NamedTuple):
    """A point: what it asks for, and who answers it; a text says why no run can."""

    number: str
    asks: str
    answered_by: Callable[[RunEvidence], Answered] | str


_POINTS: Final = (
    _AskedPoint(
        "Data 1", "What each feature looks like is written down as a schema.", answers.schema
    ),
    _AskedPoint(
        "Data 2",
        "Each feature helps the model.",
        "It takes trainings without each feature in turn.",
    ),
    _AskedPoint(
        "Data 3",
        "No feature costs more than it brings.",
        "A run does not record what a feature costs.",
    ),
    _AskedPoint(
        "Data 4",
        "Features keep the rules that the project has for its data.",
        "The rules are not part of a run.",
    ),
    _AskedPoint("Data 5", "The way of the data protects the people in them.", answers.private),
    _AskedPoint(
        "Data 6", "A new feature can be added in little time.", "That is about work between runs."
    ),
    _AskedPoint(
        "Data 7",
        "The code that makes the features has tests.",
        "Tests of code are not part of a run.",
    ),
    _AskedPoint(
        "Model 1",
        "The definition of the model was reviewed and is under version control.",
        answers.committed,
    ),
    _AskedPoint(
        "Model 2",
        "The score that is trained for goes with the use that is wanted.",
        "It takes measurements of the model in use.",
    ),
    _AskedPoint("Model 3", "Hyperparameters were searched.", answers.searched),
    _AskedPoint(
        "Model 4",
        "It is known how fast the model gets worse with age.",
        "It takes scores of the same model at several times.",
    ),
    _AskedPoint("Model 5", "A simpler model does not do as well.", answers.beats_simple),
    _AskedPoint(
        "Model 6", "The model is good enough on each important part of the data.", answers.by_class
    ),
    _AskedPoint(
        "Model 7",
        "The model was tested for fairness to groups of people.",
        "No run records which groups its rows belong to.",
    ),
    _AskedPoint("Infrastructure 1", "Training twice gives the same model.", answers.repeated),
    _AskedPoint(
        "Infrastructure 2",
        "The code of the model has unit tests.",
        "Tests of code are not part of a run.",
    ),
    _AskedPoint(
        "Infrastructure 3",
        "The whole pipeline has an integration test.",
        "A run shows that it worked once, not that a test repeats it.",
    ),
    _AskedPoint(
        "Infrastructure 4", "The quality of a model is checked before it serves.", answers.scored
    ),
    _AskedPoint(
        "Infrastructure 5", "A training can be looked into step by step.", answers.debuggable
    ),
    _AskedPoint(
        "Infrastructure 6",
        "A new model first serves a small part of the requests.",
        "That is a matter of the serving, after the run.",
    ),
    _AskedPoint(
        "Infrastructure 7", "Serving can go back to an earlier model.", answers.earlier_model
    ),
    _AskedPoint(
        "Monitoring 1", "A change of what the model depends on is noticed.", answers.same_data
    ),
    _AskedPoint(
        "Monitoring 2", "Inputs keep what was true of the training data.", answers.invariants
    ),
    _AskedPoint("Monitoring 3", "Training and serving compute the same.", answers.no_skew),
    _AskedPoint(
        "Monitoring 4",
        "The model is not too old.",
        "The run records its date; how old is too old is not recorded.",
    ),
    _AskedPoint("Monitoring 5", "All numbers stay finite.", answers.finite),
    _AskedPoint("Monitoring 6", "Training has not become slower.", answers.speed),
    _AskedPoint(
        "Monitoring 7",
        "Predictions in use have not become worse.",
        "It takes labels of the rows that were predicted.",
    ),
)


def answered(evidence: RunEvidence) -> tuple[RubricPoint, ...]:
    """All points with their answers, in the order of the paper."""
    return tuple(_answered(point, evidence) for point in _POINTS)


def _answered(point: _AskedPoint, evidence: RunEvidence) -> RubricPoint:
    if isinstance(point.answered_by, str):
        return RubricPoint(point.number, point.asks, UNKNOWN, point.answered_by, "")
    return RubricPoint(point.number, point.asks, *point.answered_by(evidence))
