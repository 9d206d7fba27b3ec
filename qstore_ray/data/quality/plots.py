"""Plots as inline SVG, drawn by hand: bars, stacked bars, step lines and shaded cells.

An SVG inside an HTML page needs no name space, no font and no other file, its text is the page's
text, and a column may be called anything: every word is escaped here, in `_text`. The colours are
Okabe and Ito's (2008), which remain distinct under every common colour blindness.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
PALETTE: Final = (BLUE, VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LONGEST: Final = 22
_LEFT: Final = 64.0
_LINE: Final = 14.0


def lines(
    edges: Sequence[float], counts: Sequence[Sequence[int]], width: float = 300, height: float = 120
) -> str:
    """Step lines of `counts[series][bin]`, each as a share of its own rows, filled lightly."""
    shares = [[n / max(sum(series), 1) for n in series] for series in counts]
    top = max((max(series, default=0.0) for series in shares), default=0.0) or 1.0
    floor, step = height - 18, width / max(len(edges) - 1, 1)
    parts = []
    for k, series in enumerate(shares):
        points = [(0.0, floor)]
        for place, share in enumerate(series):
            y = floor - share / top * (floor - 6)
            points += [(place * step, y), ((place + 1) * step, y)]
        points.append((width, floor))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        color = PALETTE[k % len(PALETTE)]
        parts.append(
            f'<polyline points="{path}" fill="{color}" fill-opacity="0.12" stroke="{color}" '
            'stroke-width="1.6"/>'
        )
    return _svg(width, height, [*parts, *_scale(edges, width, floor)])


def strips(
    edges: Sequence[float],
    counts: Sequence[Sequence[int]],
    names: Sequence[str],
    width: float = 300,
) -> str:
    """A strip for each series of `counts[series][bin]`, darker where more of its rows are."""
    shares = [[n / max(*series, 1) for n in series] for series in counts]
    step = (width - _LEFT) / max(len(edges) - 1, 1)
    parts = []
    for row, (series, name) in enumerate(zip(shares, names, strict=True)):
        y = row * _LINE
        parts.append(_text(_LEFT - 6, y + 10.5, name, anchor="end", longest=9))
        parts += [
            _rect(_LEFT + place * step, y + 1, step + 0.3, _LINE - 2, BLUE, share)
            for place, share in enumerate(series)
            if share > 0.0
        ]
    floor = len(shares) * _LINE + 2
    return _svg(width, floor + 16, [*parts, *_scale(edges, width, floor, left=_LEFT)])


def grouped_bars(names: Sequence[str], groups: Sequence[Sequence[int]], width: float = 640) -> str:
    """For each name a row of bars, one for each group's count, with the count at its end."""
    most = max((n for group in groups for n in group), default=0) or 1
    left, thick = 150.0, 11.0
    parts, y = [], 0.0
    for row, name in enumerate(names):
        parts.append(_text(left - 8, y + len(groups) * thick / 2 + 4, name, anchor="end"))
        for k, group in enumerate(groups):
            long = group[row] / most * (width - left - 50)
            parts.append(_rect(left, y, max(long, 0.8), thick - 2, PALETTE[k % len(PALETTE)]))
            parts.append(_text(left + long + 5, y + 8.5, str(group[row]), size=9))
            y += thick
        y += 7
    return _svg(width, y, parts)


def heat_map(names: Sequence[str], matrix: Sequence[Sequence[float | None]]) -> str:
    """Cells coloured from vermilion (−1) over white (0) to blue (1); grey for None."""
    cell = max(12.0, min(34.0, 520.0 / max(len(names), 1)))
    left, parts = 150.0, []
    for i, (name, row) in enumerate(zip(names, matrix, strict=True)):
        y = i * cell
        parts.append(_text(left - 6, y + cell / 2 + 4, name, anchor="end"))
        for j, r in enumerate(row):
            color = "#dddddd" if r is None else (BLUE if r > 0 else VERMILION)
            shade = 1.0 if r is None else abs(r)
            said = "undefined" if r is None else f"{r:.3f}"
            tip = f"<title>{escape(f'{name} × {names[j]}: {said}')}</title>"
            parts.append(_rect(left + j * cell, y, cell - 1, cell - 1, color, shade, tip))
            if cell >= 30.0 and r is not None:
                ink = "#ffffff" if shade > 0.6 else "#222222"
                middle = left + (j + 0.5) * cell
                parts.append(
                    _text(middle, y + cell / 2 + 3, f"{r:.2f}", anchor="middle", size=9, color=ink)
                )
    under = len(names) * cell
    for j, name in enumerate(names):
        x = left + (j + 0.5) * cell + 3
        turned = _text(0, 0, name, anchor="end")
        parts.append(f'<g transform="translate({x:.1f},{under + 10:.1f}) rotate(-60)">{turned}</g>')
    return _svg(left + under + 20, under + 130, parts)


def bars(values: Sequence[float], width: float = 640, height: float = 130) -> str:
    """Upright bars of shares of the variance, and their running sum as a line."""
    floor, step = height - 18, (width - 40) / max(len(values), 1)
    parts, running, points = [], 0.0, []
    for place, value in enumerate(values):
        running += value
        x = place * step
        tip = f"<title>component {place + 1}: {value:.2%}, in all {running:.2%}</title>"
        long = value * (floor - 8)
        parts.append(_rect(x, floor - long, max(step - 1.5, 1.0), long, BLUE, 1.0, tip))
        points.append(f"{x + step / 2:.1f},{floor - running * (floor - 8):.1f}")
    parts.append(
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{VERMILION}" '
        'stroke-width="1.8"/>'
    )
    parts.append(_text(width - 34, 14, "100 %", size=9))
    parts += [_text(0, height - 5, "1", size=9), _text(width - 52, height - 5, str(len(values)))]
    return _svg(width, height, parts)


def legend(names: Sequence[str]) -> str:
    """The names of series with their colours, as HTML."""
    return "".join(
        f'<span class="key"><i style="background:{PALETTE[k % len(PALETTE)]}"></i>'
        f"{escape(name)}</span>"
        for k, name in enumerate(names)
    )


def _scale(edges: Sequence[float], width: float, floor: float, left: float = 0.0) -> list[str]:
    """A base line and the two ends of the range below it."""
    place = f'x1="{left:.1f}" x2="{width:.1f}" y1="{floor:.1f}" y2="{floor:.1f}"'
    return [
        f'<line {place} stroke="#999999"/>',
        _text(left, floor + 13, f"{edges[0]:.4g}", size=10),
        _text(width, floor + 13, f"{edges[-1]:.4g}", anchor="end", size=10),
    ]


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg {size} role="img">{"".join(parts)}</svg>'


def _rect(
    x: float, y: float, w: float, h: float, color: str, shade: float = 1.0, inside: str = ""
) -> str:
    opacity = "" if shade == 1.0 else f' fill-opacity="{shade:.2f}"'
    place = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
    return f'<rect {place} fill="{color}"{opacity}>{inside}</rect>'


def _text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    size: int = 11,
    color: str = "#333333",
    longest: int = _LONGEST,
) -> str:
    short = words if len(words) <= longest else words[: longest - 1] + "…"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{color}">{escape(short)}</text>'
    )
