"""The pictures that every finished run gets, in `<run_dir>/figures/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.figures.base import Format, save, unwritable_error
from qstore_ray.figures.confusion import confusion_figure
from qstore_ray.figures.curves import CURVES, curves_figure
from qstore_ray.track.base import Record

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


def draw_run(
    run_dir: Path,
    records: Sequence[Record],
    confusion: AnyArray | None = None,
    classes: Sequence[str] | None = None,
    form: Format = "png",
) -> list[Path]:
    """Draw curves and confusion matrix of a run into `<run_dir>/figures/`; the files written.

    A picture for which no record has a value (accuracy in a regression) is not drawn.

    Args:
        run_dir: the run folder.
        records: its metrics, as `read_records` gives them.
        confusion: counts (K, K), a row for each true class, a column for each predicted one.
        classes: K names; by default the numbers from 0.
        form: format of the files.

    Raises:
        ConfigError: the matrix is not one of counts, or the names do not fit it.
        RunError: a file cannot be written.
    """
    folder = run_dir / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise unwritable_error(folder, exc) from exc
    paths = []
    for kind in CURVES:
        figure = curves_figure(kind, {run_dir.name: records})
        if figure is not None:
            paths.append(save(figure, folder / f"{kind}.{form}"))
    if confusion is not None:
        names = [str(k) for k in range(len(confusion))] if classes is None else classes
        figure = confusion_figure(confusion, names)
        paths.append(save(figure, folder / f"confusion_matrix.{form}"))
    return paths
