"""`qstore tune`: search a job's best configuration, and look at what a search has found."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, facts, note, say, say_json
from qstore_ray.cli.shared.study_text import summary_of, trial_table
from qstore_ray.cli.tune import run
from qstore_ray.cli.tune.group import RUN, JobOrCommand
from qstore_ray.errors import UsageError, unknown_name_error
from qstore_ray.files import expanded, real_path

if TYPE_CHECKING:
    from qstore_ray.figures.base import Format
    from qstore_ray.tune.study.result import StudyResult

KINDS = ("history", "epochs", "front", "importance", "slices", "parallel")

_ALL = "all"
_STORAGE = "runs"

Name = Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or its folder.")]
StorageUrl = Annotated[
    str | None,
    typer.Option(
        "--storage-url",
        metavar="URL",
        help="URL of the study's database; by default the one that the study's folder records.",
    ),
]

app = typer.Typer(
    cls=JobOrCommand,
    no_args_is_help=True,
    help="Search for the best configuration of a job, and show what was found.",
    epilog=examples(
        "tune jobs/digits_tune.toml",
        "tune jobs/digits_tune.toml --trials 100 --resume",
        "tune show digits-tune",
        "tune best digits-tune -o best.toml",
        "tune plot digits-tune",
    ),
)
app.command(RUN, hidden=True, epilog=run.RUN_EXAMPLES)(run.run)


@app.command(
    "show",
    epilog=examples(
        "tune show digits-tune",
        "tune show runs/digits-tune --json",
    ),
)
def show(
    name: Name, storage: Storage = _STORAGE, storage_url: StorageUrl = None, as_json: AsJson = False
) -> None:
    """Show a study: its best trial, why trials failed, and all trials. It may be running."""
    from qstore_ray.storage.address import shown_place

    result, folder = _read(name, storage, storage_url)
    if as_json:
        from qstore_ray.track.logs.text import redact

        say_json({"folder": str(folder), **redact(result.to_dict())})
        return
    say(facts([("study", shown_place(folder)), *summary_of(result)]))
    if result.trials:
        say("")
        say(trial_table(result))


@app.command(
    "best",
    epilog=examples(
        "tune best digits-tune > best.toml",
        "tune best digits-tune --trial 7 -o seven.toml",
    ),
)
def best(
    name: Name,
    trial: Annotated[
        int | None,
        typer.Option("--trial", metavar="N", help="Number of the trial; by default the best one."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file instead of stdout."
        ),
    ] = None,
    storage: Storage = _STORAGE,
    storage_url: StorageUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print the job of the best trial as TOML, ready for qstore train.

    Of several objectives it is the first trial of the Pareto front; --trial takes another one.
    """
    result, _ = _read(name, storage, storage_url)
    text = result.best_toml(trial)
    if output is not None:
        _write(expanded(output), text)
    number = result.best[0] if trial is None else trial
    if as_json:
        found = result.trials_by_number()[number]
        values = {"parameters": found.parameters, "objectives": found.objectives}
        say_json({"study": result.study, "trial": number, **values, "file": output, "toml": text})
    elif output is None:
        say(text.rstrip("\n"))
    else:
        say(output)


@app.command(
    "plot",
    epilog=examples(
        "tune plot digits-tune",
        "tune plot digits-tune --kind importance --format svg",
    ),
)
def plot(
    name: Name,
    kind: Annotated[str, typer.Option(metavar="KIND", help=f"{', '.join(KINDS)}, or all.")] = _ALL,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="png or svg.")] = "png",
    storage: Storage = _STORAGE,
    storage_url: StorageUrl = None,
    as_json: AsJson = False,
) -> None:
    """Draw a study into `figures` in its folder, and all of it into its report.html."""
    if form not in {"png", "svg"}:
        raise unknown_name_error("format", form, ("png", "svg"), field="--format")
    if kind not in (*KINDS, _ALL):
        raise unknown_name_error("kind", kind, (*KINDS, _ALL), field="--kind")
    result, folder = _read(name, storage, storage_url)
    with contextlib.redirect_stdout(sys.stderr):
        paths = _draw(result, folder, kind, "svg" if form == "svg" else "png")
    if as_json:
        say_json({"files": [str(path) for path in paths]})
    else:
        say("\n".join(map(str, paths)))


def _read(name: str, storage: str, url: str | None) -> tuple[StudyResult, Path]:
    """A study by its name under the storage, or by its folder.

    Raises:
        UsageError: the study does not exist.
        StudyError: its storage is locked, damaged or out of reach.
    """
    from qstore_ray.storage.address import is_address, storage_folder
    from qstore_ray.train.run.origin import refresh_study
    from qstore_ray.tune.dashboards.pages import unknown_study_error
    from qstore_ray.tune.study.address import for_field
    from qstore_ray.tune.study.ownership import recorded_url
    from qstore_ray.tune.study.result import StudyResult
    from qstore_ray.tune.study.storage import JOURNAL

    if url is not None:
        is_place = len(Path(name).parts) > 1 or is_address(name)
        folder = storage_folder(name) if is_place else storage_folder(storage) / name
        with for_field("--storage-url"):
            return StudyResult.load(folder.parent, folder.name, storage_url=url), folder
    places = (name,) if is_address(name) else (expanded(name), storage_folder(storage) / name)
    for path in map(storage_folder, places):
        if name:
            refresh_study(path)
        if name and ((path / JOURNAL).is_file() or recorded_url(path)):
            folder = real_path(path)
            return StudyResult.load(folder.parent, folder.name), folder
    raise unknown_study_error(
        name,
        storage_folder(storage),
        "Run a search first, or give --storage, or --storage-url for a database.",
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise UsageError(
            f"cannot write the file: {exc.strerror or type(exc).__name__}",
            field="--output",
            value=str(path),
            fix="Give a file that may be written.",
        ) from exc


def _draw(result: StudyResult, folder: Path, kind: str, form: Format) -> list[Path]:
    """The files written; a picture that cannot be drawn is an error if it was asked for alone."""
    from qstore_ray.tune.report.html import write_page
    from qstore_ray.tune.report.pictures import draw_study, search_of

    search = search_of(result)
    paths: list[Path] = []
    for each in KINDS if kind == _ALL else (kind,):
        try:
            paths += draw_study(search, folder / "figures", [each], form).values()
        except UsageError as exc:
            if kind != _ALL:
                raise
            if each != "front" or len(result.objectives) > 1:
                note(f"{result.study}: no picture of kind {each}: {exc.message}")
    return [*paths, write_page(result, folder)]
