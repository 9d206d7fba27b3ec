"""Samplers that do not learn: the point of trial i follows from i, the seed and the space alone.

So the points do not depend on the order in which trials end, on how many run at a time, or on how
often the search was interrupted.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np

from qstore_ray.config import Config
from qstore_ray.tune.samplers.base import Points
from qstore_ray.tune.samplers.grid import grid_points
from qstore_ray.tune.space.space import Space


class Grid(Config):
    """Every combination once. A range needs a step or a number of points."""

    def points(self, space: Space, *, seed: int, limit: int) -> Points:
        """The combinations in order."""
        points = grid_points(space, limit)
        return lambda index: points[index] if index < len(points) else None


class Random(Config):
    """Independent points, even over every range."""

    def points(self, space: Space, *, seed: int, limit: int) -> Points:
        """Point i is drawn from a generator keyed by (seed, i)."""
        d = len(space.order)
        return lambda index: space.at(np.random.default_rng([seed, index]).random(d).tolist())


class QuasiRandom(Config):
    """Points of low discrepancy: they leave smaller gaps than random ones, in every direction.

    A conditional parameter has a direction of its own, which is unused if it does not exist.

    Args:
        sequence: `sobol` (Sobol 1967; even in every power of 2 of trials) or `halton` (Halton
            1960; for any number of trials), both scrambled under the seed (Owen 1998).
    """

    sequence: Literal["sobol", "halton"] = "sobol"

    def points(self, space: Space, *, seed: int, limit: int) -> Points:
        """Point i of the sequence."""
        return lambda index: space.at(_sequence(self.sequence, len(space.order), seed, index))


@functools.lru_cache(maxsize=64)
def _block(sequence: str, d: int, seed: int, block: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    from scipy.stats import qmc

    engine = {"sobol": qmc.Sobol, "halton": qmc.Halton}[sequence]
    generator = engine(d, scramble=True, rng=seed)
    if block:
        generator.fast_forward(block * _BLOCK)
    return np.asarray(generator.random(_BLOCK))


_BLOCK = 64  # a power of 2, in which Sobol's points are balanced


def _sequence(name: str, d: int, seed: int, index: int) -> list[float]:
    row = _block(name, d, seed, index // _BLOCK)[index % _BLOCK]
    return [min(float(u), 1.0 - 2**-53) for u in row]
