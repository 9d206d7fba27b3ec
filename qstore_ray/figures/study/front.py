"""Objectives against each other: the front of trials that none beats in everything."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

from qstore_ray.figures.base import BLUE, VERMILION, finish, new_figure
from qstore_ray.figures.study.base import (
    Search,
    TrialPoint,
    impossible_error,
    metric_label,
    titled,
    wide,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NAMED: Final = 12
_COLUMNS: Final = 3


def front_figure(search: Search) -> Figure:
    """Each pair of objectives in a panel, the completed trials in it, the front emphasised.

    With two objectives the front is a line, and what lies behind it is dominated; of three or more
    a pair is only a shadow, and the front's trials are marked.

    Raises:
        UsageError: one objective only, or no trial was completed.
    """
    if len(search.metrics) < 2:
        raise impossible_error(
            search, "a front is of two objectives or more", "Take the kind history or slices."
        )
    completed = search.completed()
    pairs = list(combinations(range(len(search.metrics)), 2))
    columns = min(_COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    alone = len(pairs) == 1
    figure = new_figure(7.6 if alone else 4.1 * columns, 4.8 if alone else 0.7 + 3.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, pair in zip(grid, pairs, strict=False):
        _draw(axes, search, completed, pair)
    for axes in grid[len(pairs) :]:
        axes.set_visible(False)
    grid[0].legend(frameon=False, fontsize=8.5)
    titled(figure, search, "Pareto front")
    return figure


def _draw(axes: Axes, search: Search, completed: list[TrialPoint], pair: tuple[int, int]) -> None:
    first, second = pair
    front = sorted(
        (trial for trial in completed if trial.number in search.best),
        key=lambda trial: (trial.values[first], trial.values[second]),
    )
    behind = [trial for trial in completed if trial.number not in search.best]
    axes.plot(
        [t.values[first] for t in behind], [t.values[second] for t in behind], linestyle="",
        marker="o", markersize=5, color=BLUE, alpha=0.45, label=f"dominated ({len(behind)})",
    )  # fmt: skip
    alone = len(search.metrics) == 2
    # The boundary of the dominated region has right angles; the goals determine their side.
    side = "steps-post" if search.objectives[search.metrics[first]] is False else "steps-pre"
    axes.plot(
        [t.values[first] for t in front], [t.values[second] for t in front],
        linestyle="-" if alone else "", drawstyle=side, linewidth=1.4, marker="D", markersize=7,
        color=VERMILION, markeredgecolor="white", label=f"front ({len(front)})",
    )  # fmt: skip
    if len(front) <= _MOST_NAMED:
        for trial in front:
            axes.annotate(
                str(trial.number), (trial.values[first], trial.values[second]),
                xytext=(6, 5), textcoords="offset points", fontsize=8,
            )  # fmt: skip
    metrics = search.metrics
    size = 10 if alone else 8
    axes.set_xlabel(metric_label(search, metrics[first]), fontsize=size)
    axes.set_ylabel(metric_label(search, metrics[second]), fontsize=size)
    if wide([trial.values[first] for trial in completed]):
        axes.set_xscale("log")
    if wide([trial.values[second] for trial in completed]):
        axes.set_yscale("log")
    axes.margins(0.07)
    finish(axes)
