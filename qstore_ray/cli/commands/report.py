"""`qstore runs report`: all there is to know about a run as one HTML file, and `--compliance`."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
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
    "runs report digits --compliance",
)

Compliance = Annotated[
    bool,
    typer.Option(
        "--compliance",
        help="Write compliance.html and compliance.json instead: model card, data sheet, audit "
        "log, reproducibility, risks, maturity. Of a study: of its best run.",
    ),
]


def report(
    run: Annotated[str, typer.Argument(metavar="NAME", help="A run's name, or its folder.")],
    storage: Storage = "runs",
    compliance: Compliance = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's report.html, which needs no other file, into its folder.

    The data are loaded again for the confusion matrix, which is computed exactly, without shots.
    """
    from qstore_ray.train.report.report import write_report
    from qstore_ray.train.run.find import find_run

    folder = find_run(run, storage)
    if compliance:
        _write_compliance(folder, as_json)
        return
    with contextlib.redirect_stdout(sys.stderr):
        dataset, confusion, why = _scored(folder)
        if why:
            note(f"warning: the report is without scores by class: {why}")
        path = write_report(folder, dataset=dataset, confusion=confusion)
        _keep(folder, path)
    report = shown_place(path)
    if as_json:
        say_json({"name": folder.name, "report": report, "confusion": confusion is not None})
    else:
        say(report)


def _write_compliance(folder: Path, as_json: bool) -> None:
    """Write the compliance document of a run, or of the best run of a study."""
    from qstore_ray.ops.compliance.checks import check_data
    from qstore_ray.ops.compliance.search import run_of_study
    from qstore_ray.ops.compliance.write import write_compliance
    from qstore_ray.storage.contents import is_study
    from qstore_ray.train.run.summary import read_record

    with contextlib.redirect_stdout(sys.stderr):
        folder = run_of_study(folder) if is_study(folder) else folder
        read_record(folder)  # without it there is nothing to document
        dataset, confusion, why = _scored(folder)
        if why:
            note(f"warning: the data or the model were not checked again: {why}")
        written = write_compliance(folder, check_data(dataset, confusion, why))
        for path in (written.page, written.table):
            _keep(folder, path)
    found = written.document
    files = {"page": shown_place(written.page), "table": shown_place(written.table)}
    if as_json:
        from qstore_ray.ops.compliance.document import LEVELS

        levels = {level: sum(risk.level == level for risk in found.risks) for level in LEVELS}
        answers = Counter(point.answer for point in found.points)
        asked = {"open_questions": len(found.questions())}
        say_json({"name": folder.name, **files, "risks": levels, "maturity": answers, **asked})
    else:
        say("\n".join(files.values()))


def _keep(folder: Path, path: Path) -> None:
    """Upload a file of a run in an object store."""
    from qstore_ray.storage.copies import put_bytes

    origin = origin_of(folder)
    if origin is not None:
        put_bytes(origin / path.name, path.read_bytes())


def _scored(folder: Path) -> tuple[Dataset | None, AnyArray | None, str]:
    """The data and the confusion matrix; what cannot be had any more is None, with the reason."""
    from qstore_ray.cli.shared.reopen import dataset_of
    from qstore_ray.train.model.trained import TrainedModel

    dataset = None
    try:
        dataset = dataset_of(folder)  # also of a run that left no model
        model = TrainedModel.load(folder)
        scored = model.tells_classes and "test" in dataset.plans
        return dataset, model.confusion(dataset, "test") if scored else None, ""
    except QStoreError as exc:
        return dataset, None, exc.message
