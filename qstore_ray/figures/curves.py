"""Curves by epoch: loss, accuracy, learning rate and gradient norms, of one run or of several.

In a figure of one run the colour distinguishes training from validation, or the parts of the model.
In a figure of several runs it distinguishes the runs, and validation has a dashed line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from qstore_ray.errors import UsageError, unknown_name_error
from qstore_ray.figures.base import (
    BLUE,
    GREEN,
    PALETTE,
    VERMILION,
    finish,
    new_figure,
    plain,
    short,
)
from qstore_ray.track.base import Record
from qstore_ray.track.jsonl import epoch_records

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_MARKERS: Final = 20
_GRADIENT: Final = "gradient_norm"


class _Kind(NamedTuple):
    title: str
    axis: str
    keys: tuple[str, ...]


_KINDS: Final[Mapping[str, _Kind]] = {
    "loss": _Kind("Loss", "loss", ("train_loss", "val_loss")),
    "accuracy": _Kind("Accuracy", "accuracy", ("train_accuracy", "val_accuracy")),
    "learning_rate": _Kind("Learning rate", "learning rate", ("learning_rate",)),
    "gradients": _Kind("Gradients", "mean norm of the gradient", (_GRADIENT,)),
}
CURVES: Final = tuple(_KINDS)
"""The kinds of curves."""


class _Line(NamedTuple):
    label: str
    color: str
    dashed: bool
    x: list[int]
    y: list[float]


def curves_figure(kind: str, runs: Mapping[str, Sequence[Record]]) -> Figure | None:
    """Draw the curves of one kind; None if no run has a value for it (accuracy in a regression).

    Args:
        kind: a name in `CURVES`.
        runs: records by the name of the run, as `read_records` gives them.

    Raises:
        UnknownNameError: no such kind.
        UsageError: more runs than there are colours.
    """
    if kind not in _KINDS:
        raise unknown_name_error("kind of curve", kind, CURVES, field="kind")
    if len(runs) > len(PALETTE):
        raise UsageError(
            f"one picture shows at most {len(PALETTE)} runs",
            field="runs",
            value=len(runs),
            fix="Leave some out: more colours are not distinguishable.",
        )
    epochs = {name: epoch_records(records) for name, records in runs.items()}
    one = len(epochs) == 1
    drawn = list(_lines_of_one(kind, *epochs.values()) if one else _lines_of_many(kind, epochs))
    if not drawn:
        return None
    figure = new_figure(7.0, 4.2)
    axes = figure.subplots()
    title = _KINDS[kind].title
    axes.set_title(title, loc="left", fontweight="bold")
    if one:
        axes.set_title(short(next(iter(runs)), 40), loc="right", color="#666666", fontsize=9)
    _draw(axes, drawn)
    axes.set_xlabel("/".join(sorted({unit_of(records) for records in runs.values()})))
    axes.set_ylabel(_KINDS[kind].axis)
    if kind in {"learning_rate", "gradients"}:
        _scale(axes, [value for line in drawn for value in line.y])
    return figure


def unit_of(records: Sequence[Record]) -> str:
    """What an `epoch` record of a run is of: an epoch, or a round of a federation."""
    return "round" if any(record.get("event") == "round" for record in records) else "epoch"


def _lines_of_one(kind: str, epochs: Sequence[Record]) -> Iterator[_Line]:
    keys = _KINDS[kind].keys
    if kind == "gradients":
        parts = {key for r in epochs for key in r if key.startswith(f"{_GRADIENT}_")}
        keys += tuple(sorted(parts))[: len(PALETTE) - 1]
    for place, key in enumerate(keys):
        x, y = _values(epochs, key)
        if x:
            color = _color(key, place)
            yield _Line(_label(key), color, key.startswith("val_"), x, y)


def _lines_of_many(kind: str, runs: Mapping[str, Sequence[Record]]) -> Iterator[_Line]:
    keys = _KINDS[kind].keys
    for color, (name, epochs) in zip(PALETTE, runs.items(), strict=False):
        for key in keys:
            x, y = _values(epochs, key)
            if x:
                label = f"{short(name, 28)}, {_label(key)}" if len(keys) > 1 else short(name, 40)
                yield _Line(label, color, key.startswith("val_"), x, y)


def _color(key: str, place: int) -> str:
    fixed = {"train": BLUE, "val": VERMILION, "learning": GREEN}
    return fixed.get(key.partition("_")[0], PALETTE[place])


def _label(key: str) -> str:
    known = {"train": "training", "val": "validation"}
    first = key.partition("_")[0]
    if first in known:
        return known[first]
    part = key.removeprefix(f"{_GRADIENT}_")
    return plain("all parameters" if key == _GRADIENT else part.replace("_", " "))


def _values(epochs: Sequence[Record], key: str) -> tuple[list[int], list[float]]:
    """Epochs (counted from 1, as people do) and values of the records that have one."""
    points = [(int(r["epoch"]) + 1, float(r[key])) for r in epochs if r.get(key) is not None]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _draw(axes: Axes, lines: Sequence[_Line]) -> None:
    from matplotlib.ticker import MaxNLocator

    for line in lines:
        few = ("s" if line.dashed else "o") if len(line.x) <= _MOST_MARKERS else None
        axes.plot(
            line.x,
            line.y,
            "--" if line.dashed else "-",
            color=line.color,
            marker=few,
            markersize=4,
            linewidth=1.8,
            label=line.label,
        )
    if len(lines) > 1:
        many = len(lines) > 4
        below: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if many else {}
        axes.legend(frameon=False, fontsize=8 if many else 10, **below)
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    finish(axes)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic where half of the values lie far below the largest, as in an exponential decay.

    A cosine that ends near 0 is better seen on a linear axis.
    """
    if min(values) > 0 and max(values) > 20 * float(np.median(values)):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0.0)
