"""Parallel coordinates: a line a trial through all parameters, coloured by its value.

Each parameter has a vertical axis with its whole range, on a logarithmic scale if the search used
one. A trial without a value of a parameter passes below that axis, at "absent". The last axis is
the value itself and the key of the colours; good trials are dark, and drawn over the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qstore_ray.figures.base import new_figure, short
from qstore_ray.figures.study.base import (
    GREY,
    Dimension,
    Search,
    TrialPoint,
    colours,
    impossible_error,
    ticks,
    titled,
    wide,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

_ABSENT: Final = -0.14
_GOLDEN: Final = 0.618034
_MANY: Final = 150


def parallel_figure(search: Search) -> Figure:
    """A panel for each objective, the completed trials in it.

    Raises:
        UsageError: no trial was completed, or nothing was varied.
    """
    completed = search.completed()
    if not search.dimensions:
        raise impossible_error(
            search, "nothing was varied in the study", "Take another kind of picture."
        )
    axes_count = len(search.dimensions) + 1
    width = min(max(7.6, 1.0 + 1.55 * axes_count), 40.0)
    figure = new_figure(width, 0.9 + 4.1 * len(search.metrics))
    panels = figure.subplots(len(search.metrics), 1, squeeze=False)[:, 0]
    for place, axes in enumerate(panels):
        _draw(axes, search, completed, place)
    titled(figure, search, "Trials through all parameters")
    return figure


def _draw(axes: Axes, search: Search, completed: list[TrialPoint], place: int) -> None:
    from matplotlib.collections import LineCollection

    metric = search.metrics[place]
    values = [trial.values[place] for trial in completed]
    larger = search.objectives[metric]
    result = Dimension(metric, min(values), max(values), log=wide(values))
    shades, scale = colours(values, larger=larger)
    ordered = sorted(completed, key=lambda t: t.values[place], reverse=not larger)  # best on top
    lines = [_line(search.dimensions, result, trial, place) for trial in ordered]
    best = [trial.number in search.best for trial in ordered]
    axes.add_collection(
        LineCollection(
            lines,
            colors=[shades(scale(trial.values[place])) for trial in ordered],
            linewidths=[2.8 if b else 1.1 for b in best],
            alpha=0.85 if len(lines) <= _MANY else 0.55,
            rasterized=len(lines) > _MANY,
        )
    )
    some_absent = [
        any(dimension.name not in trial.at for trial in completed)
        for dimension in search.dimensions
    ]
    for x, dimension in enumerate(search.dimensions):
        _upright(axes, x, dimension, absent=some_absent[x])
    _key(axes, len(search.dimensions), result, shades, scale)
    axes.set_xlim(-0.25, len(search.dimensions) + 0.55)
    axes.set_ylim(_ABSENT - 0.05 if any(some_absent) else -0.03, 1.03)
    names = [*(dimension.label for dimension in search.dimensions), short(metric, 30)]
    names = [name.replace(".", ".\n", 1) for name in names]
    axes.set_xticks(range(len(names)), names, fontsize=8.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=6)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _line(
    dimensions: Sequence[Dimension], result: Dimension, trial: TrialPoint, place: int
) -> list[tuple[float, float]]:
    points = []
    for x, dimension in enumerate(dimensions):
        if dimension.name not in trial.at:
            points.append((float(x), _ABSENT))
            continue
        share = dimension.share(trial.at[dimension.name])
        if dimension.choices:  # lines of one choice side by side, not over each other
            share += 0.3 / len(dimension.choices) * ((trial.number * _GOLDEN) % 1.0 - 0.5)
        points.append((float(x), share))
    return [*points, (float(len(dimensions)), result.share(trial.values[place]))]


def _upright(axes: Axes, x: int, dimension: Dimension, *, absent: bool) -> None:
    axes.plot([x, x], [0.0, 1.0], color="#444444", linewidth=1.0, zorder=3)
    marks = [(share, text, "#222222") for share, text in ticks(dimension)]
    if absent:
        marks.append((_ABSENT, "absent", GREY))
    for share, text, colour in marks:
        axes.plot([x - 0.015, x + 0.015], [share, share], color=colour, linewidth=1.0, zorder=3)
        axes.text(
            x + 0.03, share, text, fontsize=7.5, color=colour, va="center", zorder=4,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip


def _key(axes: Axes, x: int, result: Dimension, shades: Colormap, scale: Normalize) -> None:
    """The axis of the value, in the colours of the lines that end there."""
    import numpy as np

    shares = np.linspace(0.0, 1.0, 129)
    if result.low == result.high:
        values = np.full(129, result.low)
    elif result.log:
        values = result.low * (result.high / result.low) ** shares
    else:
        values = result.low + (result.high - result.low) * shares
    middle = (values[1:] + values[:-1]) / 2
    axes.pcolormesh(
        [x, x + 0.1], shares, middle[:, None], cmap=shades, norm=scale, zorder=3, rasterized=True
    )
    for share, text in ticks(result):
        axes.text(x + 0.14, share, text, fontsize=8, va="center", zorder=4)
