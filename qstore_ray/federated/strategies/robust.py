"""Rules that f faulty clients cannot move far, whatever they send.

They compare single updates, so they exclude secure sums. None is free: without an attack Krum has
three times the error of the mean, and clients that agree to shift their updates by a little pass
all of them. Distances are of differences in float64, not from norms, which cancel; a client is left
out of its own neighbours by its number.

Letters: S updates, f faulty ones among them at most, P parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.federated.strategies.base import ClientUpdate, LocalRule, stacked

if TYPE_CHECKING:
    from qstore_ray.federated.strategies.base import StrategyState
    from qstore_ray.types import FloatArray, IntArray


def krum_scores(models: FloatArray, faulty: int) -> FloatArray:
    """Σ of the S − f − 2 smallest squared distances to others (S,), at least one of them.

    Args:
        models: (S, P). faulty: f.
    """
    count = len(models)
    distances = np.empty((count, count))
    for row in range(count):  # (S, S, P) at once would be S times the memory
        difference = models - models[row]
        distances[row] = np.einsum("sp,sp->s", difference, difference)
    np.fill_diagonal(distances, np.inf)
    nearest = np.sort(distances, axis=1)[:, : max(1, count - faulty - 2)]
    scores: FloatArray = nearest.sum(axis=1)
    return scores


def bulyan_selection(models: FloatArray, faulty: int) -> IntArray:
    """The S − 2f updates that Krum picks one after the other (El Mhamdi et al. 2018)."""
    left = np.arange(len(models))
    chosen = []
    for _ in range(len(models) - 2 * faulty):
        best = int(np.argmin(krum_scores(models[left], faulty))) if len(left) > 1 else 0
        chosen.append(left[best])
        left = np.delete(left, best)
    return np.array(sorted(chosen))


def _check_enough(n_updates: int, needed: int, faulty: int, rule: str) -> None:
    if n_updates < needed:
        raise ConfigError(
            f"with {faulty} faulty clients this rule needs {needed} updates in a round ({rule})",
            field="strategy_options.faulty",
            value=faulty,
            fix=f"Let {needed} clients take part in each round, not {n_updates}, or lower faulty.",
        )


class RobustStrategy(Config):
    """A rule for the models of a round, without a state.

    Args:
        faulty: f, how many clients of a round may send anything.
    """

    sees_updates: ClassVar[bool] = True
    faulty: int = Field(default=1, ge=0)

    def local(self) -> LocalRule:
        """Plain training."""
        return LocalRule()

    def init(self, theta: FloatArray) -> StrategyState:
        """No state."""
        return {}

    @abstractmethod
    def combined(self, models: FloatArray) -> FloatArray:
        """The model (P,) of those of the clients (S, P)."""

    def update(
        self,
        state: Mapping[str, FloatArray],
        theta: FloatArray,
        updates: Sequence[ClientUpdate],
        n_clients: int,
    ) -> tuple[FloatArray, StrategyState]:
        """See `Strategy`."""
        return self.combined(stacked(updates)), {}


class CoordinateMedian(RobustStrategy):
    """The median of each parameter (Yin et al. 2018); fewer than half may be faulty."""

    def check(self, n_updates: int) -> None:
        """S ≥ 2f + 1."""
        _check_enough(n_updates, 2 * self.faulty + 1, self.faulty, "S ≥ 2f + 1")

    def combined(self, models: FloatArray) -> FloatArray:
        """See `RobustStrategy`."""
        median: FloatArray = np.median(models, axis=0)
        return median


class TrimmedMean(RobustStrategy):
    """The mean of each parameter without its f smallest and f largest values (Yin et al. 2018)."""

    def check(self, n_updates: int) -> None:
        """S ≥ 2f + 1."""
        _check_enough(n_updates, 2 * self.faulty + 1, self.faulty, "S ≥ 2f + 1")

    def combined(self, models: FloatArray) -> FloatArray:
        """See `RobustStrategy`."""
        kept = np.sort(models, axis=0)[self.faulty : len(models) - self.faulty]
        mean: FloatArray = kept.mean(axis=0)
        return mean


class Krum(RobustStrategy):
    """The one model that is nearest to its S − f − 2 nearest others (Blanchard et al. 2017)."""

    def check(self, n_updates: int) -> None:
        """S ≥ 2f + 3."""
        _check_enough(n_updates, 2 * self.faulty + 3, self.faulty, "S ≥ 2f + 3")

    def combined(self, models: FloatArray) -> FloatArray:
        """See `RobustStrategy`."""
        best: FloatArray = models[int(np.argmin(krum_scores(models, self.faulty)))].copy()
        return best


class MultiKrum(RobustStrategy):
    """The mean of the models with the best scores of Krum.

    Args:
        selected: how many; by default S − f.
    """

    selected: int | None = Field(default=None, ge=1)

    def check(self, n_updates: int) -> None:
        """S ≥ 2f + 3, and enough to select from.

        Raises:
            ConfigError: a round has too few updates for it.
        """
        _check_enough(n_updates, 2 * self.faulty + 3, self.faulty, "S ≥ 2f + 3")
        if self.selected is not None and self.selected > n_updates:
            raise ConfigError(
                f"a round of {n_updates} updates has too few to select from",
                field="strategy_options.selected",
                value=self.selected,
                fix=f"Take at most {n_updates}, or leave it out.",
            )

    def combined(self, models: FloatArray) -> FloatArray:
        """See `RobustStrategy`."""
        count = self.selected if self.selected is not None else len(models) - self.faulty
        best = np.argsort(krum_scores(models, self.faulty), kind="stable")[:count]
        mean: FloatArray = models[np.sort(best)].mean(axis=0)
        return mean


class Bulyan(RobustStrategy):
    """S − 2f models by Krum, then of each parameter the mean of the S − 4f nearest its median.

    El Mhamdi, Guerraoui & Rouault 2018.
    """

    def check(self, n_updates: int) -> None:
        """S ≥ 4f + 3."""
        _check_enough(n_updates, 4 * self.faulty + 3, self.faulty, "S ≥ 4f + 3")

    def combined(self, models: FloatArray) -> FloatArray:
        """See `RobustStrategy`."""
        chosen = models[bulyan_selection(models, self.faulty)]
        away = np.abs(chosen - np.median(chosen, axis=0))
        nearest = np.argsort(away, axis=0, kind="stable")[: len(chosen) - 2 * self.faulty]
        mean: FloatArray = np.take_along_axis(chosen, nearest, axis=0).mean(axis=0)
        return mean
