"""A model by what a user types: a run's folder or name, a checkpoint folder, or a `.qsm` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qstore_ray.cli.output import note
from qstore_ray.errors import UsageError
from qstore_ray.files import expanded, is_folder, is_there
from qstore_ray.storage.address import is_address

if TYPE_CHECKING:
    from qstore_ray.train.model.trained import TrainedModel
    from qstore_ray.train.run.checkpoint import Checkpoint
    from qstore_ray.types import ReadOnlyTable

SUFFIX = ".qsm"
Reading = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Read the file with another setting than the training files, such as "
        "params.delimiter=';'. May be repeated.",
    ),
]


def find_model(model: str, storage: str) -> Path:
    """The path of a model file, of a checkpoint, or of a run, which may be given by its name.

    Of an address it is the path of a copy.

    Raises:
        UsageError: no such model exists.
        StorageError: the object store cannot be used.
    """
    from qstore_ray.train.model.archive import no_model_file_error
    from qstore_ray.train.model.place import local_model
    from qstore_ray.train.run.find import find_run

    path = local_model(model)
    if path.suffix == SUFFIX and not is_folder(path):
        if not is_there(path):
            raise no_model_file_error(model)
        return path.absolute()
    if is_there(path / "manifest.json"):
        return path.absolute()
    return find_run(model, storage)


def open_model(path: Path) -> TrainedModel:
    """The model there; a run's and a checkpoint's on the backend that it was trained with last.

    Of a run it is the newest sound checkpoint. A model file is evaluated exactly, in this process.

    Raises:
        CheckpointError: there is no readable checkpoint, or no sound model file.
    """
    from qstore_ray.backends.base import takes_no_shots
    from qstore_ray.backends.failover import backend_in_words, fallback_text
    from qstore_ray.config import read_toml
    from qstore_ray.train.config import TrainerConfig
    from qstore_ray.train.model.scoring_backends import scoring_backend
    from qstore_ray.train.model.trained import TrainedModel
    from qstore_ray.train.run.chain import place_in_chain
    from qstore_ray.train.run.checkpoint import latest_checkpoint, read_checkpoint

    if path.is_file():
        model = TrainedModel.load(path)
        trained_on = model.origin.trainer.get("backend", "statevector")
        if trained_on != "statevector":
            note(f"note: trained on the backend {trained_on}, evaluated on statevector.")
        _say_exact(model.origin.trainer)
        return model
    run = path.parent.parent if (path / "manifest.json").exists() else path
    backend = None
    found: Checkpoint | None = None
    if run == path:
        found, problems = latest_checkpoint(run / "checkpoints")
        for problem in problems:
            note(f"warning: passed over a checkpoint: {problem}")
        path = found.path if found else run  # `load` then reports that it has no model
    else:
        found = read_checkpoint(path)
    if (run / "config.toml").exists() or run == path:
        trainer = TrainerConfig.from_dict(read_toml(run / "config.toml").get("trainer", {}))
        place = place_in_chain(trainer, found.manifest if found else None)
        backend = scoring_backend(place.config)
        if takes_no_shots(backend):
            _say_exact(place.config.to_dict())
        else:
            note(f"note: evaluated on {backend_in_words(place.config.to_dict())}.")
        if place.steps:
            note(f"note: the run fell back {fallback_text(place.steps[-1])}.")
            if takes_no_shots(backend):
                note(f"note: evaluated on {place.config.backend}.")
    return TrainedModel.load(path, backend)


def _say_exact(trainer: ReadOnlyTable) -> None:
    """Say that the model is evaluated exactly, if it was trained otherwise."""
    from qstore_ray.train.report.execution import inexact

    if parts := inexact(trainer):
        note(f"note: trained with {' and '.join(parts)}, evaluated exactly.")


def check_output(output: str) -> Path:
    """The path of a file to be written, in a folder that exists.

    Raises:
        UsageError: the folder does not exist, or it is an address.
    """
    if is_address(output):
        raise UsageError(
            "this is written into a file of this machine",
            field="--output",
            value=output,
            fix="Give a path, and copy the file afterwards.",
        )
    path = expanded(output)
    if not path.absolute().parent.is_dir():
        raise UsageError(
            "the folder of the output does not exist",
            field="--output",
            value=output,
            fix="Make it first, or give another file.",
        )
    return path


def write_output(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    from qstore_ray.files import is_full, write_durably

    try:
        write_durably(path, data)
    except OSError as exc:
        raise UsageError(
            f"cannot write the output: {exc.strerror or type(exc).__name__}",
            field="--output",
            value=str(path),
            fix="Free some space." if is_full(exc) else "Give a file that may be written.",
        ) from exc
