"""Which parameters the value depends on: shares of its variance over the space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qstore_ray.figures.base import BLUE, finish, new_figure, short
from qstore_ray.figures.study.base import GREY, Search, impossible_error, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST: Final = 20


def importance_figure(search: Search) -> Figure:
    """A bar a parameter, the largest on top; a panel for each objective that has shares.

    Parameters that some trials lack are not estimated; they are named below the bars.

    Raises:
        UsageError: the study has no importances.
    """
    if not search.importances:
        raise impossible_error(
            search,
            "there are too few completed trials, or too equal ones, to judge parameters by",
            "Let the study run on; at least 4 completed trials with different values are needed.",
        )
    bars = max(min(len(shares), _MOST) for shares in search.importances.values())
    panels = len(search.importances)
    figure = new_figure(max(7.6, 4.2 * panels), 1.6 + 0.36 * bars)
    grid = figure.subplots(1, panels, squeeze=False)[0]
    for axes, (metric, shares) in zip(grid, search.importances.items(), strict=True):
        shown = sorted(shares.items(), key=lambda pair: -pair[1])[:_MOST]
        y = range(len(shown))
        axes.barh(y, [share for _, share in shown], color=BLUE, height=0.62)
        axes.set_yticks(y, [short(name, 40) for name, _ in shown], fontsize=9)
        for place, (_, share) in enumerate(shown):
            axes.text(share + 0.012, place, f"{share:.0%}", va="center", fontsize=8.5, color=GREY)
        axes.invert_yaxis()
        axes.set_xlim(0.0, max(share for _, share in shown) * 1.16)
        axes.set_xlabel(f"share of the variance of {short(metric, 28)}")
        axes.tick_params(axis="y", length=0)
        finish(axes)
        axes.grid(visible=False, axis="y")
    _left_out(figure, search)
    titled(figure, search, "Importance of parameters")
    return figure


def _left_out(figure: Figure, search: Search) -> None:
    judged = {name for shares in search.importances.values() for name in shares}
    absent = [dimension.name for dimension in search.dimensions if dimension.name not in judged]
    if absent:
        names = ", ".join(short(name, 34) for name in absent[:4])
        more = f" and {len(absent) - 4} more" if len(absent) > 4 else ""
        figure.supxlabel(
            f"not judged, since not every trial has it: {names}{more}", fontsize=8, color=GREY
        )
