"""The value of each trial in the order they began, and the best so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qstore_ray.figures.base import BLACK, BLUE, ORANGE, SKY, VERMILION, finish, new_figure
from qstore_ray.figures.study.base import (
    GREY,
    Search,
    impossible_error,
    metric_label,
    titled,
    wide,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS: Final[dict[str, dict[str, Any]]] = {
    "completed": {"marker": "o", "color": BLUE, "markeredgecolor": "white", "markersize": 6},
    "pruned": {"marker": "x", "color": GREY, "markersize": 5},
    "running": {"marker": "D", "color": SKY, "markerfacecolor": "none", "markersize": 5},
}
_WITHOUT: Final = {"failed": BLACK, "interrupted": ORANGE}


def history_figure(search: Search) -> Figure:
    """A panel for each objective: a mark a trial; those without a value stand on the axis.

    A pruned or running trial is at the last value that it reported of the first objective.

    Raises:
        UsageError: no trial has a value.
    """
    if not any(trial.values for trial in search.trials):
        raise impossible_error(search, "no trial of the study has a value", "Let it run on.")
    metrics = search.metrics
    figure = new_figure(7.6, 1.0 + 3.2 * len(metrics))
    panels = figure.subplots(len(metrics), 1, squeeze=False, sharex=True)[:, 0]
    for place, axes in enumerate(panels):
        _draw(axes, search, place)
    panels[-1].set_xlabel("trial")
    titled(figure, search, "Trials")
    return figure


def _draw(axes: Axes, search: Search, place: int) -> None:
    from matplotlib.ticker import MaxNLocator

    metric = search.metrics[place]
    having = [trial for trial in search.trials if len(trial.values) > place]
    size = 0.7 if len(search.trials) > 120 else 1.0
    for status, look in _MARKS.items():
        drawn = [trial for trial in having if trial.status == status]
        if drawn:
            axes.plot(
                [trial.number for trial in drawn], [trial.values[place] for trial in drawn],
                linestyle="", label=f"{status} ({len(drawn)})",
                **{**look, "markersize": look["markersize"] * size},
            )  # fmt: skip
    _best_so_far(axes, search, place)
    for status, colour in _WITHOUT.items():
        drawn = search.of(status)
        if drawn:
            axes.plot(
                [trial.number for trial in drawn], [0.025] * len(drawn),
                linestyle="", marker="|", markersize=10, markeredgewidth=1.8, color=colour,
                transform=axes.get_xaxis_transform(), clip_on=False,
                label=f"{status} ({len(drawn)}), no value",
            )  # fmt: skip
    if wide([trial.values[place] for trial in having]):
        axes.set_yscale("log")
    axes.set_ylabel(metric_label(search, metric))
    margin = 0.5 + 0.01 * len(search.trials)
    axes.set_xlim(search.trials[0].number - margin, search.trials[-1].number + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    finish(axes)
    axes.legend(
        frameon=False, fontsize=8, ncols=5, loc="lower left", bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2, handletextpad=0.4, columnspacing=1.2,
    )  # fmt: skip


def _best_so_far(axes: Axes, search: Search, place: int) -> None:
    completed = [trial for trial in search.trials if trial.status == "completed"]
    if not completed:
        return
    better = max if search.objectives[search.metrics[place]] else min
    best: list[float] = []
    for trial in completed:
        value = trial.values[place]
        best.append(better(best[-1], value) if best else value)
    last = max(trial.number for trial in search.trials)
    axes.plot(
        [*(trial.number for trial in completed), last], [*best, best[-1]],
        drawstyle="steps-post", color=VERMILION, linewidth=1.8, label="best so far", zorder=1.5,
    )  # fmt: skip
