"""A review as SARIF 2.1.0, the JSON that code hosts and editors show beside the lines.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
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
                "results": [_result(flaw, used, seen) for flaw in result.flaws],
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


def _result(flaw: Flaw, used: Sequence[str], seen: Counter[str]) -> Table:
    mark = _fingerprint(flaw)
    seen[mark] += 1
    found: Table = {
        "ruleId": flaw.rule,
        "ruleIndex": used.index(flaw.rule),
        "level": flaw.level,
        "message": {"text": f"{flaw.message.removesuffix('.')}. {flaw.rewrite}".strip()},
        "locations": [_location(flaw.path, flaw.line, flaw.end_line)],
        # The n-th of several alike keeps its number if lines above are added or deleted.
        "partialFingerprints": {"qstoreReview/v1": f"{mark}:{seen[mark]}"},
    }
    if flaw.also:
        found["relatedLocations"] = [
            {"id": number, **_location(flaw.path, line, line)}
            for number, line in enumerate(flaw.also)
        ]
    return found


def _location(path: str, line: int, end_line: int) -> Table:
    place = {"uri": quote(os.fsencode(path))}  # names need not be UTF-8
    if path.startswith("/"):
        place["uri"] = f"file://{place['uri']}"
    else:
        place["uriBaseId"] = _ROOT
    return {
        "physicalLocation": {
            "artifactLocation": place,
            "region": {"startLine": line, "endLine": end_line},
        }
    }


def _fingerprint(flaw: Flaw) -> str:
    """Rule, path and message, without the numbers of lines that the message may have."""
    text = f"{flaw.rule} {flaw.path} {_DIGITS.sub('', flaw.message)}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
