"""The document as one HTML file, which needs no script, no network and no other file.

All text from the run is escaped by the functions of `data/quality/html.py` and `figures/page.py`.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Final

from qstore_ray.data.quality.html import document, section, table
from qstore_ray.figures.page import REPORT_STYLE, head
from qstore_ray.ops.compliance.document import (
    LEVELS,
    MET,
    NOT_MET,
    NOT_RECORDED,
    UNKNOWN,
    ComplianceDocument,
    DocumentPart,
    DocumentSection,
    PointAnswer,
    StatedFact,
)

_KINDS: Final = {"high": "error", "medium": "warning", "low": "info"}
_BADGES: Final[dict[PointAnswer, str]] = {MET: "good", NOT_MET: "error", UNKNOWN: "info"}
_STYLE: Final = """
.facts { display: grid; grid-template-columns: minmax(120px, 220px) 1fr; gap: 2px 18px; }
.facts dd small { margin-left: 12px; }
.finding + h3, dl + h3, .scroll + h3 { margin-top: 20px; }
.none { font-style: italic; }
.ask { border-color: #8250a8; background: #f5effa; }
nav a { margin-right: 16px; white-space: nowrap; }
.finding { overflow-wrap: anywhere; } .finding p { margin: 2px 0; }
@media (max-width: 560px) { .facts { grid-template-columns: 1fr; } .facts dt { margin-top: 8px; }
  .facts dd small { display: block; margin: 0; }
  main { padding: 16px 10px 40px; } section { padding: 14px 12px; } }
@media (prefers-color-scheme: dark) { .ask { background: #2b2036; } a { color: #8ab4f8; } }
"""


def rendered(found: ComplianceDocument) -> str:
    """The document as HTML."""
    answers = Counter(point.answer for point in found.points)
    levels = Counter(risk.level for risk in found.risks)
    big = [
        *((f"{level} risks", str(levels[level])) for level in LEVELS),
        *((answer, f"{answers[answer]} of {len(found.points)}") for answer in _BADGES),
        ("open questions", str(len(found.questions()))),
    ]
    worst = next((level for level in LEVELS if levels[level]), None)
    badge = "good" if worst is None else _KINDS[worst]
    status = "no risk found" if worst is None else f"{worst} risk"
    top = head(found.run, badge, status, {"written": found.written.replace("T", " ")}, big)
    parts = [
        top,
        _contents(found),
        _risks(found),
        _maturity(found),
        _questions(found),
        *(_part(part) for part in found.parts),
    ]
    return document(f"{found.run} · compliance", "".join(parts), REPORT_STYLE + _STYLE)


def _contents(found: ComplianceDocument) -> str:
    names = [("risks", "Risk register"), ("maturity", "Maturity"), ("questions", "Open questions")]
    names += [(part.key, part.title) for part in found.parts]
    links = " ".join(f'<a href="#{escape(key)}">{escape(name)}</a>' for key, name in names)
    return f"<section><nav>{links}</nav></section>"


def _risks(found: ComplianceDocument) -> str:
    said = "".join(
        f'<div class="finding {_KINDS[risk.level]}"><span class="tag">{escape(risk.level)}</span>'
        f"<b>{escape(risk.risk)}</b><p>{escape(risk.measured)}</p>"
        f'<p>{escape(risk.action)} <span class="muted">{escape(risk.rule)} · '
        f"{escape(risk.source)}</span></p></div>"
        for risk in found.risks
    )
    none = '<p class="muted">No rule has found a risk.</p>'
    return f'<div id="risks">{section("Risk register", said or none)}</div>'


def _maturity(found: ComplianceDocument) -> str:
    said = "".join(
        f'<div class="finding {_BADGES[point.answer]}"><span class="tag">{escape(point.answer)}'
        f"</span><b>{escape(point.number)}</b> {escape(point.asks)}<p>{escape(point.because)} "
        f'<span class="muted">{escape(point.source)}</span></p></div>'
        for point in found.points
    )
    model = f'<p class="muted">{escape(found.rubric)}</p>'
    return f'<div id="maturity">{section("Maturity, point by point", model + said)}</div>'


def _questions(found: ComplianceDocument) -> str:
    asked = "".join(f'<div class="finding ask">{escape(each)}</div>' for each in found.questions())
    said = '<p class="muted">No run can answer these. Whoever releases the model does.</p>'
    return f'<div id="questions">{section("Open questions", said + asked)}</div>'


def _part(part: DocumentPart) -> str:
    follows = f'<p class="muted">{escape(part.follows)}</p>' if part.follows else ""
    body = follows + "".join(map(_section, part.sections))
    return f'<div id="{escape(part.key)}">{section(part.title, body)}</div>'


def _section(found: DocumentSection) -> str:
    facts = "".join(map(_fact, found.facts))
    parts = [f"<h3>{escape(found.title)}</h3>"]
    if facts:
        parts.append(f'<dl class="facts">{facts}</dl>')
    for each in found.tables:
        rows = [[_cell(value) for value in row] for row in each.rows]
        parts.append(f'<p class="muted">{escape(each.title)} · {escape(each.source)}</p>')
        parts.append(table(list(each.head), rows))
    parts += [f'<div class="finding ask">{escape(each)}</div>' for each in found.questions]
    return "".join(parts)


def _fact(fact: StatedFact) -> str:
    value = (
        f'<span class="none">{NOT_RECORDED}</span>'
        if fact.value is None
        else escape(str(fact.value))
    )
    return (
        f"<dt>{escape(fact.name)}</dt>"
        f'<dd>{value}<small class="muted">{escape(fact.source)}</small></dd>'
    )


def _cell(value: object) -> str | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        return str(value)
    return value
