"""The first objective by epoch, a line a trial: who learns fast, and what was cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qstore_ray.figures.base import BLUE, ORANGE, SKY, VERMILION, finish, new_figure
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

# The curve of a trial that was not completed ends in a special mark.
_LOOKS: Final[dict[str, tuple[str, str, str]]] = {
    "completed": (BLUE, "-", ""),
    "pruned": (ORANGE, "-", "x"),
    "running": (SKY, "-", "D"),
    "failed": ("#000000", ":", "v"),
    "interrupted": ("#000000", ":", "|"),
}
_MANY_POINTS: Final = 4000


def epochs_figure(search: Search) -> Figure:
    """Lines of all trials that reported an epoch; the best one is thick.

    Raises:
        UsageError: no trial has reported one.
    """
    drawn = [trial for trial in search.trials if trial.epochs]
    if not drawn:
        raise impossible_error(
            search,
            f"no trial of the study has reported {search.metrics[0]} by {search.step}",
            "Take another kind of picture.",
        )
    figure = new_figure(7.6, 4.2)
    axes = figure.subplots()
    many = sum(len(trial.epochs) for trial in drawn) > _MANY_POINTS
    for status, (colour, style, mark) in _LOOKS.items():
        of_it = [trial for trial in drawn if trial.status == status]
        for place, trial in enumerate(of_it):
            label = f"{status} ({len(of_it)})" if place == 0 else None
            look = {"color": colour, "linestyle": style, "label": label, "rasterized": many}
            _line(axes, trial, mark, len(drawn), look)
    _emphasised(axes, search)
    _finish(axes, search, [value for trial in drawn for _, value in trial.epochs])
    titled(figure, search, f"Value by {search.step}")
    return figure


def _line(axes: Axes, trial: TrialPoint, mark: str, count: int, look: dict[str, Any]) -> None:
    alone = len(trial.epochs) == 1
    x, y = zip(*((epoch + 1, value) for epoch, value in trial.epochs), strict=True)
    axes.plot(
        x, y, alpha=max(0.18, min(0.8, 12 / count)), linewidth=1.2,
        marker=mark or ("o" if alone else None), markevery=[-1], markersize=4, **look,
    )  # fmt: skip


def _emphasised(axes: Axes, search: Search) -> None:
    for place, trial in enumerate(t for t in search.trials if t.number in search.best and t.epochs):
        x, y = zip(*((epoch + 1, value) for epoch, value in trial.epochs), strict=True)
        one = len(search.best) == 1
        label = f"best, trial {trial.number}" if one else f"front ({len(search.best)})"
        axes.plot(
            x, y, color=VERMILION, linewidth=2.6, marker="o" if len(x) == 1 else None,
            label=label if place == 0 else None, zorder=3,
        )  # fmt: skip


def _finish(axes: Axes, search: Search, values: list[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    if wide(values):
        axes.set_yscale("log")
    axes.set_ylabel(metric_label(search, search.metrics[0]))
    axes.set_xlabel(search.step)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.margins(x=0.02)
    finish(axes)
    legend = axes.legend(
        frameon=False, fontsize=8, ncols=6, loc="lower left", bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2, handletextpad=0.4, columnspacing=1.2,
    )  # fmt: skip
    for handle in legend.get_lines():
        handle.set_alpha(1.0)
