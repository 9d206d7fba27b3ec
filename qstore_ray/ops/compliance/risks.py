"""The risk register: rules with thresholds, each on a number or a record of the run.

A rule looks at one thing and yields the risks that follow from it, with what was measured. No rule
holds for every run: one that finds nothing adds nothing. The thresholds are conventions, and are
named in the text of the risk, so that a reader can disagree. Rules on the data and
their privacy are in `risks_of_data.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from qstore_ray.backends.paid import PaidUsage
from qstore_ray.ops.compliance.document import LEVELS, Level, Risk
from qstore_ray.ops.compliance.evidence import RunEvidence
from qstore_ray.ops.compliance.risks_of_data import DATA_RULES
from qstore_ray.ops.compliance.search import TRIAL
from qstore_ray.track.logs.text import is_number
from qstore_ray.track.reading.statistics import wilson_interval

Rule: TypeAlias = Callable[[RunEvidence], Iterator[Risk]]

FEW_SHOTS, MORE_SHOTS = 100, 1_000
MANY_TRIALS: Final = 10
NEARLY_SPENT: Final = 0.8
_METRICS: Final = "run.json: metrics"
_ALERT_LEVELS: Final[dict[str, Level]] = {"critical": "high", "warning": "medium", "info": "low"}
_RECORD: Final = "run.json"


def register(evidence: RunEvidence) -> tuple[Risk, ...]:
    """The risks of a run, the highest first."""
    found = [risk for rule in RULES for risk in rule(evidence)]
    return tuple(sorted(found, key=lambda risk: LEVELS.index(risk.level)))


def unreadable(evidence: RunEvidence) -> Iterator[Risk]:
    """Files of the run that cannot be read."""
    for problem in evidence.problems:
        yield Risk(
            "unreadable", "high", "A part of the run's record is lost.", problem, "run folder",
            "Restore the file from a copy, or train the run again.",
        )  # fmt: skip


def unfinished(evidence: RunEvidence) -> Iterator[Risk]:
    """A run that has not finished."""
    summary = evidence.facts.summary
    if summary.status not in {"finished", "damaged"}:
        reason = f": {summary.reason}" if summary.reason else ""
        yield Risk(
            "unfinished", "high", "The model is not the one that the configuration describes.",
            f"status {summary.status}, {summary.epochs} of {summary.epochs_planned or 'unknown'} "
            f"epochs{reason}", _RECORD, "Resume the run.",
        )  # fmt: skip


def alerts(evidence: RunEvidence) -> Iterator[Risk]:
    """Alerts that rules of the watch have opened."""
    for alert in evidence.alerts or ():
        level: Level = _ALERT_LEVELS[alert.severity] if alert.is_open else "low"
        state = "open" if alert.is_open else "closed since"
        yield Risk(
            "alert", level, "A watch of the run found a fault.",
            f"{alert.rule}, {state}: {alert.message} ({alert.value:.4g} against "
            f"{alert.threshold:.4g})", "alerts.jsonl", alert.fix or "See the alert.",
        )  # fmt: skip


def no_better(evidence: RunEvidence) -> Iterator[Risk]:
    """A model that is not better than a simple one, or was compared with none."""
    verdict = evidence.facts.summary.verdict
    if not verdict:
        is_asked = evidence.setting("baseline") is True or evidence.is_federated
        simple = "Score a simple model on the same test rows."
        action = simple if is_asked else "Train with baseline = true."
        yield Risk(
            "baseline", "medium", "Nobody knows whether a simple model does as well.",
            "no verdict is recorded", f"{_RECORD}: verdict", action,
        )  # fmt: skip
    elif not verdict.startswith("better"):
        level: Level = "high" if verdict.startswith("worse") else "medium"
        yield Risk(
            "baseline", level, "A simpler model may do as well or better.",
            verdict, f"{_RECORD}: verdict", "Use the simple model, or say why not.",
        )  # fmt: skip


def overfitted(evidence: RunEvidence) -> Iterator[Risk]:
    """An accuracy of train above the interval of that of test."""
    train, test = (evidence.metrics.get(f"{part}_accuracy") for part in ("train", "test"))
    n = evidence.rows_of("test")
    if train is None or test is None or not n or not 0.0 <= test <= 1.0:
        return
    interval = wilson_interval(round(test * n), n)
    if train > interval.high:
        yield Risk(
            "overfitting", "medium", "The model knows its training rows better than new ones.",
            f"accuracy {train:.4f} on train, {test:.4f} on {n} test rows, whose 95 % interval ends "
            f"at {interval.high:.4f}", _METRICS, "Use fewer parameters, or more rows.",
        )  # fmt: skip


def weak_class(evidence: RunEvidence) -> Iterator[Risk]:
    """A class of which fewer rows are found than missed, or than a guess would find."""
    recalls = {
        name.removeprefix("test_recall_"): value
        for name, value in evidence.metrics.items()
        if name.startswith("test_recall_")
    }
    guess = 1.0 / max(len(recalls), 1)
    for name, recall in recalls.items():
        if recall < max(guess, 0.5):
            level: Level = "high" if recall < guess else "medium"
            yield Risk(
                "weak class", level, f"Rows of the class {name!r} are mostly missed.",
                f"recall {recall:.4f}, a guess among {len(recalls)} classes finds {guess:.4f}",
                _METRICS, "Add rows of this class, or weight them.",
            )  # fmt: skip


def federated(evidence: RunEvidence) -> Iterator[Risk]:
    """What the server of a federation sees, and clients that were left out."""
    if not evidence.is_federated:
        return
    if evidence.setting("federation.secure_sum") is False and evidence.facts.privacy is None:
        yield Risk(
            "federation", "medium", "The server sees the update of each client, which says "
            "something about its rows.", "secure_sum = false, and no privacy",
            "config.toml: federation", "Use secure_sum = true, or federation.privacy.",
        )  # fmt: skip
    left_out = [record.get("excluded") for record in evidence.events("round")]
    excluded = [str(name) for each in left_out if isinstance(each, dict) for name in each]
    if excluded:
        yield Risk(
            "federation", "medium", "Updates of clients were left out.",
            f"{len(excluded)} updates of {', '.join(sorted(set(excluded)))}",
            "metrics.jsonl: round", "Ask these clients for the reason.",
        )  # fmt: skip


def shots(evidence: RunEvidence) -> Iterator[Risk]:
    """Values that are estimated from shots."""
    options = evidence.options("trainer.backend_options")
    number = options.get("shots")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        return
    level: Level = "high" if number < FEW_SHOTS else "medium" if number < MORE_SHOTS else "low"
    yield Risk(
        "shots", level, "Each expectation value is an estimate.",
        f"{number:,} shots: a standard error of at most {number**-0.5:.3g} for an observable "
        "with values ±1", "config.toml: trainer.backend_options.shots", "Use more shots.",
    )  # fmt: skip


def hardware(evidence: RunEvidence) -> Iterator[Risk]:
    """Paid hardware: its budget, its bill, and that this package was not tried on a device."""
    if evidence.setting("trainer.backend") != "ibm":
        return
    device = evidence.options("trainer.backend_options").get("device")
    yield Risk(
        "hardware", "high", "The backend was verified against a stand-in of the service only.",
        f"backend 'ibm', device {device!r}", "config.toml: trainer.backend_options",
        "Compare a small circuit with the simulator before you trust the values.",
    )  # fmt: skip
    if not evidence.options("trainer.backend_options").get("budget"):
        yield Risk(
            "budget", "high", "Nothing limits what the run may spend.", "no budget is set",
            "config.toml: trainer.backend_options.budget", "Set budget = { seconds = … }.",
        )  # fmt: skip
    used = PaidUsage.of_metrics(evidence.metrics)
    limit = evidence.setting("trainer.backend_options.budget.seconds")
    if used is not None and is_number(limit) and used.seconds >= NEARLY_SPENT * limit:
        yield Risk(
            "budget", "medium", f"At least {NEARLY_SPENT:.0%} of the budget is spent.",
            f"{used.seconds:.1f} of {limit:g} seconds", _METRICS,
            "Resume the run with a larger budget, or with fewer shots.",
        )  # fmt: skip
    if used is not None and used.pending_seconds > 0.0:
        yield Risk(
            "budget", "medium", "A part of the bill is a forecast.",
            f"{used.pending_seconds:.1f} of {used.seconds:.1f} seconds", _METRICS,
            "Ask for the ledger again when the jobs are billed.",
        )  # fmt: skip


def simulated(evidence: RunEvidence) -> Iterator[Risk]:
    """A model that no device has run."""
    backend, noise = evidence.setting("trainer.backend"), evidence.setting("trainer.noise")
    if backend not in {"statevector", "aer"}:
        return
    yield Risk(
        "untested hardware", "low", "No quantum computer has run the model.",
        f"backend {backend!r}, {'noise of a model' if noise else 'no noise'}",
        "config.toml: trainer", "Score it with noise, or on a device, before use there.",
    )  # fmt: skip


def fell_back(evidence: RunEvidence) -> Iterator[Risk]:
    """A backend that another one took over from."""
    for step in evidence.facts.summary.fallbacks:
        yield Risk(
            "fallback", "medium", "Two backends have trained the model.",
            f"from {step['from']} to {step['to']} after epoch {step['epoch']}: {step['why']}",
            "metrics.jsonl: warning", "Score the model on the backend that will be used.",
        )  # fmt: skip


def changed_environment(evidence: RunEvidence) -> Iterator[Risk]:
    """Attempts with different packages or machines, and code that no commit has."""
    attempts = evidence.attempts()
    for field in ("packages", "machine", "versions", "commit"):
        values = {str(each[field]) for each in attempts if field in each}
        if len(values) > 1:
            yield Risk(
                "environment", "medium", "Attempts at the run differ in what they ran on.",
                f"{len(values)} different values of {field!r} in {len(attempts)} attempts",
                "run.json: attempts", "Train it once more without a stop.",
            )  # fmt: skip
    commits = [str(each.get("commit", "")) for each in attempts]
    if any(commit.endswith("-dirty") for commit in commits):
        yield Risk(
            "environment", "medium", "The code of the run is in no commit.",
            f"commit {commits[-1] or 'not recorded'}", "run.json: attempts",
            "Commit the changes, and train again.",
        )  # fmt: skip
    elif not any(commits):
        yield Risk(
            "environment", "low", "Nobody knows which commit of the project was run.",
            "no commit is recorded", "run.json: attempts",
            "Start the training inside the project's git work tree.",
        )  # fmt: skip


def chosen(evidence: RunEvidence) -> Iterator[Risk]:
    """The best of many trials, whose validation score is too good."""
    search = evidence.search
    is_scored = any(name.startswith("val_") for name in evidence.metrics)
    if search is None or search.role == TRIAL or not is_scored:
        return  # of other trials and of a refit, no score was the best of several
    level: Level = "medium" if search.trials >= MANY_TRIALS else "low"
    yield Risk(
        "selection", level, "The validation score is that of a winner, and so too good.",
        f"{search.trials} trials of the study {search.study!r} judged by the same rows", "study",
        "Trust the test score, and use the test rows once.",
    )  # fmt: skip


def not_repeated(evidence: RunEvidence) -> Iterator[Risk]:
    """A twin run with other results."""
    for twin in evidence.twins:
        if twin.differing:
            yield Risk(
                "repetition", "medium", "The same configuration gave other results.",
                f"{twin.name}: {len(twin.differing)} of {twin.compared} results differ",
                "run.json of both", "Find the reason: versions, machine, secret noise.",
            )  # fmt: skip


RULES: Final[tuple[Rule, ...]] = (
    unreadable, unfinished, alerts, *DATA_RULES, no_better, overfitted, weak_class,
    federated, shots, hardware, simulated, fell_back, changed_environment, chosen, not_repeated,
)  # fmt: skip
"""All rules, in the order in which risks of one level are listed."""
