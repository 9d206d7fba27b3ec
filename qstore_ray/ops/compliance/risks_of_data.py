"""Rules of the risk register on the data: too few rows, unbalanced classes, what checks found, and
what was promised to the people in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from qstore_ray.data.quality.finding import Finding, Severity
from qstore_ray.ops.compliance.document import Level, Risk
from qstore_ray.ops.compliance.evidence import RunEvidence
from qstore_ray.track.reading.statistics import wilson_interval

if TYPE_CHECKING:
    from qstore_ray.learn.privacy.statement import PrivacyStatement

DataRule: TypeAlias = Callable[[RunEvidence], Iterator[Risk]]

TINY_TEST, SMALL_TEST = 30, 200
UNBALANCED, VERY_UNBALANCED = 3.0, 10.0
LARGE_EPSILON: Final = 10.0
_CLAIM: Final = "privacy.json"
_NOISE: Final = ("trainer.privacy.noise", "federation.privacy.noise")
_MANIFEST: Final = "checkpoint manifest: data"
_LEVELS: Final[dict[Severity, Level]] = {"error": "high", "warning": "medium", "info": "low"}


def few_test_rows(evidence: RunEvidence) -> Iterator[Risk]:
    """No test rows, or so few that the score says little."""
    n = evidence.scored_rows()
    if not any(name.startswith("test_") for name in evidence.metrics):
        yield Risk(
            "test rows", "high", "The model was never scored on rows it had no part in.",
            "no score of test rows is recorded", "run.json: metrics",
            "Give the data a test split.",
        )  # fmt: skip
    elif n is not None and n < SMALL_TEST:
        level: Level = "high" if n < TINY_TEST else "medium"
        yield Risk(
            "test rows", level, f"Fewer than {SMALL_TEST} test rows say little.",
            f"{n} test rows{_width(evidence, n)}", _MANIFEST, "Score more rows.",
        )  # fmt: skip


def _width(evidence: RunEvidence, n: int) -> str:
    accuracy = evidence.metrics.get("test_accuracy")
    if accuracy is None or not n or not 0.0 <= accuracy <= 1.0:
        return ""
    found = wilson_interval(round(accuracy * n), n)
    return f": accuracy {accuracy:.4f}, 95 % interval {found.low:.4f} to {found.high:.4f}"


def no_validation(evidence: RunEvidence) -> Iterator[Risk]:
    """A training that nobody looked at from outside before the test."""
    origin = evidence.origin
    # A refit has the validation rows of its search among those of train.
    if origin is not None and not origin.sizes.get("val") and "merged" not in origin.provenance:
        yield Risk(
            "validation rows", "low", "Settings may have been chosen by the test score.",
            "no validation split", _MANIFEST, "Keep a validation split for choices.",
        )  # fmt: skip


def unbalanced(evidence: RunEvidence) -> Iterator[Risk]:
    """Classes of very different size in train, and classes that a split lacks."""
    origin = evidence.origin
    if origin is None or origin.task != "classification":
        return
    for split, counts in origin.class_counts.items():
        named = zip(origin.class_names, counts, strict=False)
        empty = [name for name, count in named if not count]
        if empty:
            yield Risk(
                "imbalance", "high", f"The split {split} has no row of a class.",
                f"no row of {', '.join(empty[:5])}", _MANIFEST, "Split with stratify = true.",
            )  # fmt: skip
        elif split == "train" and counts and max(counts) >= UNBALANCED * max(min(counts), 1):
            ratio = max(counts) / max(min(counts), 1)
            yield Risk(
                "imbalance", "high" if ratio >= VERY_UNBALANCED else "medium",
                f"The largest class of train is at least {UNBALANCED:g} times the smallest.",
                f"{max(counts):,} rows against {min(counts):,}, {ratio:.1f} times", _MANIFEST,
                "Look at the recall of each class, and weight the rows.",
            )  # fmt: skip


def checked(evidence: RunEvidence) -> Iterator[Risk]:
    """What the quality check found, and data that could not be checked."""
    if evidence.data.findings is None:
        if not evidence.is_federated:
            yield Risk(
                "data check", "medium", "Nobody has checked that the data are still those of the "
                "run.", evidence.data.why or "the data were not loaded again", "this document",
                "Bring the data back, and write the document again.",
            )  # fmt: skip
        return
    alike: dict[tuple[str, Severity], list[Finding]] = {}
    for finding in evidence.data.findings:
        if finding.severity != "info":
            alike.setdefault((finding.check, finding.severity), []).append(finding)
    for (check, severity), found in alike.items():
        first, more = found[0], len(found) - 1
        where = f"{first.field}: " if first.field else ""
        also = f"; and {more} more" if more else ""
        yield Risk(
            f"data: {check}", _LEVELS[severity], "The quality check of the data found a fault.",
            f"{where}{first.message}{also}", "quality check", first.fix or "Look at the rows.",
        )  # fmt: skip


def dropped(evidence: RunEvidence) -> Iterator[Risk]:
    """Rows that were left out because of their values or their class."""
    for field, bad in (("dataset.bad_values", "drop"), ("dataset.rare_classes", "drop")):
        if evidence.setting(field) == bad:
            yield Risk(
                "left out", "low", "Rows were left out, and the model does not know their kind.",
                f"{field} = 'drop'", f"config.toml: {field}",
                "Say in the data sheet which rows are missing.",
            )  # fmt: skip


def without_schema(evidence: RunEvidence) -> Iterator[Risk]:
    """A model that knows its columns by their place alone."""
    model = evidence.model
    if model is not None and model.input.table is None and model.input.image_shape is None:
        yield Risk(
            "schema", "low", "Columns in another order would be taken without a word.",
            f"{model.n_features} features without names", "checkpoint manifest: input",
            "Train on a table with named columns.",
        )  # fmt: skip


def privacy(evidence: RunEvidence) -> Iterator[Risk]:
    """A claim of privacy that is weak, missing, or can be undone."""
    if evidence.facts.privacy is not None:
        yield from _claim(evidence.facts.privacy)
    for field in seeded_noise(evidence):
        yield Risk(
            "privacy", "high", "Whoever knows the seed can subtract the noise.",
            f"{field} = 'seeded'", f"config.toml: {field}", "Use noise = 'secure'.",
        )  # fmt: skip


def is_weak(said: PrivacyStatement) -> bool:
    """Whether nothing is claimed, or so little that the register of risks lists it."""
    return any(_claim(said))


def seeded_noise(evidence: RunEvidence) -> list[str]:
    """The fields of config.toml by which noise can be drawn again from the seed."""
    return [field for field in _NOISE if evidence.setting(field) == "seeded"]


def _claim(said: PrivacyStatement) -> Iterator[Risk]:
    if said.epsilon is None:
        yield Risk(
            "privacy", "high", "The run was to be private, and nothing can be claimed of it.",
            said.why, _CLAIM, "Follow docs/privacy.md, and train again.",
        )  # fmt: skip
        return
    if said.epsilon > LARGE_EPSILON:
        yield Risk(
            "privacy", "medium", f"ε above {LARGE_EPSILON:g} protects little.",
            f"ε = {said.epsilon:.4g} at δ = {said.delta:g}", _CLAIM,
            "Use more noise, fewer epochs, or more rows.",
        )  # fmt: skip
    if said.rows and said.delta * said.rows >= 1.0:
        yield Risk(
            "privacy", "high", f"Publishing one whole {said.unit} at random would keep the claim.",
            f"δ = {said.delta:g}, {said.rows:,} {said.unit}s: δ has to be below 1 / {said.rows:,}",
            _CLAIM, f"Train again with δ of {0.1 / said.rows:.1g} or less.",
        )  # fmt: skip


DATA_RULES: Final[tuple[DataRule, ...]] = (
    few_test_rows, no_validation, unbalanced, checked, dropped, without_schema, privacy,
)  # fmt: skip
