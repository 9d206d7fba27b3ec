"""`qstore federate`: train a federation from a job file, in this process."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands.train import Set
from qstore_ray.cli.output import AsJson, examples, facts, say, say_json, table
from qstore_ray.cli.shared.existing import existing_of
from qstore_ray.storage.address import shown_place

if TYPE_CHECKING:
    from qstore_ray.federated.job import FederatedJob
    from qstore_ray.federated.result import FederatedResult

EXAMPLES = examples(
    "federate jobs/digits_federated.toml",
    "federate jobs/digits_federated.toml --set federation.rounds=5 --set partition.alpha=0.1",
    "federate jobs/digits_federated.toml --resume --json",
)


def federate(
    job: Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file.")],
    changes: Set = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that was interrupted or failed.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the run of this name and start again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Divide a dataset among clients and train one model by rounds, in this process.

    A round is committed as a whole: a run that is stopped continues with --resume, and ends with
    the same result as without a stop.
    """
    from qstore_ray.federated.job import FederatedJob, run_federated_job

    existing = existing_of("run", resume=resume, fresh=fresh)
    config = FederatedJob.load(job, changes or [])
    with contextlib.redirect_stdout(sys.stderr):
        result = run_federated_job(config, existing=existing)
    if as_json:
        say_json(_as_dict(config, result))
    else:
        say(_as_text(config, result))


def _as_dict(config: FederatedJob, result: FederatedResult) -> dict[str, Any]:
    from qstore_ray.federated.job import bytes_of_a_round

    excluded = {str(each.round): dict(each.excluded) for each in result.history if each.excluded}
    size = bytes_of_a_round(result.theta, config.federation, len(result.shards))
    return {
        "status": "finished",
        "name": config.name,
        "run_dir": shown_place(result.run_dir),
        **result.metrics,
        "rounds": config.federation.rounds,
        "clients": len(result.shards),
        "bytes_per_round": size,
        "parameters": len(result.theta),
        "shards": {name: counts.tolist() for name, counts in result.shards.items()},
        "excluded": excluded,
    }


def _as_text(config: FederatedJob, result: FederatedResult) -> str:
    from qstore_ray.federated.job import bytes_of_a_round

    federation = config.federation
    size = bytes_of_a_round(result.theta, federation, len(result.shards))
    lines: list[tuple[str, Any]] = [("run", shown_place(result.run_dir))]
    if "test_accuracy" in result.metrics:
        lines.append(("test", f"accuracy {result.metrics['test_accuracy']:.4f}"))
    elif "test_loss" in result.metrics:
        lines.append(("test", f"loss {result.metrics['test_loss']:.4g}"))
    hidden = ", secure sums" if federation.secure_sum else ""
    lines.append(("rounds", f"{federation.rounds}, {federation.strategy}{hidden}"))
    asked = federation.per_round(len(result.shards))
    lines.append(("clients", f"{len(result.shards)}, {asked} a round"))
    lines.append(("a round", f"{size:,} bytes of models"))
    for record in result.history:
        lines += [(f"round {record.round}", f"{c}: {why}") for c, why in record.excluded.items()]
    rows = [
        [name, int(counts.sum()), " ".join(map(str, counts.tolist()))]
        for name, counts in result.shards.items()
    ]
    return f"{facts(lines)}\n\n{table(['client', 'rows', 'of each class'], rows)}"
