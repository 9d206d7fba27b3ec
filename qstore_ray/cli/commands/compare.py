"""`qstore runs compare`: in what runs differ, and which did best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, note, say, say_json, table
from qstore_ray.storage.address import shown_place

if TYPE_CHECKING:
    from qstore_ray.train.report.side_by_side import RunsSideBySide

COMPARE_EXAMPLES = examples(
    "runs compare digits-1 digits-2",
    "runs compare digits-1 digits-2 digits-3 --storage /data/runs --json",
)

_LONGEST = 40


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names or folders of runs.")],
    storage: Storage = "runs",
    as_json: AsJson = False,
) -> None:
    """Compare runs: the settings that differ, and their metrics, the best marked with *.

    Metrics by epoch are the best of all epochs. Data and versions that differ are settings, too.
    """
    from qstore_ray.train.report.side_by_side import side_by_side
    from qstore_ray.train.run.find import find_run

    found = side_by_side([find_run(run, storage) for run in runs])
    if as_json:
        say_json(_as_dict(found))
        return
    say(_as_text(found))
    for summary in found.summaries:
        if summary.status != "finished":
            note(f"{summary.name} is {summary.status}. {summary.problem}".rstrip())


def _as_dict(found: RunsSideBySide) -> dict[str, Any]:
    runs: list[dict[str, Any]] = [
        {
            "name": summary.name,
            "run_dir": shown_place(summary.path),
            "status": summary.status,
            "settings": {key: values[place] for key, values in found.settings.items()},
            "metrics": {name: values[place] for name, values in found.metrics.items()},
        }
        for place, summary in enumerate(found.summaries)
    ]
    winners = {
        name: [run["name"] for run in runs if run["metrics"][name] == top]
        for name, top in found.best.items()
    }
    return {"runs": runs, "best": winners}


def _as_text(found: RunsSideBySide) -> str:
    rows = [["status", *(summary.status for summary in found.summaries)]]
    rows += [[key, *map(_setting, values)] for key, values in found.settings.items()]
    for name, values in found.metrics.items():
        if any(value is not None for value in values):
            rows.append([name, *(_value(value, found.best.get(name)) for value in values)])
    text = table(["", *(summary.name for summary in found.summaries)], rows)
    return text if found.settings else f"{text}\n\nThe settings are the same."


def _setting(value: Any) -> str:
    from qstore_ray.track.logs.text import as_text, cut

    return "-" if value is None else cut(as_text(value), _LONGEST)


def _value(value: float | None, best: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}{' *' if value == best else ''}"
