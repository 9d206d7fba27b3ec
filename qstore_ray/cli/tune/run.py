"""`qstore tune JOB.toml`: search the best configuration of a job."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands.train import Local, Set, read_job
from qstore_ray.cli.output import AsJson, examples, facts, say, say_json
from qstore_ray.cli.shared.existing import existing_of
from qstore_ray.cli.tune.end import as_dict, as_facts
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.job import JobConfig
    from qstore_ray.train.run.run_folder import Existing
    from qstore_ray.tune.driver.display import SearchDisplay
    from qstore_ray.tune.study.result import StudyResult

RUN_EXAMPLES = examples(
    "tune jobs/digits_tune.toml",
    "tune jobs/digits_tune.toml --trials 100 --concurrency 4 --name digits-100",
    "tune jobs/digits_tune.toml --set tune.sampler=gp --set trainer.epochs=20",
    "tune jobs/digits_tune.toml --resume",
    "tune run jobs/digits_tune.toml --fresh --quiet --json | tail -1",
)


def run(
    job: Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file, with [tune].")],
    changes: Set = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Number of trials (tune.trials).")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seed of the sampler and the scheduler (tune.seed)."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Largest number of trials at the same time (tune.concurrency)."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the study and of its folder (name).")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder in which the study's folder is created (storage)."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue a study; with --trials, to a larger number of trials."
        ),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the study of this name and start again.")
    ] = False,
    local: Local = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Search for the best configuration of a job: train it with one set of values after another.

    Progress goes to stderr, the result to stdout. Ctrl-C ends the trials and exits with 5; the same
    command with --resume continues them. The best job is in best.toml, ready for qstore train.
    """
    existing = existing_of("study", resume=resume, fresh=fresh)
    config = _configured(
        job,
        changes or [],
        {"name": name, "storage": storage, "cluster.address": "local" if local else None},
        {"trials": trials, "seed": seed, "concurrency": concurrency},
    )
    result = _searched(config, existing=existing, shown=not quiet)
    if as_json:
        say_json(as_dict(result, config))
    else:
        say(facts(as_facts(result, config)))


def _configured(
    job: str, changes: list[str], of_job: dict[str, Any], of_tune: dict[str, Any]
) -> JobConfig:
    """The job file with what was typed; options of a search are for a job that has one."""
    typed = [*changes, *_overrides("", of_job)]
    if read_job(job, typed).tune is None:
        raise ConfigError(
            "the job has no [tune] table, so there is nothing to search",
            field="tune",
            value=job,
            fix='Write [tune.space] with for example "model.layers" = '
            '{ type = "int", low = 1, high = 8 }.',
        )
    return read_job(job, [*typed, *_overrides("tune.", of_tune)])


def _overrides(prefix: str, options: dict[str, Any]) -> list[str]:
    """Options that were given, as overrides; a quoted text stays text, even where it is digits."""
    return [
        f"{prefix}{field}={json.dumps(value, ensure_ascii=False)}"
        for field, value in options.items()
        if value is not None
    ]


def _searched(config: JobConfig, *, existing: Existing, shown: bool) -> StudyResult:
    from qstore_ray.job import run_search
    from qstore_ray.track.logs.logging import configure_logging

    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ  # set where `ray job submit` runs it
    configure_logging(json=in_job, level="info" if in_job and shown else "warning")
    display: SearchDisplay | None = None
    if shown:
        from qstore_ray.cli.progress.display import search_display

        display = search_display(sys.stderr)
    # Ray and other libraries print what they have to say where our results go.
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as until_shown:
        if display is not None:
            until_shown.callback(display.close)
        return run_search(config, existing=existing, display=display)
