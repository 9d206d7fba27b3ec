"""The data of a search for its figures, and the shared parts of these figures.

Every parameter is an axis of numbers: a choice is its index among the choices, whose names label
the axis. The lightness of a colour encodes the value, the best values dark, so that they stand out
on white for every reader; marks, not colours, show how a trial ended.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qstore_ray.errors import UsageError
from qstore_ray.figures.base import SEQUENTIAL, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

GREY: Final = "#666666"
_WIDE: Final = 50.0  # positive values that span more than this factor are seen on a log axis


@dataclass(frozen=True)
class Dimension:
    """A parameter that was searched.

    Args:
        name: its dotted field.
        low, high: the ends of its range.
        log: whether it was searched in the logarithm. whole: whether it takes whole numbers only.
        choices: their names, of a parameter that is one of a list; low and high mean nothing then.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name on an axis: the last two parts of the field."""
        return short(".".join(self.name.split(".")[-2:]), 30)

    def share(self, value: float) -> float:
        """The position of a value on the axis, from 0 at the bottom to 1 at the top."""
        if self.choices:
            return (value + 0.5) / len(self.choices)
        if self.high == self.low:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class TrialPoint:
    """A trial.

    Args:
        number: number in the study.
        status: waiting, running, completed, pruned, failed or interrupted.
        at: dimension → value, or the index of a choice; dimensions that the trial lacks are absent.
        values: values of the objectives in their order for a completed trial; the last value of
            the first objective for a pruned or running trial; or empty.
        epochs: the first objective by epoch, from 0.
    """

    number: int
    status: str
    at: Mapping[str, float]
    values: Sequence[float] = ()
    epochs: Sequence[tuple[int, float]] = ()


@dataclass(frozen=True)
class Search:
    """A search.

    Args:
        name: name of the study.
        objectives: metric → whether larger is better.
        dimensions: the searched parameters, without those that had a single value.
        trials: all of them.
        best: numbers of the best trial, or of the Pareto front.
        importances: metric → dimension → share of the value's variation; a metric is absent if it
            has no estimate.
        step: what an epoch of a trial is: an epoch, or one of several trainings.
    """

    name: str
    objectives: Mapping[str, bool]
    dimensions: Sequence[Dimension]
    trials: Sequence[TrialPoint]
    best: Sequence[int] = ()
    importances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    step: str = "epoch"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The objectives' names."""
        return tuple(self.objectives)

    def of(self, *statuses: str) -> list[TrialPoint]:
        """The trials of these statuses."""
        return [trial for trial in self.trials if trial.status in statuses]

    def completed(self) -> list[TrialPoint]:
        """The completed trials.

        Raises:
            UsageError: no trial is completed.
        """
        found = self.of("completed")
        if not found:
            raise impossible_error(self, "no trial of the study was completed", "Let it run on.")
        return found


def impossible_error(search: Search, message: str, fix: str) -> UsageError:
    """The error for a picture that there is nothing to draw in."""
    return UsageError(message, field="study", value=search.name, fix=fix)


def titled(figure: Figure, search: Search, title: str) -> None:
    """Title on the left; on the right the study and how its trials ended."""
    statuses = [trial.status for trial in search.trials]
    ended = ", ".join(f"{statuses.count(s)} {s}" for s in sorted(set(statuses)))
    width = figure.get_figwidth()
    room = int(width * 12) - len(title) - len(ended)
    said = f"{short(search.name, max(12, room))}: {ended}"
    # A title of its own for each side, in a strip that the layout keeps free.
    figure.suptitle(title, x=0.12 / width, ha="left", fontweight="bold", fontsize=12)
    figure.text(
        1 - 0.12 / width, 1 - 0.12 / figure.get_figheight(), said,
        ha="right", va="top", color=GREY, fontsize=8.5,
    )  # fmt: skip


def wide(values: Sequence[float]) -> bool:
    """Whether values are better seen in the logarithm: positive, over a wide range."""
    return bool(values) and min(values) > 0 and max(values) > _WIDE * min(values)


def colours(values: Sequence[float], *, larger: bool) -> tuple[Colormap, Normalize]:
    """Colours for values, the better the darker."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize

    shades = colormaps[SEQUENTIAL](_even(0.92, 0.0) if larger else _even(0.0, 0.92))
    low, high = min(values), max(values)
    scale = LogNorm if wide(values) else Normalize
    if low == high:  # one shade, the dark one
        low, high = (low - 1.0, high) if larger else (low, high + 1.0)
    return LinearSegmentedColormap.from_list("value", shades), scale(low, high)


def _even(start: float, end: float, n: int = 64) -> list[float]:
    return [start + (end - start) * k / (n - 1) for k in range(n)]


def set_range(axes: Axes, dimension: Dimension) -> None:
    """The x axis of a parameter: its whole range, in its own scale, choices by name."""
    axes.set_xlabel(dimension.label, fontsize=9)
    if dimension.choices:
        names = [short(name, 12) for name in dimension.choices]
        slanted = sum(map(len, names)) > 26
        axes.set_xticks(
            range(len(names)), names,
            rotation=30 * slanted, ha="right" if slanted else "center", fontsize=8,
        )  # fmt: skip
        axes.set_xlim(-0.5, len(names) - 0.5)
        return
    if dimension.log:
        axes.set_xscale("log")
    margin = 0.04
    low, high = dimension.low, dimension.high
    if dimension.log and high > low:
        factor = (high / low) ** margin
        axes.set_xlim(low / factor, high * factor)
    elif high > low:
        axes.set_xlim(low - margin * (high - low), high + margin * (high - low))
    if dimension.whole and not dimension.log:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def ticks(dimension: Dimension) -> list[tuple[float, str]]:
    """Share and text of a few places along the axis of a parameter."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    if dimension.choices:
        return [(dimension.share(k), short(c, 16)) for k, c in enumerate(dimension.choices)]
    low, high = dimension.low, dimension.high
    if low == high:
        return [(0.5, f"{low:.4g}")]
    if dimension.log:
        places = LogLocator(numticks=5).tick_values(low, high)
    else:
        steps: dict[str, Any] = {"integer": dimension.whole, "steps": [1, 2, 2.5, 5, 10]}
        places = MaxNLocator(5, **steps).tick_values(low, high)
    shown = {dimension.share(end): f"{end:.4g}" for end in (low, high)}
    for place in map(float, places):
        if low < place < high and 0.06 < dimension.share(place) < 0.94:
            shown[dimension.share(place)] = f"{place:.4g}"
    return sorted(shown.items())


def metric_label(search: Search, metric: str) -> str:
    """A metric and its better direction, for an axis."""
    return f"{short(metric, 28)} ({'larger' if search.objectives[metric] else 'smaller'} is better)"
