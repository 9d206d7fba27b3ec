"""What a model says about every point of a plane of features, and the rows that lie there.

A model of two features is shown on those. One of more is shown on the plane through the mean of the
rows along their first two principal components; what the rows are off that plane is left out, and
the title says so. Features are the prepared ones that the model is given, evaluated without shots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.errors import ConfigError, DataError
from qstore_ray.figures.base import PALETTE, SEQUENTIAL, class_labels, new_figure, short
from qstore_ray.learn import step
from qstore_ray.learn.model import QuantumModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qstore_ray.types import AnyArray, FloatArray

POINTS: Final = 101
"""Points along each axis; `POINTS`² circuits are evaluated, and one for each row."""

MOST_ROWS: Final = 400
"""Rows that are shown; a larger split is sampled."""

MOST_CLASSES: Final = len(PALETTE)
_MARKERS: Final = "os^DvPX"
_BEYOND: Final = 0.08


@dataclass(frozen=True)
class Plane:
    """Two axes in the space of features: x = middle + u·first + v·second.

    Attributes:
        explained: share of the rows' variance along each axis; None for a model of two features.
    """

    middle: FloatArray
    first: FloatArray
    second: FloatArray
    explained: tuple[float, float] | None

    @classmethod
    def of(cls, x: FloatArray) -> Plane:
        """The plane to show rows x (B, F) on."""
        n_features = x.shape[1]
        if n_features == 2:
            return cls(np.zeros(2), np.array([1.0, 0.0]), np.array([0.0, 1.0]), None)
        middle = x.mean(axis=0)
        _, sizes, axes = np.linalg.svd(x - middle, full_matrices=False)
        # The sign of an axis is chance: its largest entry is made positive.
        axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
        shares = sizes**2 / max(float((sizes**2).sum()), 1e-300)
        return cls(middle, axes[0], axes[1], (float(shares[0]), float(shares[1])))

    def points(self, u: FloatArray, v: FloatArray) -> FloatArray:
        """Features (N, F) at coordinates u, v (N,)."""
        return self.middle + np.outer(u, self.first) + np.outer(v, self.second)

    def coordinates(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """u, v (B,) of the rows x (B, F), dropped onto the plane."""
        centred = x - self.middle
        return centred @ self.first, centred @ self.second


def boundary_figure(
    model: QuantumModel,
    theta: FloatArray,
    x: FloatArray,
    y: AnyArray,
    classes: Sequence[str] = (),
    *,
    split: str = "test",
    seed: int = 0,
) -> Figure:
    """The model's answer over a plane, and the rows on it; wrong answers have a black ring.

    Args:
        theta: parameters.
        x: features (B, F). y: class numbers or values (B,).
        classes: K names; none for a regression, whose predicted values are drawn.
        split: what the rows are, for the title.
        seed: seed of the subset of rows.

    Raises:
        ConfigError: a single feature, or more classes than there are colours.
        DataError: fewer than 3 rows.
    """
    _check(x, classes)
    if len(x) > MOST_ROWS:
        chosen = np.random.default_rng([seed, 0xB0]).choice(len(x), MOST_ROWS, replace=False)
        x, y = x[np.sort(chosen)], y[np.sort(chosen)]
    plane = Plane.of(x)
    across, along = plane.coordinates(x)
    u, v = _axis(across), _axis(along)
    grid = plane.points(*(part.ravel() for part in np.meshgrid(u, v)))
    said = _predicted(model, theta, grid).reshape(len(v), len(u))
    figure = new_figure(7.0, 5.6)
    axes = figure.subplots()
    if classes:
        wrong = _predicted(model, theta, x) != y
        _draw_classes(axes, u, v, said, classes)
        _draw_rows(axes, across, along, y, wrong, classes)
    else:
        _draw_values(figure, axes, u, v, said, across, along, y)
    axes.set_title(
        "Decision boundary" if classes else "Predicted values",
        loc="left",
        fontweight="bold",
        pad=22,
    )
    _label(axes, plane, x.shape[1], len(x), split)
    return figure


def _check(x: FloatArray, classes: Sequence[str]) -> None:
    if x.shape[1] < 2:
        raise ConfigError("a boundary needs two features", field="features", value=x.shape[1])
    if len(classes) > MOST_CLASSES:
        raise ConfigError(
            f"colours distinguish at most {MOST_CLASSES} classes",
            field="classes",
            value=len(classes),
            fix="Look at the confusion matrix.",
        )
    if len(x) < 3:
        raise DataError("too few rows for a plane", field="rows", value=len(x))


def _axis(values: FloatArray) -> FloatArray:
    low, high = float(values.min()), float(values.max())
    beyond = _BEYOND * (high - low) or 1.0
    return np.linspace(low - beyond, high + beyond, POINTS)


def _predicted(model: QuantumModel, theta: FloatArray, x: FloatArray) -> AnyArray:
    backend = open_backend("statevector", {})
    return model.loss.predict(step.outputs_of(model, theta, x, backend))


def _draw_classes(
    axes: Axes, u: FloatArray, v: FloatArray, said: AnyArray, classes: Sequence[str]
) -> None:
    from matplotlib.colors import ListedColormap, to_rgb

    pale = [tuple(0.72 + 0.28 * part for part in to_rgb(color)) for color in PALETTE]
    shown: dict[str, Any] = {"vmin": -0.5, "vmax": len(classes) - 0.5, "rasterized": True}
    axes.pcolormesh(u, v, said, cmap=ListedColormap(pale[: len(classes)]), **shown)
    for k in range(len(classes)):
        inside = said == k
        if inside.any() and not inside.all():
            axes.contour(u, v, inside.astype(float), [0.5], colors="#666666", linewidths=0.9)


def _draw_rows(
    axes: Axes,
    across: FloatArray,
    along: FloatArray,
    y: AnyArray,
    wrong: AnyArray,
    classes: Sequence[str],
) -> None:
    for k, name in enumerate(class_labels(classes)):
        own = y == k
        axes.scatter(
            across[own], along[own], s=26, color=PALETTE[k], marker=_MARKERS[k],
            edgecolors="white", linewidths=0.6, label=short(name), zorder=3,
        )  # fmt: skip
    if wrong.any():
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": "black", "linewidths": 1.3}
        axes.scatter(across[wrong], along[wrong], s=80, label="wrong", zorder=4, **ring)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)


def _draw_values(
    figure: Figure,
    axes: Axes,
    u: FloatArray,
    v: FloatArray,
    said: FloatArray,
    across: FloatArray,
    along: FloatArray,
    y: FloatArray,
) -> None:
    """Predicted values as the ground and true ones as the dots, in the same colours."""
    low, high = (float(f([f(said), f(y)])) for f in (np.min, np.max))
    shown: dict[str, Any] = {"vmin": low, "vmax": high, "cmap": SEQUENTIAL}
    image = axes.pcolormesh(u, v, said, shading="gouraud", rasterized=True, **shown)
    if np.ptp(said) > 1e-12:
        lines = axes.contour(u, v, said, levels=8, colors="white", linewidths=0.7)
        axes.clabel(lines, fontsize=7, fmt="%.3g")
    axes.scatter(across, along, c=y, s=26, edgecolors="white", linewidths=0.7, zorder=3, **shown)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("predicted (ground) and true (dots) value")
    bar.outline.set_visible(False)


def _label(axes: Axes, plane: Plane, n_features: int, n_rows: int, split: str) -> None:
    if plane.explained is None:
        said = f"both features; {n_rows} rows of {split}"
        axes.set_xlabel("feature 0, prepared")
        axes.set_ylabel("feature 1, prepared")
    else:
        shares = [f"{share:.0%}" for share in plane.explained]
        said = (
            f"first two principal components of {n_features} features, the others at their mean; "
            f"{n_rows} rows of {split}"
        )
        axes.set_xlabel(f"first principal component, {shares[0]} of the variance")
        axes.set_ylabel(f"second principal component, {shares[1]} of the variance")
    axes.text(0.0, 1.02, said, transform=axes.transAxes, fontsize=8, color="#666666")
    axes.spines[["top", "right"]].set_visible(False)
