"""`qstore hardware`: jobs on paid hardware, what they cost, and what a run left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, examples, note, say, say_json, table
from qstore_ray.cli.shared.ledgers import ledger_of, ledgers_of
from qstore_ray.errors import BackendError

if TYPE_CHECKING:
    from qstore_ray.backends.ibm.forecast import HardwareCost
    from qstore_ray.backends.ibm.gateway.reattach import LeftJobs
    from qstore_ray.backends.ibm.ledger.record import HardwareJob
    from qstore_ray.backends.ibm.ledger.replay import LedgerContents

app = typer.Typer(
    help="Show jobs on paid hardware and what they cost; take up, or cancel, what is open.",
    epilog=examples(
        "hardware jobs digits-ibm",
        "hardware usage ledgers/digits --json",
        "hardware reattach digits-ibm",
        "hardware cancel digits-ibm 3f0a",
    ),
)

Ledger = Annotated[
    str,
    typer.Argument(
        metavar="FOLDER",
        help="A ledger's folder, on the node that the gateway runs on; one above several; or a "
        "run's name.",
    ),
]
Account = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", help="A saved account, not the gateway's."),
]
TokenFile = Annotated[
    str | None,
    typer.Option("--token-file", metavar="FILE", help="A file with the API key, of mode 0600."),
]


@app.command(
    "jobs",
    epilog=examples("hardware jobs digits-ibm", "hardware jobs ledgers/digits --json"),
)
def jobs(folder: Ledger, as_json: AsJson = False) -> None:
    """List the jobs with their states.

    `others` counts other jobs at the service with the same tag. Of a job that failed, the jobs
    that ran its parts are named. The gateway may be running.
    """
    _each(ledgers_of(folder), as_json, _jobs_as_dict, _say_jobs)


@app.command(
    "usage",
    epilog=examples("hardware usage ledgers/digits", "hardware usage ledgers/digits --json"),
)
def usage(folder: Ledger, as_json: AsJson = False) -> None:
    """Show what the jobs of a run cost, in all and for each trial.

    A job counts with its forecast until the service says what it bills.
    """
    _each(ledgers_of(folder), as_json, _usage_as_dict, _say_usage)


@app.command(
    "reattach",
    epilog=examples(
        "hardware reattach digits-ibm",
        "hardware reattach ledgers/digits --no-wait --json",
        "hardware reattach ledgers/digits --token-file ~/.ibm-key",
    ),
)
def reattach(
    folder: Ledger,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Ask once for each job, and do not wait for its end.")
    ] = False,
    account: Account = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Take up the jobs that a run left open, and submit nothing.

    Their results are fetched into the ledger, and a run that is resumed uses them. Duplicates are
    cancelled, sessions are closed, and missing usage is asked for. Exit code 4: something is open.
    """
    from qstore_ray.backends.ibm.gateway.reattach import left_jobs

    at = ledger_of(folder)
    with left_jobs(at, account=account, token_file=token_file, wait=not no_wait) as left:
        _say_followed(left, left.follow(wait=not no_wait), as_json)


