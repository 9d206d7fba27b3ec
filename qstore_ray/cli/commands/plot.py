"""`qstore runs plot`: pictures of one run, or of several in one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, note, say, say_json
from qstore_ray.errors import QStoreError, UsageError, unknown_name_error
from qstore_ray.files import expanded

if TYPE_CHECKING:
    from qstore_ray.figures.base import Picture

PLOT_EXAMPLES = examples(
    "runs plot digits",
    "runs plot digits-1 digits-2 --kind loss --format svg --output plots",
    "runs plot digits --kind landscape",
)

CURVES = ("loss", "accuracy", "learning_rate", "gradients")
OF_THE_MODEL = ("confusion", "circuit", "landscape", "boundary")
_ALL = "all"


def plot(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names or folders of runs.")],
    kind: Annotated[
        str, typer.Option(metavar="KIND", help=f"{', '.join((*CURVES, *OF_THE_MODEL))}, or all.")
    ] = _ALL,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="png or svg.")] = "png",
    output: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Where the files go: `figures` in the run's folder, or here for several runs.",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="The rows of confusion, landscape, boundary.")
    ] = "test",
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Draw pictures of runs. Curves of several runs are drawn into one picture.

    Confusion, landscape and boundary load the data again and evaluate the model exactly, without
    shots: a landscape takes 441 points times up to 128 rows, a boundary 10,201 points.
    """
    from qstore_ray.train.run.find import find_run

    kinds = _kinds(kind)
    if form not in {"png", "svg"}:
        raise unknown_name_error("format", form, ("png", "svg"), field="--format")
    folders = list(dict.fromkeys(find_run(run, storage) for run in runs))
    target = _folder(output, folders)
    with contextlib.redirect_stdout(sys.stderr):
        paths = _draw(folders, kinds, form, target, split)
    if as_json:
        say_json({"files": [str(path) for path in paths]})
    elif paths:
        say("\n".join(map(str, paths)))


def _kinds(kind: str) -> tuple[str, ...]:
    every = (*CURVES, *OF_THE_MODEL)
    if kind == _ALL:
        return every
    if kind not in every:
        raise unknown_name_error("kind", kind, (*every, _ALL), field="--kind")
    return (kind,)


def _folder(output: str | None, folders: Sequence[Path]) -> Path:
    if output is None:
        target = folders[0] / "figures" if len(folders) == 1 else Path()
    else:
        target = expanded(output)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(
            f"cannot make the folder: {exc.strerror or type(exc).__name__}",
            field="--output",
            value=str(target),
            fix="Give a folder that may be written to.",
        ) from exc
    return target


def _draw(
    folders: Sequence[Path], kinds: Sequence[str], form: str, target: Path, split: str
) -> list[Path]:
    """The files written; what cannot be drawn is an error if it was the only kind asked for."""
    from qstore_ray.figures.base import save

    paths = []
    for kind in kinds:
        together = [folders] if kind in CURVES else [[folder] for folder in folders]
        for group in together:
            try:
                figure = _curves(group, kind) if kind in CURVES else _model(group[0], kind, split)
            except QStoreError as exc:
                if len(kinds) == 1:
                    raise
                which = ", ".join(folder.name for folder in group)
                note(f"{which}: no picture of kind {kind}: {exc.message}")
                continue
            prefix = f"{group[0].name}-" if kind not in CURVES and len(folders) > 1 else ""
            name = "confusion_matrix" if kind == "confusion" else kind
            paths.append(save(figure, target / f"{prefix}{name}.{form}"))
    return paths


def _curves(folders: Sequence[Path], kind: str) -> Picture:
    from qstore_ray.figures.curves import curves_figure
    from qstore_ray.track.jsonl import read_records

    names = [folder.name for folder in folders]
    shown = names if len(set(names)) == len(names) else [str(folder) for folder in folders]
    runs = {
        name: read_records(folder / "metrics.jsonl")
        for name, folder in zip(shown, folders, strict=True)
    }
    figure = curves_figure(kind, runs)
    if figure is None:
        raise UsageError(
            "nothing of this kind was recorded", field="--kind", value=kind, fix="Take --kind loss."
        )
    return figure


def _model(folder: Path, kind: str, split: str) -> Picture:
    """A picture of the trained model, exactly evaluated.

    Raises:
        CheckpointError: there is no model.
        DataError: the data cannot be had any more, or do not suit the picture.
        UsageError: the model is of another kind.
    """
    from qstore_ray.cli.shared.reopen import dataset_of
    from qstore_ray.figures.boundary import boundary_figure
    from qstore_ray.figures.circuit import circuit_figure
    from qstore_ray.figures.confusion import confusion_figure
    from qstore_ray.figures.landscape import landscape, landscape_figure
    from qstore_ray.train.model.trained import TrainedModel

    trained = TrainedModel.load(folder)
    model = trained.model
    if kind == "circuit":
        circuit = model.circuit
        return circuit_figure(circuit.template, circuit.name, circuit.wires)
    if kind == "confusion" and not trained.tells_classes:
        raise UsageError(
            "only a model with one class a row has a confusion matrix",
            field="--kind",
            value=kind,
            fix="Take another kind.",
        )
    dataset = dataset_of(folder)
    names = dataset.schema.class_names
    if kind == "confusion":
        return confusion_figure(trained.confusion(dataset, split), names)
    x, y = dataset.materialize(split)
    if kind == "landscape":
        y = y if trained.targets is None else trained.targets.apply(y)
        return landscape_figure(landscape(model, trained.theta, x, y))
    return boundary_figure(model, trained.theta, x, y, names, split=split)
