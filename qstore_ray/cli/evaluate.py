"""`qstore evaluate` and `qstore predict`: what a trained model is worth, and what it says."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, facts, note, say, say_json, table
from qstore_ray.errors import UsageError

if TYPE_CHECKING:
    from qstore_ray.data.dataset import Dataset
    from qstore_ray.train.trained import TrainedModel

EVALUATE_EXAMPLES = examples(
    "evaluate digits",
    "evaluate runs/digits --split val",
    "evaluate digits --storage /data/runs --json",
)
PREDICT_EXAMPLES = examples(
    "predict digits images.npy > labels.csv",
    "predict runs/digits images.npz --proba --output labels.csv",
    "predict iris flowers.csv --json",
)

_LARGEST_MATRIX = 20

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name.")]


def evaluate(
    run: Run,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="The rows to score: train, val or test.")
    ] = "test",
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Score a trained model on the data of its run.

    The data are loaded again as the run's config.toml says. If they are no longer what the model
    was trained on, nothing is computed: its test rows may have become training rows.
    """
    from qstore_ray.cli.reopen import dataset_of, model_of
    from qstore_ray.train.run_summary import find_run

    folder = find_run(run, storage)
    with contextlib.redirect_stdout(sys.stderr):
        dataset = dataset_of(folder)
        result = _scores(model_of(folder), dataset, split)
    if as_json:
        say_json({"name": folder.name, "run_dir": str(folder), "split": split, **result})
    else:
        say(_as_text(split, result))


def predict(
    run: Run,
    rows: Annotated[
        str, typer.Argument(metavar="INPUT", help="Raw rows: a .npy, .npz or .csv file.")
    ],
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write to a file instead of stdout.")
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Add a probability for every class.")
    ] = False,
    storage: Storage = "runs",
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON a row instead of CSV.")
    ] = False,
) -> None:
    """Predict the labels of raw rows.

    They are prepared as the training rows were.
    """
    from qstore_ray.cli.reopen import model_of
    from qstore_ray.cli.rows import read_rows
    from qstore_ray.train.run_summary import find_run

    folder = find_run(run, storage)
    if output is not None and not Path(output).expanduser().absolute().parent.is_dir():
        raise UsageError(
            "the folder of the output does not exist",
            field="--output",
            value=output,
            fix="Make it first, or give another file.",
        )
    with contextlib.redirect_stdout(sys.stderr):
        columns = _predictions(model_of(folder), read_rows(rows), proba)
    text = _json_lines(columns) if as_json else _csv(columns)
    if output is None:
        say(text)
        return
    _write(Path(output).expanduser(), f"{text}\n")
    count = len(columns["prediction"])
    if as_json:
        say_json({"output": output, "rows": count})
    else:
        note(f"{count} predictions are in {output}.")


def _scores(model: TrainedModel, dataset: Dataset, split: str) -> dict[str, Any]:
    scores: dict[str, Any] = model.evaluate(dataset, split)
    scores["rows"] = dataset.sizes[split]
    if model.classes:
        scores["classes"] = list(dataset.schema.class_names)
        scores["confusion"] = model.confusion(dataset, split).tolist()
    return scores


def _as_text(split: str, result: dict[str, Any]) -> str:
    lines = [("split", f"{split}, {result['rows']} rows"), ("loss", f"{result['loss']:.6g}")]
    if "accuracy" in result:
        lines.append(("accuracy", f"{result['accuracy']:.4f}"))
    text = facts(lines)
    classes = result.get("classes", [])
    if not 0 < len(classes) <= _LARGEST_MATRIX:
        return text
    rows = [[name, *counts] for name, counts in zip(classes, result["confusion"], strict=True)]
    return f"{text}\n\n{table(['true / predicted', *classes], rows)}"


def _predictions(model: TrainedModel, rows: Any, proba: bool) -> dict[str, list[Any]]:
    """Columns by name: the prediction, and the probability of every class if asked for."""
    if proba and not model.classes:
        raise UsageError(
            "a regression has no class probabilities", field="--proba", fix="Leave out --proba."
        )
    columns = {"prediction": model.predict(rows).tolist()}
    if proba:
        chances = model.predict_proba(rows).T.tolist()
        names = [f"probability of {label}" for label in model.classes]
        columns |= dict(zip(names, chances, strict=True))
    return columns


def _csv(columns: dict[str, list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().rstrip("\n")


def _json_lines(columns: dict[str, list[Any]]) -> str:
    rows = zip(*columns.values(), strict=True)
    lines = (dict(zip(columns, values, strict=True)) for values in rows)
    return "\n".join(json.dumps(line, allow_nan=False) for line in lines)


def _write(path: Path, text: str) -> None:
    from qstore_ray.resilience import write_durably

    try:
        write_durably(path, text.encode())
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise UsageError(
            f"cannot write the output: {reason}",
            field="--output",
            value=str(path),
            fix="Give a file that may be written.",
        ) from exc
