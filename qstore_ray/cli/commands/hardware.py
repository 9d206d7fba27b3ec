"""`qstore hardware`: the jobs on paid hardware, and what they cost, as a ledger says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, examples, note, say, say_json, table
from qstore_ray.errors import UsageError

if TYPE_CHECKING:
    from qstore_ray.backends.ibm.forecast import HardwareCost
    from qstore_ray.backends.ibm.ledger.record import HardwareJob
    from qstore_ray.backends.ibm.ledger.replay import LedgerContents

app = typer.Typer(
    help="Show jobs on paid hardware and what they cost, as a ledger says.",
    epilog=examples("hardware jobs ledgers/digits", "hardware usage ledgers/digits --json"),
)

Ledger = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="A ledger's folder, on the node that the gateway runs on."
    ),
]


@app.command(
    "jobs",
    epilog=examples("hardware jobs ledgers/digits", "hardware jobs ledgers/digits --json"),
)
def jobs(folder: Ledger, as_json: AsJson = False) -> None:
    """List the jobs with their states.

    `duplicates` counts other jobs at the service with the same tag. The gateway may be running.
    """
    contents = _read(folder)
    records = list(contents.records.values())
    if as_json:
        say_json({**_header(folder, contents), "jobs": [_as_dict(record) for record in records]})
    elif records:
        header = (
            "tag", "state", "job", "trials", "executions", "seconds", "duplicates", "changed (UTC)",
        )  # fmt: skip
        say(table(header, [_row(record) for record in records]))
        for record in records:
            if record.reason:
                note(f"{record.key[:_TAG]}: {record.reason}")
    else:
        note(f"There are no jobs in {folder}.")


@app.command(
    "usage",
    epilog=examples("hardware usage ledgers/digits", "hardware usage ledgers/digits --json"),
)
def usage(folder: Ledger, as_json: AsJson = False) -> None:
    """Show what the jobs of a run cost, in all and for each trial.

    A job counts with its forecast until the service says what it bills.
    """
    from qstore_ray.backends.ibm.budget import Spending

    contents = _read(folder)
    spending = Spending.of(contents.records.values())
    if as_json:
        costs = {trial: asdict(cost) for trial, cost in spending.trials.items()}
        say_json(
            {
                **_header(folder, contents),
                "total": asdict(spending.total),
                "trials": costs,
                "pending_seconds": spending.pending_seconds,
            }
        )
        return
    rows = [_cost_row(trial, cost) for trial, cost in spending.trials.items()]
    header = ("trial", "jobs", "executions", "billed seconds", "money")
    say(table(header, [*rows, _cost_row("all", spending.total)]))
    if spending.pending_seconds:
        note(f"{spending.pending_seconds:.1f} of the seconds are a forecast.")


_TAG = 12
"""Digits of a tag in a table."""


def _read(folder: Path) -> LedgerContents:
    from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay

    if not (folder / LEDGER).exists():
        below = ", ".join(sorted(str(path.parent) for path in folder.glob(f"*/{LEDGER}")))
        raise UsageError(
            "no ledger is in this folder",
            field="FOLDER",
            value=str(folder),
            fix=f"Give one of: {below}." if below else "Give the folder of a ledger.",
        )
    contents = replay(folder)
    if contents.notice:
        note(contents.notice)
    return contents


def _header(folder: Path, contents: LedgerContents) -> dict[str, Any]:
    owner = contents.owner
    named = {} if owner is None else owner.to_dict()
    return {"ledger": str(folder), **{k: named.get(k) for k in ("run", "instance", "backend")}}


def _row(job: HardwareJob) -> tuple[str, ...]:
    return (
        job.key[:_TAG],
        job.state,
        job.job_id or "-",
        ", ".join(_trials(job)),
        str(job.executions),
        f"{job.usage[job.job_id]:.1f}" if job.job_id in job.usage else "-",
        str(len(job.submitted) - bool(job.job_id)),
        job.changed[:19].replace("T", " "),
    )


def _trials(job: HardwareJob) -> list[str]:
    return list(dict.fromkeys(request.trial for request in job.requests))


def _as_dict(job: HardwareJob) -> dict[str, Any]:
    values = asdict(job)
    del values["requests"], values["checksums"]
    return {**values, "trials": _trials(job), "executions": job.executions}


def _cost_row(name: str, cost: HardwareCost) -> tuple[str, ...]:
    money = "-" if cost.money is None else f"{cost.money:.2f}"
    return (name, str(cost.jobs), str(cost.executions), f"{cost.billed_seconds:.1f}", money)
