"""The page of a run's report: what `RunFacts` holds, as HTML with its pictures inside.

Curves, matrix and circuit are the figures of `qstore_ray.figures`. All text from the run is
escaped by the functions of `figures/page.py` and `data/quality/html.py`, or drawn as paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any, Final, NamedTuple

from qstore_ray.backends.failover import on_last_backend
from qstore_ray.circuits.template import Template
from qstore_ray.data.quality.html import document, listing, section, table
from qstore_ray.figures.base import drawn_names
from qstore_ray.figures.circuit import circuit_figure
from qstore_ray.figures.confusion import class_scores
from qstore_ray.figures.curves import CURVES, unit_of
from qstore_ray.figures.page import REPORT_STYLE, brief, configuration, head, image, plot
from qstore_ray.figures.run import CONFUSION, run_pictures
from qstore_ray.learn.privacy.statement import statement_text
from qstore_ray.track.logs.text import cut, leaves
from qstore_ray.track.reading.metrics import MetricsTracker, better_mode
from qstore_ray.train.report.execution import execution, scored_ways, without_details
from qstore_ray.train.report.facts import ModelFacts, RunFacts
from qstore_ray.train.report.federation import federation_section

_LONGEST: Final = 300
_MOST_EVENTS: Final = 200

_BADGES: Final[Mapping[str, str]] = {
    "finished": "good",
    "running": "info",
    "interrupted": "warning",
}


class DrawnRun(NamedTuple):
    """PNG files of the figures of a run, by name, and the page that has them inside."""

    figures: dict[str, bytes]
    page: str


def draw(facts: RunFacts, curves: Mapping[str, bytes] | None = None) -> DrawnRun:
    """Draw the figures of a run, each once, and the page.

    Args:
        curves: what `figures.run.run_curves` has drawn of its records already.

    Raises:
        ConfigError: the matrix is not one of counts, or the classes do not fit it.
    """
    classes = list(facts.classes) or None
    figures = run_pictures(
        facts.summary.name, facts.records, facts.confusion, classes, curves=curves
    )
    return DrawnRun(figures, _rendered(facts, figures))


def _rendered(facts: RunFacts, figures: Mapping[str, bytes]) -> str:
    parts = [
        _head(facts),
        _messages(facts),
        _results(facts),
        _curves(figures),
        federation_section(facts.records),
        _classes(facts, figures),
        _data(facts),
        _circuit(facts),
        _execution(facts),
        _privacy(facts),
        _config(facts),
        _kept(facts),
        _environment(facts),
    ]
    return document(f"{facts.summary.name} · run", "".join(parts), REPORT_STYLE)


def _head(facts: RunFacts) -> str:
    summary = facts.summary
    badge = _BADGES.get(summary.status, "error")
    unit = f"{unit_of(facts.records)}s"
    said = {
        "started": summary.started.replace("T", " ") or "unknown",
        unit: f"{summary.epochs} of {summary.epochs_planned or 'an unknown number'}",
        "attempts": str(summary.attempts or "unknown"),
        "folder": str(summary.path),
    }
    if summary.reason:
        said["ended because"] = summary.reason
    return head(summary.name, badge, summary.status, said, _headline(facts))


def _headline(facts: RunFacts) -> Iterator[tuple[str, str]]:
    metrics = facts.summary.metrics
    if "balanced accuracy" in facts.summary.verdict:
        score = "balanced_accuracy"
    elif "test_r2" in metrics:
        score = "r2"
    else:
        score = "accuracy" if any(name.endswith("_accuracy") for name in metrics) else "loss"
    form = "{:.2%}" if score.endswith("accuracy") else "{:.4g}"
    for name, part in (("test", "test"), ("baseline", "baseline"), ("validation", "val")):
        if f"{part}_{score}" in metrics:
            yield (
                f"{name} {score.replace('_', ' ').replace('r2', 'R²')}",
                form.format(metrics[f"{part}_{score}"]),
            )
    if facts.model is not None:
        yield "parameters", f"{facts.model.n_parameters:,}"
    if facts.summary.seconds is not None:
        yield "seconds", f"{facts.summary.seconds:,.1f}"
    if "samples_per_second" in metrics:
        yield "samples a second", f"{metrics['samples_per_second']:,.0f}"


def _messages(facts: RunFacts) -> str:
    """What could not be read, and what the run warned of and noted, in the order of writing."""
    said = [("error", problem, "") for problem in facts.problems]
    for record in facts.records:
        kind = record.get("event")
        if kind in {"warning", "note"} and "excluded" not in record:  # they have a table
            rest = {k: v for k, v in record.items() if k not in {"event", "message"}}
            details = ", ".join(f"{name} {brief(value)}" for name, value in leaves(rest))
            said.append(("warning" if kind == "warning" else "info", record["message"], details))
    if not said:
        return ""
    shown = "".join(
        f'<div class="finding {kind}">{escape(str(text))} <span class="muted">{escape(details)}'
        "</span></div>"
        for kind, text, details in said[:_MOST_EVENTS]
    )
    left = len(said) - _MOST_EVENTS
    more = f'<p class="muted">and {left} more in metrics.jsonl</p>' if left > 0 else ""
    return section("Warnings and notes", shown + more)


def _results(facts: RunFacts) -> str:
    metrics = facts.summary.metrics
    if not metrics:
        return section("Results", '<p class="muted">No epoch was completed.</p>')
    tracker = MetricsTracker(facts.records)
    rows: list[list[Any]] = []
    for name, value in metrics.items():
        best = tracker.best(name) if name in tracker.names and better_mode(name) else None
        known = [best.value, best.epoch + 1] if best else [None, None]
        rows.append([name.replace("_", " "), value, *known])
    verdict = _verdict(facts.summary.verdict, metrics)
    shown = table(["metric", "at the end", "best", f"in {unit_of(facts.records)}"], rows)
    without = [] if "val_loss" in metrics else ["There was no validation split."]
    without += [] if "test_loss" in metrics else ["The run was not scored on a test split."]
    without += [
        f"{name.replace('_', ' ')} cannot be computed: {why}."
        for name, why in facts.summary.missing.items()
    ]
    missing = f'<p class="muted">{escape(" ".join(without))}</p>' if without else ""
    return section("Results", verdict + shown + missing)


def _verdict(said: str, metrics: Mapping[str, Any]) -> str:
    if not said and not any(name.startswith("baseline_") for name in metrics):
        return '<p class="muted">There is no classical baseline to compare with.</p>'
    blind = "finds no row" in said
    good = said.startswith("better") and not blind
    kind = "good" if good else "info" if not blind and said.startswith("not") else "warning"
    text = f"The model is {said}." if said else "There is no verdict on record."
    kind = kind if said else "info"
    return f'<div class="finding {kind}">{escape(text)}</div>'


def _curves(figures: Mapping[str, bytes]) -> str:
    drawn = [(kind.replace("_", " "), figures[kind]) for kind in CURVES if kind in figures]
    shown = "".join(image(png, f"{kind} by epoch") for kind, png in drawn)
    return section("Curves", f'<div class="curves">{shown}</div>') if shown else ""


def _classes(facts: RunFacts, figures: Mapping[str, bytes]) -> str:
    if not facts.about or not facts.about["classes"]:
        return ""
    if facts.confusion is None:
        said = "There is no confusion matrix: the model was not scored on test rows for this page."
        return section("Classes", f'<p class="muted">{said}</p>')
    names = list(facts.classes)
    scores = class_scores(facts.confusion, names)
    rows = [[name, *score[1:]] for name, score in zip(drawn_names(names), scores, strict=True)]
    scored = table(["class", "rows", "precision", "recall", "F1"], rows)
    drawn = image(figures[CONFUSION], "confusion matrix")
    return section("Classes, on the test split", f'<div class="beside">{drawn}{scored}</div>')


def _data(facts: RunFacts) -> str:
    settings = facts.config.get("dataset", {})
    said = {"name": str(settings.get("name", "unknown"))}
    said |= {name: str(value) for name, value in facts.provenance.items()}
    starts = [r for r in facts.records if r.get("event") == "start"]
    sizes = dict(facts.sizes)
    if not sizes and starts and "rows" in starts[-1]:
        sizes["train"] = int(starts[-1]["rows"])
    if sizes:
        said["rows"] = ", ".join(f"{split} {rows:,}" for split, rows in sizes.items())
    if facts.about:
        said["features"] = f"{facts.about['n_features']:,}"
    if facts.classes:
        said["classes"] = cut(", ".join(drawn_names(facts.classes)), _LONGEST)
    prints = facts.summary.fingerprints
    data = {"fingerprint": prints["data"]} if "data" in prints else {}
    return section("Data", listing(said, data))


def _circuit(facts: RunFacts) -> str:
    if facts.model is None:
        why = "Without a readable checkpoint the circuit is not known."
        return section("Circuit", f'<p class="muted">{why}</p>')
    model = facts.model
    drawn = circuit_of(model)
    sizes = ", ".join(f"{name} {n:,}" for name, n in model.sizes.items() if n)
    observables = cut(", ".join(model.observables), _LONGEST)
    said = {"trained numbers": sizes, "observables": observables, "loss": model.loss}
    return section("Circuit", f"{drawn}{listing(said)}")


def circuit_of(model: ModelFacts) -> str:
    """The circuit of a model as part of the page; the last one drawn is kept."""
    return _circuit_drawn(model.template, model.circuit, tuple(model.wires))


@lru_cache(maxsize=1)
def _circuit_drawn(template: Template, name: str, wires: tuple[int, ...]) -> str:
    return plot(circuit_figure(template, name, wires), "circuit")


def _execution(facts: RunFacts) -> str:
    """How circuits were computed; what the test rows scored exactly, that way and mitigated."""
    if not facts.config:
        return ""
    trainer = on_last_backend(facts.config.get("trainer", {}), facts.summary.fallbacks)
    shown = listing(dict(execution(trainer)))
    ways = scored_ways(facts.summary.metrics, facts.sizes.get("test"), trainer)
    if len(ways) > 1:
        rows = [
            [
                way.said,
                f"{way.accuracy:.2%}",
                f"{way.interval.low:.2%} to {way.interval.high:.2%}" if way.interval else None,
            ]
            for way in ways
        ]
        shown += table(["test rows", "accuracy", "95 % interval"], rows)
    return section("Execution", shown)


def _privacy(facts: RunFacts) -> str:
    """What is claimed of a private run, and what the claim is not about."""
    said = facts.privacy
    if said is None:
        return ""
    what = "row's gradient" if said.unit == "row" else f"{said.unit}'s change of θ"
    clip = "none" if said.clip is None else f"norm {said.clip:g} for each {what}"
    known = {
        "claim": statement_text(said),
        "neighbours": said.neighbours,
        "noise": f"standard deviation {said.noise_multiplier:.4g} times the clipping norm",
        "clipping": clip,
        "sampling": f"{said.sampling}; rate {said.sample_rate:.4g} of {said.rows:,} {said.unit}s",
        "account": f"{said.accountant}, over {said.releases:,} noisy sums",
        "outside the claim": "; ".join(said.outside),
    }
    return section("Privacy", listing(known))


def _config(facts: RunFacts) -> str:
    config, prints = facts.config, facts.summary.fingerprints
    if not config:
        return ""
    made = {"fingerprint": prints["configuration"]} if "configuration" in prints else {}
    if isinstance(config.get("trainer"), dict):
        config = {**config, "trainer": without_details(config["trainer"])}
    return section("Configuration", configuration(config) + listing({}, made))


def _kept(facts: RunFacts) -> str:
    rows = [[c["name"], c["epoch"], c["step"], c["problem"] or "sound"] for c in facts.checkpoints]
    shown = table(["checkpoint", "epochs", "steps", "state"], rows)
    if facts.models:
        head = ["model", "epoch", "step", "monitor", "value", "kept because"]
        kept = [
            [*(entry.get(key) for key in head[:5]), ", ".join(map(str, entry.get("why", ())))]
            for entry in facts.models
        ]
        shown += f"<h3>Kept models</h3>{table(head, kept)}"
    return section("Checkpoints", shown)


def _environment(facts: RunFacts) -> str:
    versions: Sequence[Sequence[Any]] = list(facts.summary.versions.items())
    return section("Environment", table(["package", "version"], versions))
