"""The value against each parameter, one panel each.

The colour shows when a trial was made, later ones dark; dark clusters show where the sampler
concentrated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qstore_ray.figures.base import VERMILION, finish, new_figure
from qstore_ray.figures.study.base import (
    GREY,
    Dimension,
    Search,
    TrialPoint,
    colours,
    impossible_error,
    metric_label,
    set_range,
    titled,
    wide,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS: Final = 4
_GOLDEN: Final = 0.618034  # spreads trials of one choice evenly, for any trial numbers
_SPREAD: Final = 0.5


def slices_figure(search: Search) -> Figure:
    """A row of panels for each objective; the best trials are starred.

    Raises:
        UsageError: no trial was completed, or nothing was varied.
    """
    completed = search.completed()
    if not search.dimensions:
        raise impossible_error(
            search, "nothing was varied in the study", "Take another kind of picture."
        )
    columns = min(_COLUMNS, len(search.dimensions))
    rows = -(-len(search.dimensions) // columns)
    height = rows * len(search.metrics)
    figure = new_figure(max(7.6, 1.4 + 2.9 * columns), 0.8 + 2.7 * height)
    grid = figure.subplots(height, columns, squeeze=False, sharey=False)
    for place, metric in enumerate(search.metrics):
        panels = grid[place * rows : (place + 1) * rows].ravel()
        values = [trial.values[place] for trial in completed]
        for axes, dimension in zip(panels, search.dimensions, strict=False):
            _draw(axes, search, dimension, completed, place)
            if wide(values):
                axes.set_yscale("log")
            axes.set_ylim(*_limits(values))
        for axes in panels[len(search.dimensions) :]:
            axes.set_visible(False)
        for axes in panels[::columns]:
            axes.set_ylabel(metric_label(search, metric), fontsize=8.5)
    _bar(figure, grid, completed)
    titled(figure, search, "Value by parameter")
    return figure


def _draw(
    axes: Axes, search: Search, dimension: Dimension, completed: list[TrialPoint], place: int
) -> None:
    there = [trial for trial in completed if dimension.name in trial.at]
    shades, scale = colours([0.0, float(completed[-1].number)], larger=True)
    x = [_spread(dimension, trial) for trial in there]
    y = [trial.values[place] for trial in there]
    look: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.4, "zorder": 2}
    axes.scatter(
        x, y, c=[float(t.number) for t in there], cmap=shades, norm=scale,
        s=34 if len(there) <= 60 else 16, **look,
    )  # fmt: skip
    best = [k for k, trial in enumerate(there) if trial.number in search.best]
    axes.plot(
        [x[k] for k in best], [y[k] for k in best], linestyle="", marker="*", markersize=13,
        color=VERMILION, markeredgecolor="white", zorder=3,
    )  # fmt: skip
    set_range(axes, dimension)
    if len(there) < len(completed):
        axes.set_title(f"in {len(there)} of {len(completed)} trials", fontsize=8, color=GREY)
    axes.tick_params(labelsize=8)
    finish(axes)


def _spread(dimension: Dimension, trial: TrialPoint) -> float:
    """A value; trials of one choice are put beside each other."""
    value = trial.at[dimension.name]
    if not dimension.choices:
        return value
    return value + _SPREAD * ((trial.number * _GOLDEN) % 1.0 - 0.5)


def _limits(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        return low - 0.5, high + 0.5
    if wide(values):
        factor = (high / low) ** 0.06
        return low / factor, high * factor
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def _bar(figure: Figure, grid: Any, completed: list[TrialPoint]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import MaxNLocator

    shades, scale = colours([0.0, float(completed[-1].number)], larger=True)
    if len(completed) == 1:
        return
    whole = MaxNLocator(5, integer=True)
    bar = figure.colorbar(ScalarMappable(scale, shades), ax=grid, aspect=40, pad=0.01, ticks=whole)
    bar.set_label("trial")
    bar.outline.set_visible(False)
