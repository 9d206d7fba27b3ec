"""`qstore runs compare`: in what runs differ, and which did best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, note, say, say_json, table
from qstore_ray.errors import UsageError
from qstore_ray.storage.address import shown_place

if TYPE_CHECKING:
    from qstore_ray.track.reading.compare import Comparison
    from qstore_ray.track.reading.metrics import MetricsTracker
    from qstore_ray.train.run.summary import RunSummary

COMPARE_EXAMPLES = examples(
    "runs compare digits-1 digits-2",
    "runs compare digits-1 digits-2 digits-3 --storage /data/runs --json",
)

_BY_EPOCH = ("val_accuracy", "val_loss", "train_accuracy", "train_loss")
_SCORES = (
    "accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "average_precision", "log_loss",
    "hamming", "r2", "mae", "rmse", "loss",
)  # fmt: skip
_NOT_SETTINGS = ("name", "storage")
_LONGEST = 40


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names or folders of runs.")],
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Compare runs: the settings that differ, and their metrics, the best marked with *.

    Metrics by epoch are the best of all epochs. Data and versions that differ are settings, too.
    """
    from qstore_ray.track.reading.compare import compare as compared
    from qstore_ray.train.run.find import find_run
    from qstore_ray.train.run.summary import summarize

    folders = [find_run(run, storage) for run in runs]
    _check(folders)
    summaries = [summarize(folder) for folder in folders]
    trackers = [_tracker(summary) for summary in summaries]
    more = sorted({name for each in trackers for name in each.names if _is_scored(name)})
    candidates = dict.fromkeys([*_BY_EPOCH, *more])
    names = [name for name in candidates if any(name in each.names for each in trackers)]
    found = compared(trackers, names)
    settings = [key for key in found.columns if key != "run" and key not in names]
    metrics = [
        _metrics(row, names, summary) for row, summary in zip(found.rows, summaries, strict=True)
    ]
    best = _best(metrics)
    if as_json:
        say_json(_as_dict(summaries, found, settings, metrics, best))
        return
    say(_as_text(summaries, found, settings, metrics, best))
    for summary in summaries:
        if summary.status != "finished":
            note(f"{summary.name} is {summary.status}. {summary.problem}".rstrip())


def _is_scored(name: str) -> bool:
    """Whether a run was asked to record this metric of val."""
    from qstore_ray.learn.scoring import table_direction

    return name.startswith("val_") and table_direction(name) is not None


def _check(folders: Sequence[Path]) -> None:
    if len(folders) < 2:
        raise UsageError(
            "one run has nothing to be compared with",
            field="RUN",
            value=folders[0].name,
            fix="Name at least two; `qstore runs show` shows one.",
        )
    for folder in folders:
        if folders.count(folder) > 1:
            raise UsageError(
                "the same run is named twice",
                field="RUN",
                value=str(folder),
                fix="Name different runs.",
            )


def _tracker(summary: RunSummary) -> MetricsTracker:
    """The metrics of a run, with everything it was made of as its configuration."""
    from qstore_ray.config import read_toml
    from qstore_ray.track.jsonl import read_records
    from qstore_ray.track.logs.text import redact
    from qstore_ray.track.reading.metrics import MetricsTracker

    config = redact(read_toml(summary.path / "config.toml"))
    made = {key: value for key, value in config.items() if key not in _NOT_SETTINGS}
    made["versions"] = dict(summary.versions)
    made["fingerprint"] = {"data": summary.fingerprints.get("data", "unknown")[:16]}
    records = read_records(summary.path / "metrics.jsonl")
    return MetricsTracker(records, name=summary.name, config=made)


def _metrics(row: Mapping[str, Any], names: Sequence[str], summary: RunSummary) -> dict[str, Any]:
    """The best of every metric by epoch, then what was scored at the end."""
    values = {f"best {name}": row[name] for name in names}
    at_the_end = [f"{split}_{name}" for split in ("test", "baseline") for name in _SCORES]
    values |= {name: summary.metrics.get(name) for name in (*at_the_end, "train_seconds")}
    if summary.seconds is not None:
        values["train_seconds"] = summary.seconds
    return values


def _best(metrics: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The best value of each metric that two runs or more have and that is not the same in all."""
    from qstore_ray.track.reading.metrics import better_mode

    found = {}
    for name in metrics[0]:
        values = [each[name] for each in metrics if each[name] is not None]
        if len(set(values)) > 1 and not name.startswith("baseline"):
            found[name] = (min if better_mode(name) == "min" else max)(values)
    return found


def _as_dict(
    summaries: Sequence[RunSummary],
    found: Comparison,
    settings: Sequence[str],
    metrics: Sequence[Mapping[str, Any]],
    best: Mapping[str, float],
) -> dict[str, Any]:
    runs = [
        {
            "name": summary.name,
            "run_dir": shown_place(summary.path),
            "status": summary.status,
            "settings": {key: row[key] for key in settings},
            "metrics": dict(values),
        }
        for summary, row, values in zip(summaries, found.rows, metrics, strict=True)
    ]
    winners = {
        name: [
            run["name"] for run, values in zip(runs, metrics, strict=True) if values[name] == top
        ]
        for name, top in best.items()
    }
    return {"runs": runs, "best": winners}


def _as_text(
    summaries: Sequence[RunSummary],
    found: Comparison,
    settings: Sequence[str],
    metrics: Sequence[Mapping[str, Any]],
    best: Mapping[str, float],
) -> str:
    rows = [["status", *(summary.status for summary in summaries)]]
    rows += [[key, *(_setting(row[key]) for row in found.rows)] for key in settings]
    for name in metrics[0]:
        values = [each[name] for each in metrics]
        if any(value is not None for value in values):
            rows.append([name, *(_value(value, best.get(name)) for value in values)])
    text = table(["", *(summary.name for summary in summaries)], rows)
    return text if settings else f"{text}\n\nThe settings are the same."


def _setting(value: Any) -> str:
    from qstore_ray.track.logs.text import as_text, cut

    return "-" if value is None else cut(as_text(value), _LONGEST)


def _value(value: float | None, best: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}{' *' if value == best else ''}"
