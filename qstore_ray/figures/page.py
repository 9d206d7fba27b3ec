"""What the reports of runs and of searches have in common: their look, and parts of a page.

Pictures are SVG or PNG inside the page, turned to light on dark if the reader's system is dark. As
in `data/quality/html.py`, every text is escaped here; matplotlib draws text as paths.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final

from qstore_ray.data.quality.html import listing
from qstore_ray.figures.base import svg
from qstore_ray.track.logs.text import as_text, cut, leaves
from qstore_ray.types import ReadOnlyTable

if TYPE_CHECKING:
    from qstore_ray.figures.base import Picture

_LONGEST: Final = 300

REPORT_STYLE: Final = """
h1 .tag { font-size: 13px; vertical-align: middle; padding: 3px 10px; border-radius: 999px;
  margin-left: 12px; }
h3 { font-size: 14px; margin: 0 0 4px; color: #556; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin-top: 16px; }
.tile { background: #fff; border: 1px solid #e1e4e8; border-radius: 8px; padding: 10px 18px; }
.tile b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 14px; }
.plot img { max-width: 100%; }
.beside { display: flex; flex-wrap: wrap; gap: 26px; align-items: flex-start; }
.config { columns: 2; column-gap: 34px; } .config > div { break-inside: avoid; margin: 0 0 16px; }
.config dl { margin: 0; font-size: 13px; }
.config dd { font: 12.5px/19.5px ui-monospace, "DejaVu Sans Mono", monospace; }
@media (max-width: 760px) { .config { columns: 1; } .curves { grid-template-columns: 1fr; } }
@media (prefers-color-scheme: dark) {
  :root { color-scheme: dark; }
  body { background: #14171c; color: #e3e6ea; }
  section, .tile, th { background: #1d2127; } section, .tile, th, td { border-color: #343b44; }
  .muted, dt, th, h3 { color: #9aa4b0; }
  .error { background: #3b1d1b; } .warning { background: #38260f; } .info { background: #12293a; }
  .good { background: #0f2f27; }
  .plot svg, .plot img { filter: invert(0.9) hue-rotate(180deg); }
}
"""
"""CSS besides that of every page."""


def head(
    name: str, badge: str, status: str, facts: Mapping[str, str], big: Iterable[tuple[str, str]]
) -> str:
    """The top of a report.

    Args:
        badge: how the status is coloured: good, info, warning or error.
        facts: small, below the name. big: names and values, one a tile.
    """
    tiles = "".join(
        f'<div class="tile"><span class="muted">{escape(label)}</span><b>{escape(value)}</b></div>'
        for label, value in big
    )
    return (
        f'<header><h1>{escape(name)}<span class="tag {badge}">{escape(status)}'
        f'</span></h1>{listing(facts)}<div class="tiles">{tiles}</div></header>'
    )


def plot(figure: Picture, name: str) -> str:
    """A figure as part of a page; figures of a page need different names."""
    return f'<div class="plot">{svg(figure, f"{name}-", transparent=True)}</div>'


def image(drawn: bytes, description: str) -> str:
    """A PNG file as part of a page."""
    data = b64encode(drawn).decode()
    shown = escape(description, quote=True)
    return f'<div class="plot"><img alt="{shown}" src="data:image/png;base64,{data}"></div>'


def configuration(config: ReadOnlyTable) -> str:
    """The fields of a job, a list for each of its tables."""
    top = {name: value for name, value in config.items() if not isinstance(value, Mapping)}
    tables = {"run": top, **{k: v for k, v in config.items() if isinstance(v, Mapping)}}
    shown = "".join(
        f"<div><h3>{escape(name)}</h3>{listing({k: brief(v) for k, v in leaves(values)})}</div>"
        for name, values in tables.items()
        if values
    )
    return f'<div class="config">{shown}</div>'


def brief(value: Any) -> str:
    """A value as text of bearable length."""
    return cut(as_text(value), _LONGEST)
