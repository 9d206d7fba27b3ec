"""The loss on a plane through the trained parameters: is the bottom wide, narrow, or no bottom?

    L(α, β) = mean loss at θ* + α·d₁ + β·d₂

for two random directions d₁ ⊥ d₂, drawn from a seed. Li et al. (2018, arXiv:1712.09913) scale a
direction filter by filter to the length of the trained filter, because a network computes the same
when one layer's weights grow and the next one's shrink. The head is treated like that: its weights
(a filter for each output), bias and input factors are as long as the trained ones. An angle has no
such freedom, but a period of 2π that its length knows nothing of; so the circuit's part of a
direction has length √P, and α is the root mean square change of an angle in radians.

The loss is evaluated exactly, without shots, on a subset of rows: `POINTS`² × rows circuits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.errors import ConfigError, DataError
from qstore_ray.figures.base import SEQUENTIAL, VERMILION, new_figure
from qstore_ray.learn import step
from qstore_ray.learn.model import QuantumModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qstore_ray.types import AnyArray, FloatArray

POINTS: Final = 21
"""Points along each direction."""

MOST_ROWS: Final = 128
"""Rows that the loss is averaged over; a larger split is sampled."""

_LEVELS: Final = 12


@dataclass(frozen=True)
class Landscape:
    """Losses on a grid of G × G points around the trained parameters.

    Attributes:
        reach: α and β at the points (G,), the middle one 0.
        losses: mean losses (G, G), a row for each β, a column for each α.
        n_rows: number of averaged rows. n_circuits: number of circuit evaluations.
        seed: seed of the directions.
    """

    reach: FloatArray
    losses: FloatArray
    n_rows: int
    n_circuits: int
    seed: int


def landscape(
    model: QuantumModel,
    theta: FloatArray,
    x: FloatArray,
    y: AnyArray,
    *,
    seed: int = 0,
    points: int = POINTS,
    reach: float = 1.0,
) -> Landscape:
    """Losses around the trained parameters θ* on at most `MOST_ROWS` of the rows.

    Args:
        theta: θ*.
        x: features (B, F). y: class numbers or values (B,).
        seed: seed of the directions and of the subset of rows.
        points: G, odd, so that θ* is one of the points; at most `POINTS`.
        reach: the largest α and β, in radians.

    Raises:
        ConfigError: an even number of points, or more than `POINTS`; fewer than 2 parameters.
        DataError: no rows.
    """
    if not (3 <= points <= POINTS and points % 2):
        raise ConfigError(
            "the landscape has an odd number of points a side",
            field="points",
            value=points,
            fix=f"Give 3, 5, … or {POINTS}.",
        )
    if not len(x):
        raise DataError("no rows to compute the loss on", field="x", value=x.shape)
    rng = np.random.default_rng([seed, 0x1A2D])
    first, second = _directions(model, theta, rng)
    if len(x) > MOST_ROWS:
        chosen = np.sort(rng.choice(len(x), MOST_ROWS, replace=False))
        x, y = x[chosen], y[chosen]
    backend = open_backend("statevector", {})
    places = np.linspace(-reach, reach, points)
    places[points // 2] = 0.0
    losses = np.empty((points, points))
    for (i, j), _ in np.ndenumerate(losses):
        there = theta + places[j] * first + places[i] * second
        loss, count, _correct = step.evaluate(model, there, x, y, backend).sum(axis=0)
        losses[i, j] = loss / count
    return Landscape(places, losses, len(x), len(x) * losses.size, seed)


def landscape_figure(found: Landscape, title: str = "Loss landscape") -> Figure:
    """Colours and contours of the loss, a cross at the trained parameters."""
    figure = new_figure(7.0, 5.6)
    axes = figure.subplots()
    grid, losses = found.reach, found.losses
    flat = float(np.ptp(losses)) < 1e-12
    shown: dict[str, Any] = {"cmap": SEQUENTIAL, "shading": "gouraud", "rasterized": True}
    image = axes.pcolormesh(grid, grid, losses, **shown)
    if not flat:
        lines = axes.contour(grid, grid, losses, levels=_LEVELS, colors="white", linewidths=0.8)
        axes.clabel(lines, fontsize=7, fmt="%.3g")
    axes.plot([0.0], [0.0], "P", color=VERMILION, markeredgecolor="white", markersize=12)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("mean loss")
    bar.outline.set_visible(False)
    axes.set_aspect("equal")
    axes.set_xlabel("first direction, root mean square change of an angle (rad)")
    axes.set_ylabel("second direction (rad)")
    said = (
        f"random orthogonal directions, seed {found.seed}; {found.n_rows} rows, "
        f"{found.n_circuits:,} circuits; cross: trained"
    )
    axes.set_title(title, loc="left", fontweight="bold", pad=22)
    axes.text(0.0, 1.02, said, transform=axes.transAxes, fontsize=8, color="#666666")
    return figure


def _directions(
    model: QuantumModel, theta: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Two random directions (len(θ),), orthogonal within every filter, scaled as said above."""
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    for filter_, length in _filters(model, theta):
        one, two = rng.normal(size=(2, len(filter_)))
        one /= np.linalg.norm(one)
        two -= (two @ one) * one
        first[filter_] = length * one
        if len(filter_) > 1:  # a single number has no second direction
            second[filter_] = length * two / np.linalg.norm(two)
    if not (first.any() and second.any()):
        raise ConfigError(
            "a plane needs two trained parameters", field="model", value=model.n_parameters
        )
    return first, second


def _filters(model: QuantumModel, theta: FloatArray) -> list[tuple[AnyArray, float]]:
    """The numbers of θ that are scaled together, and the length of a direction on them."""
    places = model.split(np.arange(len(theta), dtype=np.float64))
    parts = [(places.circuit, np.sqrt(len(places.circuit)))] if len(places.circuit) else []
    rest = [part for part in (places.input_scale, places.bias) if part is not None]
    rest += [] if places.weights is None else list(places.weights.T)
    indices = [(part.astype(np.int64), length) for part, length in parts]
    for part in rest:
        index = part.astype(np.int64)
        indices.append((index, float(np.linalg.norm(theta[index]))))
    return indices
