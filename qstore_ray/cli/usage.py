"""`qstore usage`: what was used on this machine, and what it cost."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, facts, note, say, say_json, table
from qstore_ray.errors import UsageError

if TYPE_CHECKING:
    from qstore_ray.ops.usage.report import UsageReport

EXAMPLES = examples(
    "usage",
    "usage --storage /data/runs --days 30 --json",
    "usage --count on",
)
_MOST = 6


def usage(
    storage: Storage = "runs",
    days: Annotated[
        float | None,
        typer.Option("--days", min=0.0, help="Of the last days only; by default of all time."),
    ] = None,
    count: Annotated[
        str | None,
        typer.Option(
            "--count",
            metavar="on|off",
            help="Begin to count commands in a file of this machine; off deletes the counts.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the runs of a folder have used and what they cost.

    Everything is read from the run folders. Commands are counted only after `--count on`, by name,
    without their arguments. Nothing leaves this machine.
    """
    from qstore_ray.ops.usage.commands import is_counting, switch_counting

    if count is not None:
        if count not in {"on", "off"}:
            raise UsageError(
                "commands are counted or not", field="--count", value=count, fix="Write on or off."
            )
        file = switch_counting(count == "on")
        if as_json:
            say_json({"counting": is_counting(), "file": str(file)})
        else:
            does = "counted in" if count == "on" else "no longer counted; deleted"
            say(f"Commands are {does} {file}.")
        return
    # gate: QS206 because commands are recorded with their date
    since = 0.0 if days is None else time.time() - 86_400.0 * days
    _say(storage, since, as_json)


def _say(storage: str, since: float, as_json: bool) -> None:
    from qstore_ray.ops.usage.commands import counted_commands, is_counting
    from qstore_ray.ops.usage.report import usage_report

    report, commands = usage_report(storage, since), counted_commands(since)
    if as_json:
        counts = {name: asdict(each) for name, each in commands.items()}
        say_json({"storage": storage, **asdict(report), "commands": counts})
        return
    say(facts(_lines(report)))
    if commands:
        rows = [(n, c.times, c.failed, f"{c.seconds:,.1f}") for n, c in commands.items()]
        say("\n" + table(("command", "times", "failed", "seconds"), rows))
    elif not is_counting():
        note("Commands are not counted; `qstore usage --count on` begins to.")


def _lines(report: UsageReport) -> list[tuple[str, Any]]:
    cost = report.cost
    lines = [
        ("runs", _counts(report.runs) or "none"),
        ("searches", str(report.studies)),
        ("seconds", f"{cost.seconds:,.1f} of training"),
        ("epochs", f"{cost.epochs:,}"),
        ("circuits", f"{cost.circuits:,}"),
        ("shots", f"{cost.shots:,}"),
        ("hardware", cost.paid.text() if cost.paid else "no jobs"),
    ]
    lines += [(name, _counts(values)) for name, values in report.features.items()]
    if report.unread:
        lines.append(("unread", f"the configuration of {report.unread} runs"))
    return lines


def _counts(values: Any) -> str:
    shown = [f"{value} ({count:,})" for value, count in list(values.items())[:_MOST]]
    more = len(values) - _MOST
    return ", ".join([*shown, *([f"{more} others"] if more > 0 else [])])
