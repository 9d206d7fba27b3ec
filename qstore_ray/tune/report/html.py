"""`report.html` of a study: what it found, in one file that can be sent to somebody.

It needs no network and no other file. The table of trials is sorted by a click on a column, by the
few lines of script below; without scripts it is in the order of trials. Every text of the study is
escaped when it enters the page, and secrets are hidden.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from qstore_ray.backends.paid import PAID, PaidUsage
from qstore_ray.config import dump_toml
from qstore_ray.data.quality.html import document, listing, section, table
from qstore_ray.errors import UsageError
from qstore_ray.figures.page import REPORT_STYLE, brief, configuration, head, plot
from qstore_ray.figures.study.draw import study_figures
from qstore_ray.track.base import write_atomically
from qstore_ray.track.logs.text import cut, redact, redact_message
from qstore_ray.train.report.execution import without_details
from qstore_ray.tune.report.pictures import search_of
from qstore_ray.tune.study.result import StudyResult
from qstore_ray.tune.study.trial_result import TrialResult

REPORT: Final = "report.html"

_LONGEST_CELL: Final = 120
_MOST_NUMBERS: Final = 20

_STYLE: Final = (
    REPORT_STYLE
    + """
main { max-width: 1180px; }
.plot { margin: 0 0 22px; } .plot svg { display: block; margin: 0 auto; }
pre { font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-x: auto; margin: 0;
  padding: 12px 16px; border-radius: 6px; background: #f4f5f7; }
.beside > pre { flex: 1 1 420px; min-width: 0; max-height: 560px; overflow: auto; }
.beside > div { min-width: 0; }
.sortable th { cursor: pointer; user-select: none; white-space: nowrap; }
.sortable th[aria-sort=ascending]::after { content: " \\25B4"; }
.sortable th[aria-sort=descending]::after { content: " \\25BE"; }
.sortable td { white-space: nowrap; max-width: 340px; overflow: hidden; text-overflow: ellipsis; }
@media (prefers-color-scheme: dark) { pre { background: #14171c; } }
"""
)

# Numbers by size, texts by their letters, dashes last in both directions.
_SCRIPT: Final = """<script>
for (const table of document.querySelectorAll(".sortable table")) {
  const heads = [...table.rows[0].cells], rows = [...table.rows].slice(1);
  const key = (row, k) => {
    const cell = row.cells[k], exact = cell.querySelector("data");
    const text = cell.textContent;
    return exact ? exact.value : /^-?[\\d,]+$/.test(text) ? text.replaceAll(",", "") : text;
  };
  const order = (a, b) => a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b
    : a.localeCompare(b);
  heads.forEach((head, k) => {
    head.tabIndex = 0;
    const sort = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const absent = row => row.cells[k].textContent === "\\u2013";
      rows.sort((a, b) => absent(a) - absent(b) || (up ? 1 : -1) * order(key(a, k), key(b, k)));
      rows.forEach(row => row.parentNode.appendChild(row));
    };
    head.onclick = sort;
    head.onkeydown = event => { if (event.key === "Enter") sort(); };
  });
}
</script>"""


def write_page(result: StudyResult, folder: Path) -> Path:
    """Write `<folder>/report.html` for a study in any state; returns its path.

    Raises:
        RunError: the file cannot be written.
    """
    path = folder / REPORT
    write_atomically(path, render(result))
    return path


def render(result: StudyResult) -> str:
    """The report as the text of an HTML page."""
    parts = [
        _head(result),
        _failures(result),
        _best(result),
        _pictures(result),
        _trials(result),
        _configuration(result),
    ]
    return document(f"{result.study} · search", "".join(parts), _STYLE)


def _head(result: StudyResult) -> str:
    statuses = result.statuses
    goals = [f"{metric} ({way})" for metric, way in result.objectives.items()]
    said = {
        "objectives": ", ".join(goals),
        "trials": result.count_text() or "none",
    }
    tune = result.job.get("tune") or {}
    if tune:
        said["sampler"] = str(tune.get("sampler"))
        said["scheduler"] = str(tune.get("scheduler"))
    badge = "good" if result.best else ("error" if "failed" in statuses else "warning")
    return head(
        result.study, badge, f"{statuses.get('completed', 0)} completed", said, _tiles(result)
    )


def _tiles(result: StudyResult) -> Iterator[tuple[str, str]]:
    if len(result.objectives) == 1 and result.best:
        (metric,) = result.objectives
        (best,) = result.best_trials()
        yield f"best {metric}", f"{best.objectives[metric]:.4g}"
        yield "best trial", str(best.number)
    elif result.best:
        yield "trials on the Pareto front", str(len(result.best))
    yield "trials", f"{len(result.trials):,}"
    seconds = [trial.seconds for trial in result.trials if trial.seconds is not None]
    if seconds:
        yield "seconds, all trials", f"{sum(seconds):,.0f}"
    circuits = [t.circuit_evaluations for t in result.trials if t.circuit_evaluations is not None]
    if circuits:
        yield "circuit evaluations", f"{sum(circuits):,}"
    if used := PaidUsage.of_numbers(result.hardware):
        yield "jobs on hardware", f"{used.jobs:,}"
        yield "QPU seconds", f"{used.seconds:,.1f}"
        if used.money is not None:
            yield "money", f"{used.money:,.2f}"


def _failures(result: StudyResult) -> str:
    rows = [
        [row["count"], redact_message(str(row["cause"])), _numbers(row["trials"])]
        for row in result.failures()
    ]
    return section("Failed trials", table(["count", "cause", "trials"], rows)) if rows else ""


def _numbers(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - _MOST_NUMBERS} more" if len(numbers) > _MOST_NUMBERS else ""
    return ", ".join(map(str, numbers[:_MOST_NUMBERS])) + more


def _best(result: StudyResult) -> str:
    if not result.best:
        return section("Best", '<p class="muted">No trial was completed, so there is no best.</p>')
    front = result.best_trials()
    several = len(result.objectives) > 1
    first = front[0]
    job = redact(tomllib.loads(result.best_toml(first.number)))
    if isinstance(job.get("trainer"), dict):
        job = {**job, "trainer": without_details(job["trainer"])}
    found = {**first.objectives, **first.parameters}
    facts = listing({name: brief(value) for name, value in found.items()})
    shown = f'<div class="beside"><div>{facts}</div><pre>{escape(dump_toml(job))}</pre></div>'
    if not several:
        return section(f"Best: trial {first.number}", shown)
    rows = [[trial.number, *trial.objectives.values()] for trial in front]
    listed = table(["trial", *result.objectives], rows)
    return section("Pareto front", f"{listed}<h3>Trial {first.number}, the first of it</h3>{shown}")


def _pictures(result: StudyResult) -> str:
    drawn, missing = [], []
    for kind, figure in study_figures(search_of(result)):
        if not isinstance(figure, UsageError):
            drawn.append(plot(figure, kind))
        elif kind != "front" or len(result.objectives) > 1:
            missing.append(f"No picture of kind {kind}: {figure.message}.")
    said = "".join(f'<p class="muted">{escape(text)}</p>' for text in missing)
    return section("Pictures", "".join(drawn) + said)


def _trials(result: StudyResult) -> str:
    fields = list(dict.fromkeys(name for trial in result.trials for name in trial.parameters))
    paid = [name for name in PAID if any(trial.hardware.get(name) for trial in result.trials)]
    own = [*result.objectives, *fields, "epochs", "seconds", *(PAID[name] for name in paid)]
    titles = ["trial", "status", *own, "said"]
    rows = [_row(result, trial, fields, paid) for trial in result.trials]
    if not rows:
        return section("Trials", '<p class="muted">None was begun.</p>')
    return section("Trials", f'<div class="sortable">{table(titles, rows)}</div>{_SCRIPT}')


def _row(
    result: StudyResult, trial: TrialResult, fields: Sequence[str], paid: Sequence[str]
) -> list[Any]:
    best = " (best)" if len(result.objectives) == 1 else " (front)"
    said = [f"repeats trial {trial.repeats}"] if trial.repeats is not None else []
    repeated = result.repeated_by.get(trial.number)
    said += [f"repeated by trial {repeated}"] if repeated is not None else []
    said += [redact_message(trial.error)] if trial.error else []
    return [
        trial.number,
        trial.status + (best if trial.number in result.best else ""),
        *(trial.objectives.get(metric) for metric in result.objectives),
        *(_cell(trial.parameters.get(field)) for field in fields),
        len(trial.epochs),
        trial.seconds,
        *(trial.hardware.get(name) for name in paid),
        "; ".join(said),
    ]


def _cell(value: Any) -> Any:
    """Numbers as they are, everything else as text."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return cut(brief(value), _LONGEST_CELL)


def _configuration(result: StudyResult) -> str:
    job = redact(result.job)
    return section("Configuration, before the search", configuration(job))
