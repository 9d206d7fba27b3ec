"""`qstore data`: which sources there are, what a dataset holds, and datasets prepared once on disk.

A dataset is named by a job file, whose `[dataset]` is loaded, or by a folder that `data prepare`
wrote.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands.train import Set, read_job
from qstore_ray.cli.output import AsJson, Host, Port, examples, facts, note, say, say_json, table

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.job import JobConfig

Target = Annotated[
    str, typer.Argument(metavar="JOB.toml|FOLDER", help="A job file, or a prepared dataset.")
]

app = typer.Typer(
    help="List sources; look at, prepare, check and serve datasets.",
    epilog=examples(
        "data list",
        "data info jobs/digits.toml",
        "data prepare jobs/digits.toml prepared/digits",
        "data verify prepared/digits",
        "data profile jobs/digits.toml digits-profile",
        "data serve datasets",
    ),
)


@app.command("list", epilog=examples("data list", "data list --json"))
def list_sources(as_json: AsJson = False) -> None:
    """List the sources of data and the parameters of each."""
    from qstore_ray.data.sources.base import open_source, source_names

    found = {name: open_source(name) for name in source_names()}
    if as_json:
        say_json({name: adapter.Params.model_json_schema() for name, adapter in found.items()})
        return
    say(
        table(
            ("source", "parameters"),
            [(name, ", ".join(adapter.Params.model_fields)) for name, adapter in found.items()],
        )
    )


@app.command(
    "info",
    epilog=examples(
        "data info jobs/digits.toml",
        "data info jobs/digits.toml --set dataset.seed=3 --json",
        "data info prepared/digits",
    ),
)
def info(target: Target, changes: Set = None, as_json: AsJson = False) -> None:
    """Load a dataset and say what it holds."""
    _, dataset = open_data(target, changes or [])
    if as_json:
        say_json(_described(dataset))
    else:
        say(dataset.describe())


@app.command(
    "prepare",
    epilog=examples(
        "data prepare jobs/digits.toml prepared/digits",
        "data prepare jobs/digits.toml prepared/seed3 --set dataset.seed=3",
    ),
)
def prepare(
    job: Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file.")],
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A new folder, or an address.")],
    changes: Set = None,
    as_json: AsJson = False,
) -> None:
    """Write a job's dataset as Parquet, to be loaded again.

    With the rows go what the preparation learnt from train, and a SHA-256 of every file.
    """
    _, dataset = open_data(job, changes or [])
    path = dataset.save(folder)
    if as_json:
        say_json({"folder": str(path), **_described(dataset)})
    else:
        say(facts([("folder", path), *_facts(dataset)]))


@app.command("verify", epilog=examples("data verify prepared/digits"))
def verify(target: Target, changes: Set = None, as_json: AsJson = False) -> None:
    """Read every row of a dataset and check that none has changed.

    Rows are compared with what was recorded when the dataset was made.
    """
    _, dataset = open_data(target, changes or [])
    rows = {split: sum(len(y) for _, y in dataset.parts(split)) for split in dataset.plans}
    if as_json:
        say_json({"rows": rows, "fingerprint": dataset.fingerprint})
    else:
        say(facts(_facts(dataset)))


@app.command(
    "profile",
    epilog=examples(
        "data profile jobs/digits.toml digits-profile",
        "data profile prepared/digits digits-profile --json",
    ),
)
def profile(
    target: Target,
    folder: Annotated[str, typer.Argument(metavar="OUT", help="Where the page is written.")],
    changes: Set = None,
    as_json: AsJson = False,
) -> None:
    """Check a dataset and write a page about its columns.

    OUT gets profile.html and profile.json. Looks for duplicates, rows shared by splits, rare
    classes, drift, constant columns, outliers.
    """
    from qstore_ray.data.quality.profile import profile as make_profile

    found = make_profile(open_data(target, changes or [])[1])
    _, page = found.write(folder)
    if as_json:
        say_json({"page": str(page), "findings": [asdict(one) for one in found.findings]})
    else:
        rows = [(one.severity, one.check, one.field, one.message) for one in found.findings]
        say(table(("severity", "check", "where", "what"), rows) if rows else "Nothing was found.")
        say(f"\npage: {page}")


@app.command("serve", epilog=examples("data serve datasets", "data serve datasets --port 8400"))
def serve(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where the datasets are kept.")],
    host: Host = "127.0.0.1",
    port: Port = 8321,
) -> None:
    """Serve datasets over HTTP until Ctrl-C.

    The page /docs of the service describes its routes.

    The token that clients must send is read from QSTORE_DATA_TOKEN; without one, only this machine
    is served.
    """
    from pydantic import SecretStr

    from qstore_ray.data.service.server.app import serve as run

    token = os.environ.get("QSTORE_DATA_TOKEN")

    def ready(url: str) -> None:
        note(f"Datasets in {folder} are served at {url}; routes: {url}/docs. Ctrl-C ends it.")

    with contextlib.suppress(KeyboardInterrupt):  # the server has closed by then
        run(folder, host, port, SecretStr(token) if token else None, ready=ready)


def open_data(target: str, changes: list[str]) -> tuple[JobConfig | None, Dataset]:
    """The job, if one is given, and its data; or those of a prepared dataset."""
    from qstore_ray.data.loader import DatasetLoader
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.errors import UsageError
    from qstore_ray.storage.address import is_address

    if Path(target).is_dir() or is_address(target):
        if changes:
            raise UsageError(
                "a prepared dataset is as it is",
                field="--set",
                value=changes[0],
                fix="Give the job file that it was prepared from.",
            )
        return None, Dataset.load(target)
    with contextlib.redirect_stdout(sys.stderr):  # libraries that print while they load
        config = read_job(target, changes)
        return config, DatasetLoader.load(config.dataset)


def _facts(dataset: Dataset) -> list[tuple[str, str]]:
    rows = ", ".join(f"{split} {n}" for split, n in dataset.sizes.items())
    return [("rows", rows), ("fingerprint", dataset.fingerprint)]


def _described(dataset: Dataset) -> dict[str, Any]:
    augmentation = dataset.config.augmentation
    return {
        "name": dataset.config.name,
        "task": dataset.config.task,
        "rows": dataset.sizes,
        "features": dataset.schema.n_features,
        "raw_features": dataset.schema.n_raw_features,
        "classes": list(dataset.classes),
        "class_counts": {name: list(counts) for name, counts in dataset.class_counts.items()},
        "augmentation": None if augmentation is None else augmentation.to_dict(),
        "provenance": dict(dataset.provenance),
        "fingerprint": dataset.fingerprint,
    }
