"""The epochs of a run as a table that any spreadsheet opens."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, ClassVar

from pydantic import PrivateAttr

from qstore_ray.config import Config
from qstore_ray.errors import UsageError
from qstore_ray.track.base import Record
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qstore_ray.learn.model import QuantumModel


class MetricsLogger(Config, Callback):
    """Writes `<run_dir>/<file>`: one row an epoch, one column a metric. Runs in worker 0.

    `metrics.jsonl`, which every run has, holds the same numbers and more. The table is
    rewritten after every epoch, so a column that appears late is empty before, and an epoch that
    is repeated after a resume has one row.

    Args:
        file: name of the file in the run folder.

    Examples:
        trainer = TrainerConfig(callbacks=[MetricsLogger(file="epochs.csv")])
    """

    comes_last: ClassVar[bool] = True
    file: str = "metrics.csv"
    _earlier: list[Record] = PrivateAttr(default_factory=list)

    def logged_metrics(self, model: QuantumModel) -> Iterable[str]:
        """It logs nothing."""
        return ()

    def on_train_begin(self, run: Run) -> None:
        """Take the epochs of earlier attempts from the run folder.

        Raises:
            UsageError: the run has no folder.
        """
        if run.run_dir is None:
            raise UsageError(
                "this run has no folder to write a table to",
                field="callbacks.metrics_logger",
                fix="Leave MetricsLogger out: `history` has the numbers.",
            )
        self._earlier = epoch_records(read_records(run.run_dir / "metrics.jsonl"))

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Write the table with the new row."""
        assert run.run_dir is not None
        self._earlier.append({**record, **run.logged})
        names = list(dict.fromkeys(name for row in self._earlier for name in row))
        names = [name for name in names if name not in ("event", "seconds")]
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, names, restval="", extrasaction="ignore")
        table.writeheader()
        table.writerows(self._earlier)
        # Not flushed to the disk: metrics.jsonl is, and the table follows from it.
        part = run.run_dir / f".{self.file}.part"
        part.write_text(text.getvalue(), encoding="utf-8", newline="")
        part.replace(run.run_dir / self.file)
