"""Projections on fewer directions: those of largest variance, or random ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from qstore_ray.data.prepare.steps.base import (
    State,
    Step,
    constant_columns,
    divide,
    mean_of,
    row_blocks,
)
from qstore_ray.data.prepare.steps.row_dots import row_dots
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_TALL = 100  # rows a feature from which the covariance is tried first
_LARGE = 10_000  # and rows in all: below, the decomposition of the rows takes milliseconds
_SPREAD = 1e-6  # smallest kept variance over the largest for which the covariance is trusted


class Pca(Step):
    """Projection on the directions of largest variance in train: (x − mean) · Vᵀ (Pearson 1901).

    Each direction's sign is chosen such that its entry of largest magnitude is positive. With
    `whiten` the components are divided by their standard deviation in train; a component without
    variance becomes 0.

    Args:
        components: how many directions to keep; at most the number of features and train rows.
        whiten: give every component unit variance.
    """

    name: Literal["pca"] = "pca"
    components: int = Field(ge=1, examples=[8])
    whiten: bool = False

    def fit(self, x: FloatArray) -> State:
        """Mean (F,), directions (components, F), standard deviations (components,).

        Raises:
            DataError: the singular value decomposition does not converge: features are too large.
        """
        self.check(x.shape)
        mean = mean_of(x, constant_columns(x))
        try:
            singular, rows = _directions(x, mean, self.components)
        except np.linalg.LinAlgError as exc:
            raise DataError(
                f"the training rows have no principal components: {exc}",
                field="preprocessing.pca",
                fix="The features are too large; put a standard, scale or log1p step before it.",
            ) from exc
        return self.kept(mean, singular, rows, x.shape)

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise `ConfigError` where rows of this shape (N, F) have fewer components."""
        if self.components > min(shape):
            raise ConfigError(
                f"{shape[0]} training rows of {shape[1]} features have at most "
                f"{min(shape)} components",
                field="preprocessing.pca.components",
                value=self.components,
            )

    def kept(
        self, mean: FloatArray, singular: FloatArray, rows: FloatArray, shape: tuple[int, ...]
    ) -> State:
        """The state for rows of this shape (N, F), from their mean and decomposition.

        Args:
            singular: values of the rows around their mean, descending. rows: their directions.
        """
        largest = np.argmax(np.abs(rows), axis=1)
        rows = rows * np.sign(rows[np.arange(len(rows)), largest])[:, None]
        noise = singular[0] * max(shape) * np.finfo(np.float64).eps
        std = np.where(singular < noise, 0.0, singular) / math.sqrt(shape[0])
        kept = slice(self.components)
        return {"mean": mean, "directions": rows[kept].copy(), "std": std[kept].copy()}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) in the new coordinates, (B, components)."""
        projected = row_dots(x, state["directions"], state["mean"])
        return divide(projected, state["std"]) if self.whiten else projected

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """x · V + mean: of all rows (B, F) that `apply` maps to `x`, the one nearest the mean."""
        scaled = x * state["std"] if self.whiten else x
        return row_dots(scaled, np.ascontiguousarray(state["directions"].T)) + state["mean"]


def _directions(x: FloatArray, mean: FloatArray, components: int) -> tuple[FloatArray, FloatArray]:
    """Singular values, descending, and right singular vectors of x − mean."""
    if len(x) >= max(_LARGE, _TALL * x.shape[1]):
        found = _from_covariance(x, mean, components)
        if found is not None:
            return found
    # The triangle R of x = QR has the same directions and takes half the time.
    triangle = np.linalg.qr(x - mean, mode="r")
    _, singular, rows = np.linalg.svd(triangle, full_matrices=False)
    return singular, rows


def _from_covariance(
    x: FloatArray, mean: FloatArray, components: int
) -> tuple[FloatArray, FloatArray] | None:
    """The same by (x − mean)ᵀ(x − mean), for many rows of few features; None where it is inexact.

    Squaring loses half the digits of small variances: relative to λ, an eigenvalue is known to
    2⁻⁵²·λ₁/λ. So it counts only where the last variance kept is at least 1e-6 of the first.
    """
    product = np.zeros((x.shape[1], x.shape[1]))
    for rows in row_blocks(x):
        centred = x[rows] - mean
        product += centred.T @ centred
    if not np.isfinite(product).all():
        return None
    variances, columns = np.linalg.eigh(product)
    variances = variances[::-1]
    if not variances[components - 1] > _SPREAD * variances[0]:
        return None
    return np.sqrt(np.maximum(variances, 0.0)), columns.T[::-1]


class RandomProjection(Step):
    """x · Rᵀ with random directions, which keep distances up to 1 ± eps (Johnson–Lindenstrauss).

    `gaussian`: entries normal with variance 1/components. `sparse`: ±√(s/components) with
    probability 1/(2s) each, else 0, with s = √F (Li, Hastie & Church 2006). Nothing is learnt from
    the rows but their number and width. The random numbers are raw PCG64 output, whose stream is
    promised not to change; the sparse entries follow from it exactly, the Gaussian ones through
    the inverse of the normal distribution. Either is kept with a model, bit for bit.

    Args:
        components: how many directions; 0 for as many as N training rows need by
            `sklearn.random_projection.johnson_lindenstrauss_min_dim(N, eps=eps)`.
        eps: by how much squared distances may change where `components` is 0.
        kind: gaussian or sparse.
        seed: decides the directions.
    """

    name: Literal["random_projection"] = "random_projection"
    components: int = Field(default=0, ge=0)
    eps: float = Field(default=0.1, gt=0.0, lt=1.0)
    kind: Literal["gaussian", "sparse"] = "gaussian"
    seed: int = Field(default=0, ge=0, lt=2**63)

    def fit(self, x: FloatArray) -> State:
        """Directions (components, F).

        Raises:
            ConfigError: more directions than features.
        """
        n_features = x.shape[1]
        components = self.components or self._needed(len(x))
        if components > n_features:
            raise ConfigError(
                f"{components} directions are no reduction of {n_features} features",
                field="preprocessing.random_projection.components",
                value=self.components,
                fix=f"Set components to at most {n_features}, or eps closer to 1.",
            )
        raw = np.random.PCG64(self.seed).random_raw(components * n_features)
        # The upper 53 bits, at the middle of their interval: never 0 and never 1.
        uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        entries = self._entries(uniform, n_features) / math.sqrt(components)
        return {"directions": entries.reshape(components, n_features)}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) in the random directions, (B, components)."""
        return row_dots(x, state["directions"])

    def _needed(self, n_rows: int) -> int:
        from sklearn.random_projection import johnson_lindenstrauss_min_dim

        return max(1, int(johnson_lindenstrauss_min_dim(n_rows, eps=self.eps)))

    def _entries(self, uniform: FloatArray, n_features: int) -> FloatArray:
        if self.kind == "gaussian":
            from scipy.special import ndtri

            normal: FloatArray = ndtri(uniform)
            return normal
        s = math.sqrt(n_features)
        signs = np.where(uniform < 0.5 / s, -1.0, np.where(uniform > 1.0 - 0.5 / s, 1.0, 0.0))
        return signs * math.sqrt(s)
