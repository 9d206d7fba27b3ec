"""`qstore export`: a trained model as one file to hand on, and its model card."""

from __future__ import annotations

import contextlib
import sys
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from qstore_ray.cli.commands.predict import Model
from qstore_ray.cli.output import AsJson, Storage, examples, facts, say, say_json
from qstore_ray.storage.address import address_of, is_address, origin_of

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
        typer.Option(
            metavar="FILE", help="The .qsm file, or its address; without it model.qsm in the run."
        ),
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
    from qstore_ray.cli.shared.models import find_model, open_model
    from qstore_ray.train.model.place import save_model

    path = find_model(model, storage)
    folder = path if path.is_dir() else path.parent
    target = _target(output, folder)
    with contextlib.redirect_stdout(sys.stderr):
        trained = open_model(path)
        data = trained.to_bytes()
        save_model(target, lambda: data)
    written = {"model": str(target), "bytes": len(data), "sha256": sha256(data).hexdigest()}
    if card:
        from qstore_ray.train.report.model_card import model_card

        written["card"] = _beside(target, model_card(trained, file=Path(str(target)).name))
    if as_json:
        say_json(written)
    else:
        say(facts(written.items()))


def _target(output: str | None, folder: Path) -> Path | str:
    """Where the model file goes: as asked, or into the run."""
    from qstore_ray.cli.shared.models import check_output

    if output is not None:
        return output if is_address(output) else check_output(output)
    origin = origin_of(folder)
    return folder / _FILE if origin is None else str(origin / _FILE)


def _beside(target: Path | str, card: str) -> str:
    """Write the model card beside the model file; where."""
    from qstore_ray.cli.shared.models import write_output
    from qstore_ray.storage.copies import put_bytes

    address = address_of(target)
    if address is None:
        path = Path(target).with_name(_CARD)
        write_output(path, card.encode())
        return str(path)
    beside = address.parent / _CARD
    put_bytes(beside, card.encode())
    return str(beside)
