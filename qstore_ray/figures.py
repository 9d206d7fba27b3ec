"""Pictures of a run: loss, accuracy, the optimizer's steps, and the confusion matrix, as PNG files.

Drawn on Figure objects of their own, never through pyplot, so nothing of matplotlib's global state
is touched and any thread may draw. The colours are Okabe and Ito's (2008), which are told apart
under every common colour blindness; training is always blue, validation always vermilion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qstore_ray.errors import ConfigError, RunError
from qstore_ray.track.base import Record
from qstore_ray.track.jsonl import epoch_records

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qstore_ray.types import AnyArray, FloatArray

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
_DPI: Final = 120
_MOST_MARKERS: Final = 20
_MOST_COUNTED_CLASSES: Final = 25


def draw_run(
    run_dir: Path,
    records: Sequence[Record],
    confusion: AnyArray | None = None,
    classes: Sequence[str] | None = None,
) -> list[Path]:
    """Draw everything there is to draw of a run into `<run_dir>/figures/`; the files written.

    Args:
        run_dir: the run folder.
        records: its metrics, as `read_records` gives them.
        confusion: counts (K, K), a row for each true class, a column for each predicted one.
        classes: K names; the numbers from 0 where left out.

    Raises:
        ConfigError: the matrix is not one of counts, or the names do not fit it.
        RunError: a file cannot be written.
    """
    folder = run_dir / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise _unwritable(folder, exc) from exc
    paths = draw_curves(records, folder)
    if confusion is not None:
        names = [str(k) for k in range(len(confusion))] if classes is None else classes
        paths.append(draw_confusion_matrix(confusion, names, folder / "confusion_matrix.png"))
    return paths


def draw_curves(records: Sequence[Record], folder: Path) -> list[Path]:
    """Draw loss.png, accuracy.png and optimizer.png from the epoch records; the files written.

    A picture for which no record has a value (accuracy in a regression) is not drawn.

    Raises:
        RunError: a file cannot be written.
    """
    epochs = epoch_records(records)
    pictures: dict[str, tuple[str, list[tuple[str, ...]]]] = {
        "loss.png": ("Loss", [("train_loss", "val_loss")]),
        "accuracy.png": ("Accuracy", [("train_accuracy", "val_accuracy")]),
        "optimizer.png": ("Optimizer", [("learning_rate",), ("gradient_norm",)]),
    }
    paths = []
    for file, (title, panels) in pictures.items():
        drawn = [keys for keys in panels if any(len(_curve(epochs, key)[0]) for key in keys)]
        if drawn:
            figure = _new_figure(7.0, 1.2 + 2.6 * len(drawn) + 0.4 * (len(drawn) == 1))
            panes = [figure.add_subplot(len(drawn), 1, place + 1) for place in range(len(drawn))]
            panes[0].set_title(title, loc="left", fontweight="bold")
            for axes, keys in zip(panes, drawn, strict=True):
                _draw_panel(axes, epochs, keys)
            panes[-1].set_xlabel("epoch")
            paths.append(_save(figure, folder / file))
    return paths


def draw_confusion_matrix(matrix: AnyArray, classes: Sequence[str], path: Path) -> Path:
    """Counts in the cells, colour by the share of the true class (row); the file written.

    Args:
        matrix: counts (K, K), a row for each true class, a column for each predicted one.
        classes: K names.
        path: the PNG file.

    Raises:
        ConfigError: not a square matrix of counts, or not K names.
        RunError: the file cannot be written.
    """
    counts = np.asarray(matrix)
    _check_counts(counts, classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)  # a class without a row stays at 0
    size = min(3.2 + 0.55 * len(classes), 14.0)
    figure = _new_figure(size + 0.9, size)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    _label_classes(axes, classes)
    if len(classes) <= _MOST_COUNTED_CLASSES:
        _write_counts(axes, counts, shares)
    correct, total = int(np.trace(counts)), int(counts.sum())
    right = f"{correct} of {total} right" + (f", {correct / total:.1%}" if total else "")
    axes.set_title(f"Confusion matrix\n{right}", loc="left")
    return _save(figure, path)


def _curve(epochs: Sequence[Record], key: str) -> tuple[list[int], list[float]]:
    """Epochs (counted from 1, as people do) and values of the records that have one."""
    points = [(int(r["epoch"]) + 1, float(r[key])) for r in epochs if r.get(key) is not None]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _draw_panel(axes: Axes, epochs: Sequence[Record], keys: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    styles: dict[str, tuple[str, str, str, str]] = {
        "train": ("training", BLUE, "-", "o"),
        "val": ("validation", VERMILION, "--", "s"),
        "learning": ("learning rate", GREEN, "-", "o"),
        "gradient": ("gradient norm", PURPLE, "-", "o"),
    }
    for key in keys:
        label, color, line, marker = styles[key.partition("_")[0]]
        x, y = _curve(epochs, key)
        if x:
            few = marker if len(x) <= _MOST_MARKERS else None
            axes.plot(x, y, line, color=color, marker=few, markersize=4, linewidth=1.8, label=label)
    several = len(keys) > 1
    axes.set_ylabel(keys[0].partition("_")[2] if several else keys[0].replace("_", " "))
    if several:
        axes.legend(frameon=False)
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if not several:
        _maybe_logarithmic(axes, _curve(epochs, keys[0])[1])
    axes.grid(alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _maybe_logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic where half of the values lie far below the largest, as in an exponential decay.

    A cosine that ends near 0 is better seen on a linear axis.
    """
    if min(values) > 0 and max(values) > 20 * float(np.median(values)):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0.0)


def _label_classes(axes: Axes, classes: Sequence[str]) -> None:
    names = [name if len(name) <= 18 else name[:17] + "…" for name in map(str, classes)]
    ticks = range(len(names))
    slanted = max(map(len, names)) > 3
    axes.set_xticks(ticks, names, rotation=45 * slanted, ha="right" if slanted else "center")
    axes.set_yticks(ticks, names)
    axes.set_xlabel("predicted class")
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
            column, row, str(int(count)), ha="center", va="center", color=color, fontsize=size
        )


def _check_counts(counts: AnyArray, classes: Sequence[str]) -> None:
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


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(width, height), dpi=_DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> Path:
    details: dict[str, Any] = {"Software": None}  # no version inside: equal runs, equal files
    try:
        figure.savefig(path, dpi=_DPI, metadata=details)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    return path


def _unwritable(path: Path, exc: OSError) -> RunError:
    reason = exc.strerror or type(exc).__name__
    return RunError(f"cannot write a figure: {reason}", value=str(path))
