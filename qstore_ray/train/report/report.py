"""`report.html`: all there is to know about a run, in one file that can be sent to somebody.

It is made of the run folder in any state: the report says what cannot be read and shows the
rest. What the folder does not hold, the sizes of the splits and the confusion
matrix, comes from the dataset if the caller has it. Runs in the driver process.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.data.read.dataset import Dataset
from qstore_ray.files import expanded
from qstore_ray.track.base import write_atomically
from qstore_ray.train.report.gathering import gather
from qstore_ray.train.report.page import DrawnRun, draw

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

REPORT = "report.html"


def write_report(
    run_dir: str | Path,
    *,
    dataset: Dataset | None = None,
    confusion: AnyArray | None = None,
) -> Path:
    """Write `<run_dir>/report.html`; its path. Damage in the folder is reported, never raised.

    Args:
        run_dir: the run folder.
        dataset: of the run: sizes of the splits, provenance, names of the classes.
        confusion: counts (K, K) on the test split, as `TrainedModel.confusion` gives them.

    Raises:
        ConfigError: the matrix is not one of counts, or the classes do not fit it.
        RunError: the file cannot be written.
    """
    folder = expanded(run_dir)
    facts = gather(folder, dataset=dataset, confusion=confusion)
    return keep_page(folder, draw(facts))


def keep_page(run_dir: Path, drawn: DrawnRun) -> Path:
    """Write the page of a run into its folder; its path.

    Raises:
        RunError: the file cannot be written.
    """
    path = run_dir / REPORT
    write_atomically(path, drawn.page)
    return path
