"""The pictures that every finished run gets, in `<run_dir>/figures/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.figures.base import Format, png, svg_file, unwritable_error
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
) -> dict[str, bytes]:
    """The pictures of a run by name, as files of a format.

    A picture for which no record has a value (accuracy in a regression) is not drawn.

    Args:
        name: of the run.
        records: its metrics, as `read_records` gives them.
        confusion: counts (K, K), a row for each true class, a column for each predicted one.
        classes: K names; by default the numbers from 0.

    Raises:
        ConfigError: the matrix is not one of counts, or the names do not fit it.
    """
    figures = {kind: curves_figure(kind, {name: records}) for kind in CURVES}
    if confusion is not None:
        names = [str(k) for k in range(len(confusion))] if classes is None else classes
        figures[CONFUSION] = confusion_figure(confusion, names)
    write = svg_file if form == "svg" else png
    return {kind: write(figure) for kind, figure in figures.items() if figure is not None}


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
