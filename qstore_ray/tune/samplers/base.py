"""What a sampler is: a learner, which asks ended trials, or a design, fixed in advance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@runtime_checkable
class Learner(Protocol):
    """A sampler that learns from the trials that have ended."""

    def check(self, space: Space, objectives: int) -> None:
        """Check that it can search this space for that many objectives.

        Raises:
            MissingDependencyError: a package that it needs is not installed.
            ConfigError: it cannot, and what can is proposed.
        """

    def open(self, seed: int) -> BaseSampler:
        """Optuna's sampler, its generator seeded."""


@runtime_checkable
class Design(Protocol):
    """A sampler whose points are fixed in advance."""

    def points(self, space: Space, *, seed: int, limit: int) -> Points:
        """The points of a search of at most `limit` trials.

        Raises:
            ConfigError: the space has more points than the limit, where all are to be tried.
        """


class Points(Protocol):
    """The points of a search: index → overrides, None after the last one."""

    def __call__(self, index: int) -> Values | None:
        """The overrides of the point of this index."""
