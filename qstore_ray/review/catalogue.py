"""Every rule of a review as text: what `--rules` prints, and what SARIF says of it."""

from __future__ import annotations

from typing import NamedTuple

from qstore_ray.review.flaw import Level
from qstore_ray.review.rules import CODE_RULES
from qstore_ray.review.training import TRAINING_RULES


class RuleText(NamedTuple):
    """A rule for readers; `level` is that of most of what it finds."""

    id: str
    title: str
    level: Level
    reason: str
    suggestion: str


CODE_LEVELS: dict[str, Level] = {
    "QS001": "warning",
    "QS002": "note",
    "QS100": "error",
    "QS105": "error",
}
"""Levels of the rules in `rules/`; those that are not named are warnings."""

_OTHERS = (
    RuleText(
        "QS120",
        "duplicate",
        "warning",
        "Of two copies, one is fixed and the other one is not.",
        "Make them one function, and call it from both places.",
    ),
    RuleText(
        "QS121",
        "complexity",
        "warning",
        "Every path needs a test, and a reader has to hold all of them in mind.",
        "Give each case a function of its own with a name, or the cases a table.",
    ),
    RuleText(
        "QS122",
        "often-fixed",
        "warning",
        "What was fixed again and again has no test of its law, or too many duties.",
        "Write a test of the law that the fixes restore, or split the function.",
    ),
    RuleText(
        "QS130",
        "remark-of-a-model",
        "note",
        "A language model remarks on this line. It may be wrong.",
        "Check the remark.",
    ),
)


def rule_texts() -> dict[str, RuleText]:
    """Every rule by its id, sorted."""
    found = list(_OTHERS)
    found += [
        RuleText(
            rule.id, rule.title, CODE_LEVELS.get(rule.id, "warning"), rule.reason, rule.suggestion
        )
        for rule in CODE_RULES
    ]
    found += [
        RuleText(rule.id, rule.title, rule.level, rule.reason, f"Write for example: {rule.good}")
        for rule in TRAINING_RULES.values()
    ]
    return {rule.id: rule for rule in sorted(found)}
