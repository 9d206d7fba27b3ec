"""`qstore runs`: what is in a folder of runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands import compare, plot, report, sync
from qstore_ray.cli.output import AsJson, Storage, examples, facts, note, say, say_json, table
from qstore_ray.errors import UsageError
from qstore_ray.storage.address import shown_place

if TYPE_CHECKING:
    from qstore_ray.train.run.summary import CheckpointSummary, RunSummary

_STORAGE = "runs"
_LOSS = ("loss", ".4g", "loss ")

app = typer.Typer(
    epilog=examples(
        "runs",
        "runs --storage /data/runs --json",
        "runs show digits",
        "runs compare digits-1 digits-2",
        "runs plot digits --kind loss",
        "runs report digits",
        "runs sync digits",
    )
)
app.command("compare", epilog=compare.COMPARE_EXAMPLES)(compare.compare)
app.command("plot", epilog=plot.PLOT_EXAMPLES)(plot.plot)
app.command("report", epilog=report.REPORT_EXAMPLES)(report.report)
app.command("sync", epilog=sync.SYNC_EXAMPLES)(sync.sync)


@app.callback(invoke_without_command=True)
def _runs(context: typer.Context, storage: Storage = _STORAGE, as_json: AsJson = False) -> None:
    """List, show, compare and draw runs. Without a command: list."""
    command = context.invoked_subcommand
    if command is None:
        list_runs(storage, as_json)
    elif as_json or storage != _STORAGE:
        raise UsageError(
            f"options of `{command}` are written after it",
            fix=f"For example: qstore runs {command} --storage {storage}.",
        )


@app.command("list", epilog=examples("runs list", "runs list --storage /data/runs --json"))
def list_runs(storage: Storage = _STORAGE, as_json: AsJson = False) -> None:
    """List all runs, damaged ones too.

    `val` and `test` are accuracies; of numbers the RMSE, in the target's own units; else the loss.
    """
    from qstore_ray.backends.paid import PaidUsage
    from qstore_ray.cli.shared.paid_text import with_usage
    from qstore_ray.ops.usage.report import study_usage
    from qstore_ray.train.run.find import run_folders, study_folders
    from qstore_ray.train.run.summary import summarize

    summaries = [summarize(path) for path in run_folders(storage)]
    used_by = {path.name: study_usage(path) for path in study_folders(storage)}
    studies = list(used_by)
    paid = {name: used.numbers() for name, used in used_by.items() if used}
    if as_json:
        runs = [_as_dict(summary) for summary in summaries]
        more = {"hardware": paid} if paid else {}
        say_json({"storage": storage, "runs": runs, "studies": studies, **more})
        return
    if summaries:
        header = ("name", "status", "epochs", "val", "test", "started (UTC)", "seconds")
        found = [PaidUsage.of_metrics(summary.metrics) for summary in summaries]
        used = [each.numbers() if each else {} for each in found]
        say(table(*with_usage(header, [_row(summary) for summary in summaries], used)))
        for summary in summaries:
            if summary.problem:
                note(f"{summary.name}: {summary.problem}")
    elif not studies:
        note(f"There are no runs in {storage}.")
    if paid:
        studied = table(*with_usage(("study",), [(name,) for name in paid], list(paid.values())))
        say(f"\n{studied}" if summaries else studied)
    if studies:
        note(f"Studies, for `qstore tune show NAME`: {', '.join(studies)}.")


@app.command(
    "show",
    epilog=examples(
        "runs show digits",
        "runs show digits --storage /data/runs --json",
    ),
)
def show_run(
    run: Annotated[str, typer.Argument(metavar="NAME", help="A run's name, or its folder.")],
    storage: Storage = _STORAGE,
    as_json: AsJson = False,
) -> None:
    """Show all there is to know about one run."""
    from qstore_ray.train.run.find import find_run
    from qstore_ray.train.run.summary import checkpoints, summarize

    path = find_run(run, storage)
    summary, kept = summarize(path), checkpoints(path)
    if as_json:
        say_json({**_as_dict(summary), "checkpoints": kept})
    else:
        say(_as_text(summary, kept))


def _as_dict(summary: RunSummary) -> dict[str, Any]:
    values = asdict(summary)
    values["run_dir"] = shown_place(values.pop("path"))
    return values


def _row(summary: RunSummary) -> tuple[str, ...]:
    return (
        summary.name,
        summary.status,
        _epochs(summary),
        _score(summary, "val"),
        _score(summary, "test"),
        summary.started[:16].replace("T", " ") or "-",
        "-" if summary.seconds is None else f"{summary.seconds:.1f}",
    )


def _epochs(summary: RunSummary) -> str:
    planned = f"/{summary.epochs_planned}" if summary.epochs_planned else ""
    return f"{summary.epochs}{planned}"


def _score(summary: RunSummary, split: str) -> str:
    for name, form, said in (("accuracy", ".4f", ""), ("rmse", ".4g", "RMSE "), _LOSS):
        value = summary.metrics.get(f"{split}_{name}")
        if value is not None:
            return f"{said}{value:{form}}"
    return "-"


def _as_text(summary: RunSummary, kept: list[CheckpointSummary]) -> str:
    from qstore_ray.backends.failover import fallback_text

    lines: list[tuple[str, Any]] = [("name", summary.name), ("status", summary.status)]
    if summary.problem:
        lines.append(("problem", summary.problem))
    lines += [
        ("folder", shown_place(summary.path)),
        ("started", summary.started or "-"),
        ("attempt", summary.attempts or "-"),
        ("epochs", _epochs(summary)),
        ("seconds", "-" if summary.seconds is None else f"{summary.seconds:.1f}"),
    ]
    lines += [("ended because", summary.reason)] if summary.reason else []
    lines += [("fell back", fallback_text(step)) for step in summary.fallbacks]
    lines += [("verdict", summary.verdict)] if summary.verdict else []
    lines += [(name, f"{value:.6g}") for name, value in summary.metrics.items()]
    lines += [(name, f"not defined: {why}") for name, why in summary.missing.items()]
    lines += [(f"{name} fingerprint", value) for name, value in summary.fingerprints.items()]
    lines += [(f"{name} version", value) for name, value in summary.versions.items()]
    lines += [(checkpoint["name"], _checkpoint(checkpoint)) for checkpoint in kept]
    return facts(lines)


def _checkpoint(checkpoint: CheckpointSummary) -> str:
    if checkpoint["problem"]:
        return f"checkpoint, damaged: {checkpoint['problem']}"
    return f"checkpoint, {checkpoint['epoch']} epochs"
