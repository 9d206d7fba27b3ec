"""A review as SARIF 2.1.0, the JSON that code hosts and editors show beside the lines.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html

GitHub's code scanning asks for more than the form: columns of both ends, a fingerprint under the
name `primaryLocationLineHash`, and texts of at most 1,024 characters in rules.
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from qstore_ray.review.catalogue import RuleText, rule_texts
from qstore_ray.review.flaw import Flaw
from qstore_ray.review.review import ReviewResult
from qstore_ray.types import Table

SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ROOT: Final = "PROJECT"
_DIGITS: Final = re.compile(r"\d+")


def to_sarif(result: ReviewResult, version: str) -> Table:
    """The review as one log with one run.

    Args:
        version: of this package.
    """
    texts = rule_texts()
    used = sorted({flaw.rule for flaw in result.flaws})
    seen: Counter[str] = Counter()
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "qstore review",
                        "version": version,
                        "rules": [_rule(texts[rule]) for rule in used],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {
                    _ROOT: {"description": {"text": "The folder that git manages."}}
                },
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {"level": "note", "message": {"text": note}} for note in result.notes
                        ],
                    }
                ],
                "results": [
                    _result(flaw, used, seen, result.texts.get(flaw.path, ()))
                    for flaw in result.flaws
                ],
            }
        ],
    }


def _rule(text: RuleText) -> Table:
    return {
        "id": text.id,
        "name": text.title,
        "shortDescription": {"text": text.title},
        "fullDescription": {"text": text.reason},
        "help": {"text": text.suggestion},
        "defaultConfiguration": {"level": text.level},
    }


def _result(flaw: Flaw, used: Sequence[str], seen: Counter[str], lines: Sequence[str]) -> Table:
    mark = _fingerprint(flaw)
    seen[mark] += 1
    # The n-th of several alike keeps its number if lines above are added or deleted.
    numbered = f"{mark}:{seen[mark]}"
    found: Table = {
        "ruleId": flaw.rule,
        "ruleIndex": used.index(flaw.rule),
        "level": flaw.level,
        "message": {"text": f"{flaw.message.removesuffix('.')}. {flaw.rewrite}".strip()},
        "locations": [_location(flaw.path, _region(lines, flaw.line, flaw.end_line))],
        "partialFingerprints": {"qstoreReview/v1": numbered, "primaryLocationLineHash": numbered},
    }
    if flaw.also:
        found["relatedLocations"] = [
            {"id": number, **_location(flaw.path, _region(lines, line, line))}
            for number, line in enumerate(flaw.also)
        ]
    return found


def _location(path: str, region: Table) -> Table:
    place = {"uri": quote(os.fsencode(path))}  # names need not be UTF-8
    if path.startswith("/"):
        place["uri"] = f"file://{place['uri']}"
    else:
        place["uriBaseId"] = _ROOT
    return {"physicalLocation": {"artifactLocation": place, "region": region}}


def _region(lines: Sequence[str], line: int, end_line: int) -> Table:
    """From the first character that is no space to the end of the last line.

    Args:
        lines: of the file; none if it cannot be read. A notebook that was written in one line has
            fewer than its code.
    """
    line, end_line = (min(each, len(lines) or each) for each in (line, end_line))
    first, last = (lines[each - 1].rstrip() if lines else "" for each in (line, end_line))
    start, end = len(first) - len(first.lstrip()) + 1, len(last) + 1
    return {"startLine": line, "startColumn": start, "endLine": end_line, "endColumn": end}


def _fingerprint(flaw: Flaw) -> str:
    """Rule, path and message, without the numbers of lines that the message may have."""
    text = f"{flaw.rule} {flaw.path} {_DIGITS.sub('', flaw.message)}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
