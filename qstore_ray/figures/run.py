"""The pictures that every finished run gets, in `<run_dir>/figures/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.figures.base import Format, Picture, png, svg_file, unwritable_error
from qstore_ray.figures.confusion import confusion_figure
from qstore_ray.figures.curves import CURVES, curves_figure
from qstore_ray.track.base import Record

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

CONFUSION = "confusion_matrix"


def draw_run(
    run_dir: Path,
    records: Sequence[Record],
    confusion: AnyArray | None = None,
    classes: Sequence[str] | None = None,
    form: Format = "png",
) -> list[Path]:
    """Draw curves and confusion matrix of a run into `<run_dir>/figures/`; the files written.

    Args:
        run_dir: the run folder; the others are those of `run_pictures`.

    Raises:
        ConfigError: the matrix is not one of counts, or the names do not fit it.
        RunError: a file cannot be written.
    """
    drawn = run_pictures(run_dir.name, records, confusion, classes, form)
    return write_pictures(run_dir, drawn, form)


def run_pictures(
    name: str,
    records: Sequence[Record],
    confusion: AnyArray | None = None,
    classes: Sequence[str] | None = None,
    form: Format = "png",
    curves: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """The pictures of a run by name, as files of a format.

    A picture for which no record has a value (accuracy in a regression) is not drawn.

    Args:
        name: of the run.
        records: its metrics, as `read_records` gives them.
        confusion: counts (K, K), a row for each true class, a column for each predicted one.
        classes: K names; by default the numbers from 0.
        curves: what `run_curves` has drawn of these records already.

    Raises:
        ConfigError: the matrix is not one of counts, or the names do not fit it.
    """
    drawn = dict(run_curves(name, records, form) if curves is None else curves)
    if confusion is not None:
        names = [str(k) for k in range(len(confusion))] if classes is None else classes
        drawn[CONFUSION] = _write(confusion_figure(confusion, names), form)
    return drawn


def run_curves(name: str, records: Sequence[Record], form: Format = "png") -> dict[str, bytes]:
    """The curves of a run by kind, as files of a format; those for which a record has a value."""
    figures = {kind: curves_figure(kind, {name: records}) for kind in CURVES}
    return {kind: _write(drawn, form) for kind, drawn in figures.items() if drawn is not None}


def _write(figure: Picture, form: Format) -> bytes:
    return svg_file(figure) if form == "svg" else png(figure)


def write_pictures(
    run_dir: Path, pictures: Mapping[str, bytes], form: Format = "png"
) -> list[Path]:
    """Write pictures into `<run_dir>/figures/`; the files written.

    Raises:
        RunError: a file cannot be written.
    """
    folder = path = run_dir / "figures"
    written = []
    try:
        folder.mkdir(exist_ok=True)
        for name, drawn in pictures.items():
            path = folder / f"{name}.{form}"
            path.write_bytes(drawn)
            written.append(path)
    except OSError as exc:
        raise unwritable_error(path, exc) from exc
    return written
