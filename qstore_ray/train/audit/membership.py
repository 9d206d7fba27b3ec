"""The simplest membership test: rows that a model was trained on tend to have smaller losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.learn.privacy.audit import area, area_error, largest_area
from qstore_ray.learn.step import outputs_of

if TYPE_CHECKING:
    from qstore_ray.backends.base import Backend
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.types import AnyArray, FloatArray

_ERRORS = 4.0


class MembershipTest(NamedTuple):
    """How well losses separate rows of train from others.

    Attributes:
        area: under the ROC curve; 0.5 is chance. error: its standard error. largest: the most that
            the claim allows any attack.
        at_one_percent: true positives where one row in a hundred of the others is taken for one of
            train. members, others: how many rows there were.
    """

    area: float
    error: float
    largest: float
    at_one_percent: float
    members: int
    others: int

    @property
    def faults(self) -> list[str]:
        """What refutes the claim, as sentences; empty if nothing does."""
        if self.area - _ERRORS * self.error <= self.largest:
            return []
        said = (
            f"losses separate the rows of train with an area of {self.area:.3f} under the curve, "
            f"where the claim allows {self.largest:.3f}"
        )
        return [said]


def membership_test(
    model: QuantumModel,
    theta: FloatArray,
    members: tuple[FloatArray, AnyArray],
    others: tuple[FloatArray, AnyArray],
    backend: Backend,
    *,
    epsilon: float,
    delta: float,
) -> MembershipTest:
    """Test by the losses of rows of train, (x, y), and of others from the same source.

    A low area does not show that a stronger attack, one that trains models of its own, fails too.
    """
    losses = [
        model.loss.value_and_grad(outputs_of(model, theta, x, backend)[None], y[None])[0][0]
        for x, y in (members, others)
    ]
    scores = -np.concatenate(losses)
    included = np.concatenate([np.ones(len(losses[0])), np.zeros(len(losses[1]))])
    found = area(scores, included)
    threshold = np.quantile(-losses[1], 0.99, method="higher")
    return MembershipTest(
        area=found,
        error=area_error(found, len(losses[0]), len(losses[1])),
        largest=largest_area(epsilon, delta),
        at_one_percent=float((-losses[0] > threshold).mean()),
        members=len(losses[0]),
        others=len(losses[1]),
    )
