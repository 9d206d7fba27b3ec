"""Comments that suppress a rule on a line: `# gate: QS103 because the parent holds the other end`.

QS001 is such a comment without a reason, QS002 one that suppresses nothing. A comment covers the
statement that it stands in, or the statement below if the comment has a line of its own.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from qstore_ray.review.rules.base import CodeRule, Match, Violation

_SIGN = re.compile(r"#\s*gate:\s*QS")  # without an id, it may be about a gate of a circuit
_FORM = re.compile(r"gate:\s*(QS\d{3}(?:\s*,\s*QS\d{3})*)\b\s*(.*)$")
_BECAUSE = re.compile(r"because\s+\S")

NO_REASON = CodeRule(
    id="QS001",
    title="suppression without a reason",
    reason="A reader has to know why the rule does not hold here, and when the comment can go.",
    suggestion="Write `# gate: QS103 because <reason>`.",
)
"""A suppression that does not say why."""

UNUSED = CodeRule(
    id="QS002",
    title="unused suppression",
    reason="A comment that suppresses nothing today hides the next violation on its line.",
    suggestion="Delete the comment.",
)
"""A suppression of what is not there."""

SUPPRESSION_RULES = (NO_REASON, UNUSED)


class Suppression(NamedTuple):
    """One comment: its line, the line that it covers too, rules, and whether it has a reason."""

    line: int
    covers: int
    rules: tuple[str, ...]
    has_reason: bool


def suppressions_in(text: str) -> list[Suppression]:
    """The comments of a file that suppress a rule.

    Raises:
        SyntaxError: Python cannot read the tokens of the file.
    """
    if not _SIGN.search(text):
        return []
    lines = text.splitlines()
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except tokenize.TokenError as exc:
        raise SyntaxError(str(exc.args[0])) from exc
    comments = (token for token in tokens if token.type == tokenize.COMMENT)
    return [_suppression(token, lines) for token in comments if _SIGN.match(token.string)]


def _suppression(token: tokenize.TokenInfo, lines: Sequence[str]) -> Suppression:
    form = _FORM.search(token.string)
    rules = tuple(re.findall(r"QS\d{3}", form[1])) if form else ()
    line = covers = token.start[0]
    if not token.line[: token.start[1]].strip():  # the rest of its block of comments is between
        covers += 1
        while covers <= len(lines) and lines[covers - 1].lstrip().startswith("#"):
            covers += 1
    return Suppression(line, covers, rules, bool(form and _BECAUSE.match(form[2])))


def without_suppressed(
    path: str,
    comments: Sequence[Suppression],
    found: Iterable[tuple[CodeRule, Match]],
    ran: Collection[str],
) -> Iterator[Violation]:
    """The violations that no comment suppresses, and the faults of the comments themselves.

    Args:
        path: of the file.
        comments: of the file.
        found: what the rules found in it.
        ran: ids of the rules that looked; the suppression of another rule is not called unused.
    """
    used: set[tuple[int, str]] = set()
    for rule, match in found:
        by = [
            comment
            for comment in comments
            if rule.id in comment.rules
            and (match.line <= comment.line <= match.last or comment.covers == match.line)
        ]
        used |= {(comment.line, rule.id) for comment in by}
        if not by:
            yield Violation(path, match.line, rule.id, match.message, rule.suggestion)
    for comment in comments:
        if not comment.has_reason:
            named = ", ".join(comment.rules) or "an unknown rule"
            message = f"This comment suppresses {named} without a reason."
            yield Violation(path, comment.line, NO_REASON.id, message, NO_REASON.suggestion)
        for rule_id in comment.rules:
            if rule_id in ran and (comment.line, rule_id) not in used:
                message = f"Nothing here breaks {rule_id}."
                yield Violation(path, comment.line, UNUSED.id, message, UNUSED.suggestion)
