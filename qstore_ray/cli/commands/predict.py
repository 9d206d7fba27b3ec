"""`qstore predict`: what a trained model says of raw rows, as CSV, JSON lines or Parquet."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands.train import Local
from qstore_ray.cli.output import Storage, examples, note, say, say_json
from qstore_ray.cli.shared.models import Reading
from qstore_ray.errors import UsageError

if TYPE_CHECKING:
    from qstore_ray.train.model.trained import TrainedModel

_ENDINGS = ("", ".csv", ".json", ".jsonl", ".parquet", ".txt")

EXAMPLES = examples(
    "predict digits images.npy > labels.csv",
    "predict runs/digits images.npz --proba --output labels.parquet",
    "predict model.qsm flowers.csv --json",
    "predict runs/titanic test.csv --id PassengerId --output submission.csv",
    "predict model.qsm flowers.txt --set params.delimiter=';'",
    "predict model.qsm images.npy --workers 4 --output labels.csv",
)

Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A .qsm file, a run's folder or name, or a checkpoint."),
]


def predict(
    model: Model,
    rows: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Raw rows: a file of any format that training reads, a folder or a pattern.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write to a file instead of stdout: .csv, .jsonl or .parquet.",
        ),
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Add a probability for every class.")
    ] = False,
    id_: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="COLUMN",
            help="Copy a column of the input into the output; of images `filename`.",
        ),
    ] = None,
    changes: Reading = None,
    workers: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Number of Ray actors; 0 predicts in this process."),
    ] = 0,
    local: Local = False,
    storage: Storage = "runs",
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON a row instead of CSV.")
    ] = False,
) -> None:
    """Predict the labels of raw rows, in their order.

    They are read and prepared as the training rows were. Columns are found by their names; a label,
    an id and other columns may be there, or not. Several labels or numbers a row are columns
    prediction_0, prediction_1, … in CSV, and lists in JSON lines and Parquet.
    """
    from qstore_ray.cli.shared.models import check_output, find_model, open_model, write_output
    from qstore_ray.cli.shared.rows import (
        id_column,
        label_asked,
        read_rows,
        rows_by_place,
        say_what_is_taken,
    )

    path = find_model(model, storage)
    target = None if output is None else check_output(output)
    _check_target(target, rows)
    with contextlib.redirect_stdout(sys.stderr):
        opened = open_model(path)
        found = read_rows(opened, rows, changes, *([] if id_ is None else [id_]))
        ids = {} if id_ is None else {id_: id_column(found, id_)}
        given = rows_by_place(opened, found.rows, ids, label_asked(changes)[0])
        columns = _columns(opened, given, proba, workers, local=local)
        if shared := set(ids) & set(columns):
            raise UsageError(
                "the output has a column of this name already",
                field="--id",
                value=shared.pop(),
                fix="Rename the column of the input.",
            )
        if given is found.rows:
            say_what_is_taken(opened, found.rows, dict.fromkeys(ids, "id"))
        columns = {**ids, **columns}
    if target is None:
        say(_json_lines(columns) if as_json else _csv(columns))
        return
    write_output(target, _as_file(columns, target, as_json))
    count = len(columns["prediction"])
    if as_json:
        say_json({"output": output, "rows": count})
    else:
        note(f"{count} predictions are in {output}.")


def _columns(
    model: TrainedModel, rows: Any, proba: bool, workers: int, *, local: bool
) -> dict[str, list[Any]]:
    """Columns by name: the prediction, and the probability of every class if asked for."""
    if proba and not model.classes:
        raise UsageError(
            "a regression has no class probabilities", field="--proba", fix="Leave out --proba."
        )
    if workers:
        from qstore_ray.train.config import ClusterConfig
        from qstore_ray.train.ray.predict import predict_rows  # Ray only where it is used

        cluster = ClusterConfig(address="local" if local else None)
        found = predict_rows(model, rows, num_workers=workers, cluster=cluster)
    else:
        found = model.predictions(rows)
    columns = {"prediction": found["prediction"].tolist()}
    if proba and "probability" not in found:
        raise UsageError(
            f"a model trained with {model.model.loss_name} has no class probabilities",
            field="--proba",
            fix="Leave out --proba.",
        )
    if proba:
        chances = found["probability"].T.tolist()
        names = [f"probability of {label}" for label in model.classes]
        columns |= dict(zip(names, chances, strict=True))
    return columns


def _check_target(target: Path | None, rows: str) -> None:
    """Raise `UsageError` if predictions cannot be written to `target`, or would replace `rows`."""
    if target is None:
        return
    if target.suffix.lower() not in _ENDINGS:
        raise UsageError(
            "predictions have no format with this ending",
            field="--output",
            value=str(target),
            fix="Write to a file that ends with .csv, .jsonl or .parquet.",
        )
    from qstore_ray.data.files.files import is_remote
    from qstore_ray.data.files.listing import find_files

    if target.exists() and not is_remote(rows):
        for file in find_files(rows).files:
            if target.samefile(file):
                raise UsageError(
                    "the output would replace the input",
                    field="--output",
                    value=str(target),
                    fix="Give another file.",
                )


def _as_file(columns: dict[str, list[Any]], path: Path, as_json: bool) -> bytes:
    """The columns in the format that the file's ending names; without one as on stdout."""
    ending = path.suffix.lower()
    if ending == ".parquet":
        return _parquet(columns)
    lines = ending in {".jsonl", ".json"} or (as_json and ending != ".csv")
    return f"{_json_lines(columns) if lines else _csv(columns)}\n".encode()


def _csv(columns: dict[str, list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = _flat(columns)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().rstrip("\n")


def _flat(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The columns with one for each place of a list, called name_0, name_1, …"""
    flat: dict[str, list[Any]] = {}
    for name, values in columns.items():
        if values and isinstance(values[0], list):
            flat |= {f"{name}_{at}": list(one) for at, one in enumerate(zip(*values, strict=True))}
        else:
            flat[name] = values
    return flat


def _json_lines(columns: dict[str, list[Any]]) -> str:
    rows = zip(*columns.values(), strict=True)
    lines = (dict(zip(columns, values, strict=True)) for values in rows)
    return "\n".join(json.dumps(line, allow_nan=False, default=str) for line in lines)


def _parquet(columns: dict[str, list[Any]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())
