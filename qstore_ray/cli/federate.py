"""`qstore federate`: train a federation from a job file."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from qstore_ray.cli.commands.train import Set, say_columns
from qstore_ray.cli.output import AsJson, examples, facts, say, say_json, table
from qstore_ray.cli.shared.existing import existing_of
from qstore_ray.storage.address import shown_place

if TYPE_CHECKING:
    from qstore_ray.federated.job import FederatedJob
    from qstore_ray.federated.result import FederatedResult
    from qstore_ray.track.base import Display
    from qstore_ray.train.run.run_folder import Existing

_MOST_ROUNDS: Final = 3
"""That the result names, of those which excluded a client."""

EXAMPLES = examples(
    "federate jobs/digits_federated.toml",
    "federate jobs/digits_federated.toml --set federation.rounds=5 --set partition.alpha=0.1",
    "federate jobs/digits_federated.toml --workers 2",
    "federate jobs/digits_federated.toml --resume --json",
)


def federate(
    job: Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file.")],
    changes: Set = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Ray actors that hold the clients (federation.num_workers); 0 for none.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue a run that was interrupted or failed, or finished with fewer rounds.",
        ),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the run of this name and start again.")
    ] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Divide a dataset among clients and train one model by rounds.

    A round is committed as a whole. Ctrl-C gives up the one under way and exits with 5; the same
    command with --resume takes it again, and ends with the same result as without a stop.
    """
    from qstore_ray.federated.job import FederatedJob

    existing = existing_of("run", resume=resume, fresh=fresh)
    given = [] if workers is None else [f"federation.num_workers={workers}"]
    config = FederatedJob.load(job, [*(changes or []), *given])
    result = _run(config, existing, shown=not quiet)
    if as_json:
        say_json(_as_dict(config, result))
    else:
        say(_as_text(config, result))


def _run(config: FederatedJob, existing: Existing, *, shown: bool) -> FederatedResult:
    from qstore_ray.federated.job import run_federated_job
    from qstore_ray.track.logs.logging import configure_logging

    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ  # set where `ray job submit` runs it
    configure_logging(json=in_job, level="info" if in_job and shown else "warning")
    display: Display | None = None
    if shown:
        from qstore_ray.cli.progress.progress import LoggedProgress
        from qstore_ray.cli.progress.rounds import RoundsProgress

        display = LoggedProgress(config.name) if in_job else RoundsProgress()
    with contextlib.redirect_stdout(sys.stderr):
        return run_federated_job(
            config, existing=existing, display=display, loaded=say_columns if shown else None
        )


def _as_dict(config: FederatedJob, result: FederatedResult) -> dict[str, Any]:
    excluded = {str(each.round): dict(each.excluded) for each in result.history if each.excluded}
    return {
        "status": "finished",
        "name": config.name,
        "run_dir": shown_place(result.run_dir),
        **result.metrics,
        "rounds": config.federation.rounds,
        "clients": len(result.shards),
        "bytes_per_round": _bytes_of_a_round(result),
        "report": shown_place(report)
        if (report := result.run_dir / "report.html").exists()
        else None,
        "privacy": None if result.privacy is None else result.privacy.model_dump(),
        "epsilons": dict(result.epsilons),
        "parameters": len(result.theta),
        "shards": {name: counts.tolist() for name, counts in result.shards.items()},
        "excluded": excluded,
    }


def _as_text(config: FederatedJob, result: FederatedResult) -> str:
    from qstore_ray.federated.rounds import excluded_text
    from qstore_ray.learn.privacy.statement import statement_text

    federation = config.federation
    lines: list[tuple[str, Any]] = [("run", shown_place(result.run_dir))]
    if "test_accuracy" in result.metrics:
        lines.append(("test", f"accuracy {result.metrics['test_accuracy']:.4f}"))
    elif "test_loss" in result.metrics:
        lines.append(("test", f"loss {result.metrics['test_loss']:.4g}"))
    hidden = ", secure sums" if federation.secure_sum else ""
    lines.append(("rounds", f"{federation.rounds}, {federation.strategy}{hidden}"))
    asked = federation.per_round(len(result.shards))
    lines.append(("clients", f"{len(result.shards)}, {asked} a round"))
    lines.append(("a round", f"{_bytes_of_a_round(result):,} bytes to and from the clients"))
    if result.privacy is not None:
        lines.append(("privacy", statement_text(result.privacy)))
    spent = [epsilon for epsilon in result.epsilons.values() if epsilon is not None]
    if spent:
        lines.append(("rows", f"ε of at most {max(spent):.4g} for each row of a client"))
    if (report := _report(result)) is not None:
        lines.append(("report", report))
    excluded = [record for record in result.history if record.excluded]
    lines += [("without", excluded_text(record)) for record in excluded[:_MOST_ROUNDS]]
    if len(excluded) > _MOST_ROUNDS:
        lines.append(("without", f"and others in {len(excluded) - _MOST_ROUNDS} more rounds"))
    rows = [
        [name, int(counts.sum()), " ".join(map(str, counts.tolist()))]
        for name, counts in result.shards.items()
    ]
    return f"{facts(lines)}\n\n{table(['client', 'rows', 'of each class'], rows)}"


def _bytes_of_a_round(result: FederatedResult) -> int:
    """The mean over the rounds of this attempt."""
    moved = [record.sent + record.received for record in result.history]
    return round(sum(moved) / len(moved)) if moved else 0


def _report(result: FederatedResult) -> str | None:
    path = result.run_dir / "report.html"
    return shown_place(path) if path.exists() else None
