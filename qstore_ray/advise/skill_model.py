"""Skill on new data from its meta-features: kernel ridge regression over the data sets measured.

    q(m) = o(m) + r̄ + k(m)ᵀ (K + λI)⁻¹ (R − r̄),    k = exp(−|m − m′|² / 2ℓ²),    R = Q − o

with standardised meta-features m (M,), the skills Q (D, C) of all candidates at once, and ℓ in
units of the median distance between data sets. o is the mean skill of four simple classical models,
which are among the meta-features: how hard data are, they know better than their shape does. Far
from every data set it answers o + r̄.

How far off it is, is measured by leaving out whole families: `left_out_skills`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.advise.meta_features import NAMES
from qstore_ray.advise.portfolio import family_weights

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

LENGTH = 1.0
RIDGE = 1.0
"""ℓ and λ: on a coarse grid of both, what `left_out_skills` is off is flat around these values."""

_SIMPLE = [place for place, name in enumerate(NAMES) if name.endswith("_skill")]


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class SkillModel:
    """Fitted on D data sets; `predict` answers for others.

    Attributes:
        center, spread: of the meta-features (M,). known: standardised, (D, M).
        mean: r̄ (C,). weights: (D, C). length: ℓ, as a distance.
    """

    center: FloatArray
    spread: FloatArray
    known: FloatArray
    mean: FloatArray
    weights: FloatArray
    length: float

    @classmethod
    def fit(
        cls,
        meta: FloatArray,
        skills: FloatArray,
        families: AnyArray | None = None,
        *,
        scale: float = LENGTH,
        ridge: float = RIDGE,
    ) -> SkillModel:
        """From meta-features (D, M) and skills (D, C); families (D,) count equally in the mean.

        Args:
            scale: ℓ in median distances. ridge: λ.
        """
        center: FloatArray = meta.mean(axis=0)
        deviation: FloatArray = meta.std(axis=0)
        spread: FloatArray = np.where(deviation > 0.0, deviation, 1.0)
        known: FloatArray = (meta - center) / spread
        apart = _distances(known, known)
        length = scale * float(np.median(apart[np.triu_indices(len(apart), 1)]))
        rest: FloatArray = skills - _offset(meta)
        mean: FloatArray = family_weights(families, len(rest)) @ rest
        kernel = np.exp(-(apart**2) / (2.0 * length**2))
        weights = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), rest - mean)
        return cls(center, spread, known, mean, weights.astype(np.float64), length)

    def predict(self, meta: FloatArray) -> FloatArray:
        """Skills (C,) or (Q, C) on data with meta-features (M,) or (Q, M)."""
        apart = self.distances(meta)
        alike = np.exp(-(apart**2) / (2.0 * self.length**2))
        found: FloatArray = _offset(meta) + self.mean + alike @ self.weights
        return found

    def distances(self, meta: FloatArray) -> FloatArray:
        """How far data are from each data set known, (D,) or (Q, D), in standard deviations."""
        rows = np.atleast_2d((meta - self.center) / self.spread)
        found = _distances(rows, self.known)
        return found[0] if meta.ndim == 1 else found


def left_out_skills(
    meta: FloatArray,
    skills: FloatArray,
    families: AnyArray,
    *,
    scale: float = LENGTH,
    ridge: float = RIDGE,
) -> FloatArray:
    """Predictions (D, C), each by a model that has not seen the data set's family."""
    found = np.empty_like(skills)
    for family in np.unique(families):
        own = families == family
        model = SkillModel.fit(meta[~own], skills[~own], families[~own], scale=scale, ridge=ridge)
        found[own] = model.predict(meta[own])
    return found


def left_out_distances(meta: FloatArray, families: AnyArray) -> FloatArray:
    """How far each data set (D,) is from the nearest one of another family."""
    found = np.empty(len(meta))
    for family in np.unique(families):
        own = families == family
        model = SkillModel.fit(meta[~own], np.zeros((int((~own).sum()), 1)))
        found[own] = model.distances(meta[own]).min(axis=1)
    return found


def _offset(meta: FloatArray) -> FloatArray:
    """o, (1,) or (Q, 1)."""
    found: FloatArray = meta[..., _SIMPLE].mean(axis=-1, keepdims=True)
    return found


def _distances(one: FloatArray, other: FloatArray) -> FloatArray:
    found: FloatArray = np.sqrt(((one[:, None] - other[None]) ** 2).sum(axis=2))
    return found