@app.command(
    "cancel",
    epilog=examples(
        "hardware cancel digits-ibm",
        "hardware cancel ledgers/digits 3f0a --json",
    ),
)
def cancel(
    folder: Ledger,
    tags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TAG]...", help="Of the jobs, or how it begins; by default all."),
    ] = None,
    account: Account = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Cancel open jobs at the service.

    The result of a job that has ended is fetched into the ledger. Exit code 4: something is open.
    """
    from qstore_ray.backends.ibm.gateway.reattach import left_jobs

    with left_jobs(ledger_of(folder), account=account, token_file=token_file) as left:
        _say_followed(left, left.cancel(tags or ()), as_json)


_TAG = 12
"""Digits of a tag in a table."""


def _each(
    folders: Sequence[Path],
    as_json: bool,
    as_dict: Callable[[LedgerContents], dict[str, Any]],
    show: Callable[[LedgerContents], None],
) -> None:
    """Show one ledger after the other; as JSON a single one is the result itself."""
    found = [(folder, _read(folder)) for folder in folders]
    if as_json:
        each = [{**_header(folder, contents), **as_dict(contents)} for folder, contents in found]
        say_json(each[0] if len(each) == 1 else {"ledgers": each})
        return
    for folder, contents in found:
        if len(found) > 1:
            say(f"{folder}:")
        show(contents)


def _read(folder: Path) -> LedgerContents:
    from qstore_ray.backends.ibm.ledger.replay import replay

    contents = replay(folder)
    if contents.notice:
        note(contents.notice)
    return contents


def _jobs_as_dict(contents: LedgerContents) -> dict[str, Any]:
    records = contents.records.values()
    return {
        "jobs": [{**_as_dict(each), "run_again_in": contents.successors(each)} for each in records]
    }


def _say_jobs(contents: LedgerContents) -> None:
    _say_records(list(contents.records.values()))
    for record in contents.records.values():
        if found := contents.successors(record):
            note(f"{record.key[:_TAG]}: run again in {', '.join(key[:_TAG] for key in found)}")


def _say_records(records: Sequence[HardwareJob]) -> None:
    if not records:
        note("There are no jobs.")
        return
    header = ("tag", "state", "job", "executions", "seconds", "others")
    say(table(header, [_row(record) for record in records]))
    for record in records:
        if record.reason:
            note(f"{record.key[:_TAG]}: {record.reason}")


def _usage_as_dict(contents: LedgerContents) -> dict[str, Any]:
    from qstore_ray.backends.ibm.budget import Spending

    spending = Spending.of(contents.records.values())
    return {
        "total": asdict(spending.total),
        "trials": {trial: asdict(cost) for trial, cost in spending.trials.items()},
        "pending_seconds": spending.pending_seconds,
    }


def _say_usage(contents: LedgerContents) -> None:
    from qstore_ray.backends.ibm.budget import Spending

    spending = Spending.of(contents.records.values())
    rows = [_cost_row(trial, cost) for trial, cost in spending.trials.items()]
    header = ("trial", "jobs", "executions", "billed seconds", "money")
    say(table(header, [*rows, _cost_row("all", spending.total)]))
    if spending.pending_seconds:
        note(f"{spending.pending_seconds:.1f} of the seconds are a forecast.")


def _say_followed(left: LeftJobs, records: Sequence[HardwareJob], as_json: bool) -> None:
    """What became of the jobs; exits with 4 if something is left open."""
    unbilled = sum(len(record.unbilled) for record in left.records)
    still = [record.key[:_TAG] for record in left.open]
    if as_json:
        say_json(
            {
                "jobs": [_as_dict(record) for record in records],
                "open": [record.key for record in left.open],
                "open_sessions": left.open_sessions,
                "too_late": sorted(left.too_late),
                "unbilled": unbilled,
                "problems": left.problems,
            }
        )
    elif records:
        _say_records(records)
    else:
        note("No job was open.")
    for tag in sorted(left.too_late):
        note(f"{tag[:_TAG]}: it was too late to cancel this job; it had ended.")
    if unbilled:
        note(f"The service does not say yet what {unbilled} of the jobs cost.")
    for name, problem in left.problems.items():
        note(f"{name[:_TAG]}: {problem}")
    if still:
        note(f"Open jobs: {', '.join(still)}. Run qstore hardware reattach again.")
    if left.open_sessions:
        note(f"Open sessions: {', '.join(left.open_sessions)}. They are billed until they end.")
    if still or left.open_sessions:
        raise typer.Exit(BackendError.exit_code)


def _header(folder: Path, contents: LedgerContents) -> dict[str, Any]:
    owner = contents.owner
    named = {} if owner is None else owner.to_dict()
    return {"ledger": str(folder), **{k: named.get(k) for k in ("run", "instance", "backend")}}


def _row(job: HardwareJob) -> tuple[str, ...]:
    return (
        job.key[:_TAG],
        job.state,
        job.job_id or "-",
        str(job.executions),
        f"{job.usage[job.job_id]:.1f}" if job.job_id in job.usage else "-",
        str(len(job.submitted) - bool(job.job_id)),
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
