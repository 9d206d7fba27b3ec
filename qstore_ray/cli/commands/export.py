"""`qstore export`: a trained model as one file to hand on, and its model card."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from qstore_ray.cli.commands.predict import Model
from qstore_ray.cli.output import AsJson, Storage, examples, facts, say, say_json

EXAMPLES = examples(
    "export digits",
    "export runs/digits --output digits.qsm --card",
    "export runs/digits/checkpoints/step-00000120 --output early.qsm --json",
)

_FILE, _CARD = "model.qsm", "model_card.md"


def export(
    model: Model,
    output: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The .qsm file; without it model.qsm in the run."),
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write model_card.md beside it, in Markdown.")
    ] = False,
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Write a trained model into one file that predicts the same anywhere.

    It holds parameters, preparation, circuit and where they come from; no code, no pickle.
    """
    from qstore_ray.cli.shared.models import check_output, find_model, open_model, write_output

    path = find_model(model, storage)
    folder = path if path.is_dir() else path.parent
    target = folder / _FILE if output is None else check_output(output)
    with contextlib.redirect_stdout(sys.stderr):
        trained = open_model(path)
        trained.save(target)
    written = {"model": str(target), "bytes": target.stat().st_size, "sha256": _sha256(target)}
    if card:
        from qstore_ray.train.report.model_card import model_card

        beside = target.with_name(_CARD)
        write_output(beside, model_card(trained, file=target.name).encode())
        written["card"] = str(beside)
    if as_json:
        say_json(written)
    else:
        say(facts(written.items()))


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
