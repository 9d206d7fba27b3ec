"""A circuit as a figure: wires, boxes, controls; a long circuit is broken into rows.

A gate is placed in the first column in which its wires and all wires between them are free, as
usual in circuit diagrams, so gates that may run in parallel share a column. The colour shows what
an angle depends on: a row of data, a trained parameter, or neither.

Lengths are in units of half an inch; a wire is 1.3 units below the one above it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qstore_ray.circuits.template import Angle, Op, Template
from qstore_ray.figures.base import BLUE, ORANGE, new_figure, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS: Final = 160
"""Columns that are drawn, fewer if they are too high; the title says how many there are."""

_UNIT: Final = 0.5
_LINE: Final = 1.3
_ROW_LENGTH: Final = 19.5
_TALLEST: Final = 500.0
"""Height of a figure at most: many viewers open no picture of more than 2¹⁵ pixels."""
_LONGEST_ANGLE: Final = 30
_LONGEST_LINE: Final = 16
_LEFT: Final = 1.6
_TOP: Final = 2.2
_INK: Final = "#333333"
_FILL: Final = {"row": "#FCE7BF", "param": "#CFE6F5", "const": "#FFFFFF"}
_EDGE: Final = {"row": ORANGE, "param": BLUE, "const": "#777777"}
_SAID: Final = {"row": "encodes the data", "param": "trained", "const": "fixed"}
_CONTROLS: Final = {
    **dict.fromkeys(("cx", "cy", "cz", "ch", "cp", "crx", "cry", "crz"), 1),
    "ccx": 2,
}
_FONT_SIZES: Final = (9.0, 8.0, 7.5, 6.3)
"""Of a label, by the number of lines below its first."""
_NAMES: Final = {"sdg": "S†", "tdg": "T†", "sx": "√X", "sxdg": "√X†", "iswap": "iSWAP"}


class _Column(NamedTuple):
    ops: list[Op]
    width: float


def circuit_figure(template: Template, title: str = "Circuit", wires: Sequence[int] = ()) -> Figure:
    """Draw the circuit of a template, its first `MOST_COLUMNS` columns, in rows below each other.

    `wires` are the numbers of its qubits in the user's circuit, if they differ.
    """
    columns = _columns(template)
    high = template.n_qubits * _LINE + 0.6
    rows = _rows(columns[:MOST_COLUMNS])[: max(1, int((_TALLEST - _TOP) / high))]
    n_drawn = sum(map(len, rows))
    width = _LEFT + max([sum(c.width for c in row) for row in rows], default=0.0) + 0.7
    width = max(width, 13.0)
    height = _TOP + len(rows) * high + 0.4
    figure = new_figure(width * _UNIT, height * _UNIT)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0.0, width)
    axes.set_ylim(height, 0.0)
    axes.set_axis_off()
    _head(axes, template, title, n_drawn, len(columns))
    for place, row in enumerate(rows):
        last = place == len(rows) - 1 and n_drawn == len(columns)
        _draw_row(axes, template, row, _TOP + place * high, wires, last=last)
    if template.initial == "amplitudes":
        _load(axes, template)
    _legend(axes, template, height - 0.6)
    return figure


def _columns(template: Template) -> list[_Column]:
    """The gates by the column in which they stand."""
    free = [0] * template.n_qubits
    placed: list[list[Op]] = []
    for op in template.ops:
        wires = slice(min(op.qubits), max(op.qubits) + 1)
        at = max(free[wires])
        if at == len(placed):
            placed.append([])
        placed[at].append(op)
        free[wires] = [at + 1] * len(free[wires])
    return [_Column(ops, max(map(_width, ops)) + 0.35) for ops in placed]


def _depth(template: Template) -> int:
    """Gates on the longest way through the circuit; wires that a line only crosses do not count."""
    free = [0] * template.n_qubits
    for op in template.ops:
        after = 1 + max(free[qubit] for qubit in op.qubits)
        for qubit in op.qubits:
            free[qubit] = after
    return max(free)


def _rows(columns: Sequence[_Column]) -> list[list[_Column]]:
    rows: list[list[_Column]] = [[]]
    used = 0.0
    for column in columns:
        if rows[-1] and used + column.width > _ROW_LENGTH:
            rows.append([])
            used = 0.0
        rows[-1].append(column)
        used += column.width
    return rows


def _width(op: Op) -> float:
    if op.gate in {"cx", "cz", "ccx", "swap"}:
        return 0.35
    longest = max(map(len, _label(op).split("\n")))
    return max(0.95, 0.165 * longest + 0.3)


def _label(op: Op) -> str:
    """What stands in the box: the gate without its controls, and its angles below."""
    base = op.gate[_CONTROLS.get(op.gate, 0) :]
    angles = [short(angle_text(angle), _LONGEST_ANGLE) for angle in op.angles]
    joined = ", ".join(angles)
    below = angles if len(joined) > _LONGEST_LINE else [joined] * bool(angles)
    return "\n".join((_NAMES.get(base, base.upper()), *below))


def angle_text(angle: Angle) -> str:
    """`offset + Σ scale · slot` in few characters: x is an encoded angle, θ a parameter."""
    if not angle.terms:
        return _number(angle.offset)
    text = ""
    for kind, slot, scale in angle.terms:
        factor = {1.0: "", -1.0: "−"}.get(scale, _number(scale))
        joined = "+" if text and not factor.startswith("−") else ""
        text += f"{joined}{factor}{'x' if kind == 'row' else 'θ'}{slot}"
    if angle.offset:
        text += f"{'+' if angle.offset > 0 else '−'}{_number(abs(angle.offset))}"
    return text


def _number(value: float) -> str:
    """A simple fraction of π as such, anything else in three digits."""
    for below in (1, 2, 3, 4, 6, 8):
        over = value / math.pi * below
        if value and math.isclose(over, round(over), abs_tol=1e-9) and abs(round(over)) <= 8:
            n = round(over)
            sign, size = "−" * (n < 0), "" if abs(n) == 1 else str(abs(n))
            return f"{sign}{size}π" + (f"/{below}" if below > 1 else "")
    return f"{value:.3g}".replace("-", "−")


def _head(axes: Axes, template: Template, title: str, n_drawn: int, n_columns: int) -> None:
    facts = [
        _count(template.n_qubits, "qubit"),
        _count(len(template.ops), "gate"),
        f"depth {_depth(template)}",
        _count(template.n_params, "parameter"),
    ]
    facts.append(
        f"{2**template.n_qubits} amplitudes a row"
        if template.initial == "amplitudes"
        else _count(template.n_rows, "encoded angle")
    )
    axes.text(0.35, 0.55, short(title, 60), fontsize=12, fontweight="bold", va="center")
    said = " · ".join(facts)
    if n_drawn < n_columns:
        said += f" · only the first {n_drawn} of {n_columns} columns are drawn"
    axes.text(0.35, 1.2, said, fontsize=8.5, color="#666666", va="center")


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"


def _draw_row(
    axes: Axes,
    template: Template,
    row: Sequence[_Column],
    top: float,
    wires: Sequence[int],
    *,
    last: bool,
) -> None:
    end = _LEFT + sum(column.width for column in row) + 0.35
    for qubit in range(template.n_qubits):
        y = top + qubit * _LINE
        axes.text(0.95, y, f"q{qubit}", ha="right", va="center", fontsize=9, color=_INK)
        if wires:
            axes.text(0.95, y + 0.4, f"({wires[qubit]})", ha="right", va="center", fontsize=7)
        _line(axes, [1.1, end], [y, y], color="#999999", linewidth=1.0, zorder=1)
        if not last:
            axes.text(end + 0.05, y, "…", va="center", fontsize=9, color="#999999")
    x = _LEFT
    for column in row:
        for op in column.ops:
            _draw_op(axes, op, x + column.width / 2, top)
        x += column.width


def _load(axes: Axes, template: Template) -> None:
    """A thin box over all wires at the start: the state is the row's own amplitudes."""
    low, high = _TOP - 0.46, _TOP + (template.n_qubits - 1) * _LINE + 0.46
    x, y = 1.34, (low + high) / 2
    _box(axes, x, y, 0.42, high - low, "row")
    style: dict[str, Any] = {
        "ha": "center",
        "va": "center",
        "fontsize": 8,
        "rotation": 90,
        "color": _INK,
    }
    axes.text(x, y, "ψ(x)", zorder=4, **style)


