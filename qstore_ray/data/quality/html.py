"""The means of a page: one HTML file that needs no script, no network and no other file.

Every text that is given to these functions is escaped in them, except what is called `content` or
`body`, which is HTML already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""What HTML cannot hold: control characters, and halves of surrogate pairs, which UTF-8 lacks."""

STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #222;
  background: #f4f5f7; margin: 0; }
main { max-width: 1060px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 28px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 0 0 12px; }
section { background: #fff; border: 1px solid #e1e4e8; border-radius: 8px; padding: 18px 22px;
  margin-top: 18px; }
.scroll { overflow: auto; max-height: 560px; }
.muted { color: #667; font-size: 13px; }
code { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: #556; font-weight: 600; position: sticky; top: 0; background: #fff; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid #eceef1; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
td { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 12px 0 0; }
dt { color: #667; } dd { margin: 0; overflow-wrap: anywhere; }
.finding { border-left: 5px solid; border-radius: 4px; padding: 8px 14px; margin: 8px 0; }
.error { border-color: #b3261e; background: #fdecea; }
.warning { border-color: #D55E00; background: #fff4e8; }
.info { border-color: #0072B2; background: #eaf4fb; }
.good { border-color: #009E73; background: #e8f6f1; }
.tag { font-size: 11.5px; font-weight: 700; letter-spacing: .05em; text-transform: uppercase;
  margin-right: 8px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 20px; }
figure { margin: 0; } figcaption { font-size: 13px; font-weight: 600; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; font-family: inherit; }
.key { margin-right: 16px; font-size: 13px; } .key i { display: inline-block; width: 11px;
  height: 11px; border-radius: 2px; margin-right: 6px; }
"""


def document(title: str, body: str, style: str = "") -> str:
    """A whole page.

    Args:
        style: CSS besides the common one.
    """
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
    return _NO_TEXT.sub("\ufffd", page)


def section(title: str, content: str) -> str:
    """A part of a page under its title."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def listing(facts: Mapping[str, str], codes: Mapping[str, str] | None = None) -> str:
    """Names and values, the `codes` last and in a fixed width."""
    said = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    said += "".join(
        f"<dt>{escape(k)}</dt><dd><code>{escape(v)}</code></dd>" for k, v in (codes or {}).items()
    )
    return f"<dl>{said}</dl>"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under a header, numbers to the right; None is a dash.

    Floats are shown in four digits; the page holds them exactly, in `<data value="…">`.
    """
    listed = [[_cell(value) for value in row] for row in rows]
    if not listed:
        return '<p class="muted">none</p>'
    numeric = ['class="n"' in cell for cell in listed[0]]
    top = "".join(
        f"<th{' class=n' * right}>{escape(name)}</th>"
        for name, right in zip(head, numeric, strict=True)
    )
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in listed)
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def _cell(value: str | float | None) -> str:
    if value is None:
        return '<td class="n">–</td>'
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    if isinstance(value, int):
        return f'<td class="n">{value:,}</td>'
    return f'<td class="n"><data value="{value!r}">{value:.4g}</data></td>'
