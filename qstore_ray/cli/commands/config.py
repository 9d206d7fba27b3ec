"""`qstore config`: what a job file says in full, and what one may say."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from qstore_ray.cli.commands.train import Set, read_job
from qstore_ray.cli.output import AsJson, examples, say, say_json

app = typer.Typer(
    help="Show job files in full, and what they may say.",
    epilog=examples(
        "config show jobs/digits.toml",
        "config schema",
    ),
)


@app.command(
    "show",
    epilog=examples(
        "config show jobs/digits.toml",
        "config show jobs/digits.toml --set trainer.epochs=5 > mine.toml",
        "config show jobs/digits.toml --json",
    ),
)
def show(
    job: Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file.")],
    changes: Set = None,
    as_json: AsJson = False,
) -> None:
    """Print a job file with every default filled in; secrets are hidden."""
    from qstore_ray.config import dump_toml
    from qstore_ray.track.logs.text import redact

    values = redact(read_job(job, changes or []).to_dict())
    if as_json:
        say_json(values)
    else:
        say(dump_toml(values).rstrip("\n"))


@app.command("schema", epilog=examples("config schema > job.schema.json"))
def schema(as_json: AsJson = False) -> None:
    """Print the JSON schema of a job file.

    It gives every field with its type, default and bounds.
    """
    from qstore_ray.job import JobConfig

    values = JobConfig.model_json_schema()
    if as_json:
        say_json(values)
    else:
        say(json.dumps(values, indent=2))
