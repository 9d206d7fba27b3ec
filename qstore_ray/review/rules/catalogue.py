"""The rules that hold for any program that uses this package."""

from __future__ import annotations

from qstore_ray.review.rules import broad_except, pickles, random_state, secret_text, waits
from qstore_ray.review.rules.base import CodeRule
from qstore_ray.review.rules.suppressions import SUPPRESSION_RULES

UNREADABLE = CodeRule(
    id="QS100",
    title="not Python",
    reason="No rule can be checked in a file that Python does not parse.",
    suggestion="Fix the syntax.",
)
"""A file that does not parse."""

CODE_RULES: tuple[CodeRule, ...] = (
    *SUPPRESSION_RULES,
    UNREADABLE,
    random_state.RULE,
    pickles.RULE,
    waits.RULE,
    broad_except.RULE,
    secret_text.RULE,
)
"""In the order of their ids, which are never used again."""