def _draw_op(axes: Axes, op: Op, x: float, top: float) -> None:
    ys = [top + qubit * _LINE for qubit in op.qubits]
    kind = _kind(op)
    if len(ys) > 1:
        _line(axes, [x, x], [min(ys), max(ys)], color=_EDGE[kind], linewidth=1.4, zorder=2)
    if op.gate == "swap":
        _line(
            axes, [x, x], ys, color=_INK, linestyle="None", marker="x", markersize=8,
            markeredgewidth=1.8, zorder=3,
        )  # fmt: skip
        return
    controls = _CONTROLS.get(op.gate, 0)
    dots = 2 if op.gate == "cz" else controls  # CZ is the same from both sides
    _line(
        axes, [x] * dots, ys[:dots], color=_EDGE[kind], linestyle="None", marker="o", markersize=6,
        zorder=3,
    )  # fmt: skip
    if op.gate in {"cx", "ccx"}:
        _plus(axes, x, ys[-1])
    elif op.gate != "cz":
        for y in ys[controls:]:
            _box(axes, x, y, _width(op), 0.92, kind)
            text = _label(op)
            size = _FONT_SIZES[text.count("\n")]
            axes.text(
                x, y, text, ha="center", va="center", fontsize=size, color=_INK, zorder=4,
                linespacing=1.05,
            )  # fmt: skip


def _kind(op: Op) -> str:
    kinds = {term.kind for angle in op.angles for term in angle.terms}
    return next((kind for kind in ("row", "param") if kind in kinds), "const")


def _box(axes: Axes, x: float, y: float, width: float, height: float, kind: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_artist(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=_FILL[kind],
            edgecolor=_EDGE[kind],
            linewidth=1.1,
            zorder=3,
        )
    )


def _line(axes: Axes, x: Sequence[float], y: Sequence[float], **style: Any) -> None:
    """As `axes.plot`, which looks at the limits of the axes at each of hundreds of lines."""
    from matplotlib.lines import Line2D

    axes.add_artist(Line2D(x, y, **style))


def _plus(axes: Axes, x: float, y: float) -> None:
    from matplotlib.patches import Circle

    axes.add_artist(Circle((x, y), 0.3, facecolor="white", edgecolor=_EDGE["const"], zorder=3))
    _line(axes, [x - 0.3, x + 0.3], [y, y], color=_EDGE["const"], linewidth=1.2, zorder=4)
    _line(axes, [x, x], [y - 0.3, y + 0.3], color=_EDGE["const"], linewidth=1.2, zorder=4)


def _legend(axes: Axes, template: Template, y: float) -> None:
    used = {_kind(op) for op in template.ops} | ({"row"} if template.initial != "zeros" else set())
    x = 0.6
    for kind in ("row", "param", "const"):
        if kind in used:
            _box(axes, x, y, 0.4, 0.4, kind)
            axes.text(x + 0.35, y, _SAID[kind], va="center", fontsize=8.5, color=_INK)
            x += 1.3 + 0.17 * len(_SAID[kind])
