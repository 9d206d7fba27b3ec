"""`qstore runs report`: one HTML file with all there is to know about a run."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, note, say, say_json
from qstore_ray.errors import QStoreError
from qstore_ray.storage.address import origin_of, shown_place

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.types import AnyArray

REPORT_EXAMPLES = examples(
    "runs report digits",
    "runs report digits --storage /data/runs --json",
)


def report(
    run: Annotated[str, typer.Argument(metavar="NAME", help="A run's name, or its folder.")],
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Write a run's report.html, which needs no other file, into its folder.

    The data are loaded again for the confusion matrix, which is computed exactly, without shots.
    """
    from qstore_ray.storage.copies import put_bytes
    from qstore_ray.train.report.report import write_report
    from qstore_ray.train.run.find import find_run

    folder = find_run(run, storage)
    with contextlib.redirect_stdout(sys.stderr):
        dataset, confusion = _scored(folder)
        path = write_report(folder, dataset=dataset, confusion=confusion)
        origin = origin_of(folder)
        if origin is not None:
            put_bytes(origin / path.name, path.read_bytes())
    report = shown_place(path)
    if as_json:
        say_json({"name": folder.name, "report": report, "confusion": confusion is not None})
    else:
        say(report)


def _scored(folder: Path) -> tuple[Dataset | None, AnyArray | None]:
    """The data and the confusion matrix, without what cannot be had any more, which is said."""
    from qstore_ray.cli.shared.reopen import dataset_of
    from qstore_ray.train.model.trained import TrainedModel

    dataset = None
    try:
        model = TrainedModel.load(folder)
        dataset = dataset_of(folder)
        scored = model.tells_classes and "test" in dataset.plans
        return dataset, model.confusion(dataset, "test") if scored else None
    except QStoreError as exc:
        note(f"warning: the report is without scores by class: {exc.message}")
        return dataset, None
