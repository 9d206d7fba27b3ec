"""`qstore evaluate`: what a trained model is worth."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, facts, note, say, say_json, table
from qstore_ray.cli.shared.models import Reading
from qstore_ray.errors import UsageError
from qstore_ray.storage.address import shown_place
from qstore_ray.wording import decimal

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.train.model.trained import TrainedModel

EXAMPLES = examples(
    "evaluate digits",
    "evaluate runs/digits --split val",
    "evaluate digits --storage /data/runs --json",
    "evaluate digits --data newer.csv",
    "evaluate model.qsm --data newer.csv --set columns.label=species",
)
_LARGEST_MATRIX = 20
_IN_UNITS = ("mae", "rmse", "mse")
_RECALL = "recall_"

Model = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's folder, or its name; with --data also a .qsm file or a checkpoint.",
    ),
]


def evaluate(
    run: Model,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="The rows to score: train, val or test.")
    ] = "test",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Score on other labelled rows: a file of any format that training reads, a folder "
            "or a pattern.",
        ),
    ] = None,
    changes: Reading = None,
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Score a trained model on the data of its run, or on other labelled rows.

    The data are loaded again as the run's config.toml says. If they are no longer what the model
    was trained on, nothing is computed: its test rows may have become training rows.

    Other rows (--data) are read as the training rows were: columns and the label are found by their
    names. Of files with official parts, SPLIT is scored, else all rows are.
    """
    if data is None and changes:
        raise UsageError(
            "the data of the run are as they were",
            field="--set",
            value=changes,
            fix="Give another file by --data, or leave --set out.",
        )
    with contextlib.redirect_stdout(sys.stderr):
        folder, model, dataset = _opened(run, storage, data, split, changes)
        result = _scores(model, dataset, split)
    if as_json:
        place = {"name": folder.stem, "run_dir": shown_place(folder)}
        say_json(place | ({} if data is None else {"data": data}) | {"split": split, **result})
    else:
        say(_as_text(("split", split) if data is None else ("data", data), result))


def _opened(
    run: str, storage: str, data: str | None, split: str, changes: list[str] | None
) -> tuple[Path, TrainedModel, Dataset]:
    """Where the model is, the model, and the rows."""
    from qstore_ray.cli.shared.models import SUFFIX, find_model, open_model

    if data is None and run.endswith(SUFFIX) and find_model(run, storage).is_file():
        raise UsageError(
            "a model file does not have the rows of its run",
            field="data",
            value=run,
            fix="Give rows to score it on with --data, or the run.",
        )
    if data is None:
        from qstore_ray.cli.shared.reopen import dataset_of
        from qstore_ray.data.inputs.signature import Signature
        from qstore_ray.train.run.find import find_run

        folder = find_run(run, storage)
        dataset = dataset_of(folder)
        note(f"{dataset.config.name}: {Signature.of(dataset).line()}")
        return folder, open_model(folder), dataset
    from qstore_ray.cli.shared.rows import labelled_rows

    path = find_model(run, storage)
    model = open_model(path)
    return path, model, labelled_rows(model, data, split, changes)


def _scores(model: TrainedModel, dataset: Dataset, split: str) -> dict[str, Any]:
    found = model.evaluation(dataset, split).scores
    scores: dict[str, Any] = {**found.values, **dict.fromkeys(found.missing)}
    scores["missing"] = found.missing
    if model.model.loss.goal == "regression":
        scores["target_scaling"] = "none" if model.targets is None else "standard"
    scores["backend"] = model.backend.name
    scores["rows"] = dataset.sizes[split]
    if model.tells_classes:
        scores["classes"] = list(dataset.schema.class_names)
        scores["confusion"] = model.confusion(dataset, split).tolist()
    return scores


def _is_recall(name: str, value: Any) -> bool:
    return name.startswith(_RECALL) and isinstance(value, float)


def _as_text(scored: tuple[str, str], result: dict[str, Any]) -> str:
    what, where = scored
    units = " (of scaled targets)" if result.get("target_scaling") == "standard" else ""
    loss = f"{result['loss']:.6g}{units}"
    lines = [(what, f"{where}, {result['rows']} rows"), ("backend", result["backend"])]
    lines.append(("loss", loss))
    missing = result["missing"]
    for name, value in result.items():
        if isinstance(value, float) and name != "loss" and not name.startswith(_RECALL):
            lines.append((name, f"{value:.6g}" if name in _IN_UNITS else decimal(value)))
    lines += [(name, f"not defined: {why}") for name, why in missing.items()]
    recalls = [(n.removeprefix(_RECALL), v) for n, v in result.items() if _is_recall(n, v)]
    if 0 < len(recalls) <= _LARGEST_MATRIX:
        lines.append(("recall", ", ".join(f"{name} {decimal(value)}" for name, value in recalls)))
    text = facts(lines)
    classes = result.get("classes", [])
    if not 0 < len(classes) <= _LARGEST_MATRIX:
        return text
    rows = [[name, *counts] for name, counts in zip(classes, result["confusion"], strict=True)]
    return f"{text}\n\n{table(['true / predicted', *classes], rows)}"
