"""The confusion matrix, and what it says about each class.

A row for each true class, a column for each predicted one. Of class k with c_k right answers,

    precision  c_k / rows predicted as k        recall  c_k / rows of class k
    F1         their harmonic mean

and each is None if its divisor is 0: no prediction of k, or no row of k.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from qstore_ray.errors import ConfigError
from qstore_ray.figures.base import class_labels, new_figure, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qstore_ray.types import AnyArray, FloatArray

_MOST_COUNTED_CLASSES: Final = 25


class ClassScore(NamedTuple):
    """How well one class is found; `rows` of it were scored."""

    name: str
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


def confusion_figure(matrix: AnyArray, classes: Sequence[str]) -> Figure:
    """Counts in the cells, colour by the share of the true class (row).

    Args:
        matrix: counts (K, K), a row for each true class, a column for each predicted one.
        classes: K names.

    Raises:
        ConfigError: not a square matrix of counts, or not K names.
    """
    counts = _checked(matrix, classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)  # a class without a row stays at 0
    size = min(3.2 + 0.55 * len(classes), 14.0)
    figure = new_figure(size + 0.9, size)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="none")
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    _label_classes(axes, classes)
    if len(classes) <= _MOST_COUNTED_CLASSES:
        _write_counts(axes, counts, shares)
    correct, total = int(np.trace(counts)), int(counts.sum())
    right = f"{correct} of {total} right" + (f", {correct / total:.1%}" if total else "")
    axes.set_title(f"Confusion matrix\n{right}", loc="left")
    return figure


def class_scores(matrix: AnyArray, classes: Sequence[str]) -> list[ClassScore]:
    """Precision, recall and F1 of each class of a confusion matrix (K, K).

    Raises:
        ConfigError: not a square matrix of counts, or not K names.
    """
    counts = _checked(matrix, classes)
    called, are = counts.sum(axis=0), counts.sum(axis=1)
    return [
        ClassScore(
            name,
            int(are[k]),
            _ratio(counts[k, k], called[k]),
            _ratio(counts[k, k], are[k]),
            _ratio(2 * counts[k, k], called[k] + are[k]),
        )
        for k, name in enumerate(classes)
    ]


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _label_classes(axes: Axes, classes: Sequence[str]) -> None:
    names = [short(name) for name in class_labels([str(name) for name in classes])]
    ticks = range(len(names))
    slanted = max(map(len, names)) > 3
    axes.set_xticks(ticks, names, rotation=45 * slanted, ha="right" if slanted else "center")
    axes.set_yticks(ticks, names)
    numbered = names != [short(str(name)) for name in classes]
    # The picture alone has to identify the classes.
    axes.set_xlabel(f"predicted class{', numbered in the order of the labels' if numbered else ''}")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)


def _write_counts(axes: Axes, counts: AnyArray, shares: FloatArray) -> None:
    size = 10.0 if len(counts) <= 12 else 7.0
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.55 else ("#222222" if count else "#aaaaaa")
        axes.text(
            column, row, str(int(count)), ha="center", va="center", color=color, fontsize=size,
            in_layout=False,
        )  # fmt: skip


def _checked(matrix: AnyArray, classes: Sequence[str]) -> AnyArray:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ConfigError("a confusion matrix has shape (K, K)", field="matrix", value=counts.shape)
    if not (np.issubdtype(counts.dtype, np.number) and np.array_equal(counts, np.rint(counts))):
        raise ConfigError("a confusion matrix holds counts", field="matrix", value=counts.dtype)
    if counts.min() < 0:
        raise ConfigError("a count is negative", field="matrix", value=counts.min())
    if len(classes) != len(counts):
        raise ConfigError(
            f"the matrix has {len(counts)} classes", field="classes", value=list(classes)
        )
    return counts
