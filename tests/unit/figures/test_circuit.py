"""The picture of a circuit: every gate is drawn, columns as they may run at once, long ones cut."""

from __future__ import annotations

import math

import pytest
from matplotlib.patches import FancyBboxPatch

from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.template import Angle, Op, Template, const, param, row
from qstore_ray.figures.circuit import MOST_COLUMNS, angle_text, circuit_figure


def _texts(template: Template) -> list[str]:
    return [text.get_text() for text in circuit_figure(template).axes[0].texts]


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_can_be_drawn(gate: str):
    spec = GATES[gate]
    angles = tuple(param(k) for k in range(spec.n_angles))
    op = Op(gate, tuple(range(spec.n_qubits)), angles)
    figure = circuit_figure(Template(3, (op,), n_params=spec.n_angles))
    figure.canvas.draw()
    assert (
        f"3 qubits · 1 gate · depth 1 · {spec.n_angles} parameter"
        in figure.axes[0].texts[1].get_text()
    )


@pytest.mark.parametrize(
    ("angle", "text"),
    [
        (param(3), "θ3"),
        (param(3, 2.0, -0.5), "2θ3−0.5"),
        (row(1, -1.0, math.pi / 2), "−x1+π/2"),
        (row(1).plus(param(0, -1.0)).plus(param(2, 2.0, 0.5)), "x1−θ0+2θ2+0.5"),
        (row(0, math.pi), "πx0"),
        (const(0.0), "0"),
        (const(-3 * math.pi / 4), "−3π/4"),
        (const(-0.3), "−0.3"),
    ],
)
def test_an_angle_is_written_short(angle, text: str):
    assert angle_text(angle) == text


def test_a_gate_that_spans_a_wire_stands_alone_there():
    ops = (Op("h", (0,)), Op("cz", (0, 2)), Op("h", (1,)))
    axes = circuit_figure(Template(3, ops)).axes[0]
    boxes = {t.get_position()[0] for t in axes.texts if t.get_text() == "H"}
    dots = {
        line.get_xdata()[0]
        for line in axes.lines
        if line.get_marker() == "o" and len(line.get_xdata())
    }
    assert len(boxes) == 2
    assert min(boxes) < max(dots) < max(boxes)


def test_the_depth_counts_no_crossing():
    ops = (Op("cz", (0, 2)), Op("h", (1,)))
    assert "depth 1" in _texts(Template(3, ops))[1]


@pytest.mark.parametrize("n_qubits", [2, 8])
def test_a_long_circuit_is_broken_into_rows_and_cut(n_qubits: int):
    ops = tuple(Op("h", (k % n_qubits,)) for k in range((MOST_COLUMNS + 5) * n_qubits))
    figure = circuit_figure(Template(n_qubits, ops))
    width, height = figure.get_size_inches()
    assert width < 11.0
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("H") == MOST_COLUMNS * n_qubits
    assert f"only the first {MOST_COLUMNS} of {MOST_COLUMNS + 5} columns" in texts[1]
    rows = texts.count("q0")
    assert rows > 1
    assert texts.count("…") == rows * n_qubits  # it goes on after the last row, too
    assert height < rows * n_qubits + 3.0


def _wide(n_columns: int) -> Template:
    """30 qubits, on each of them U with three angles of twelve terms, one column after another."""
    angle = _sum_of(range(12))
    ops = tuple(Op("u", (q,), (angle,) * 3) for _ in range(n_columns) for q in range(30))
    return Template(30, ops, n_params=12)


def _sum_of(slots: range) -> Angle:
    first, *others = (param(slot, 0.321, 0.5) for slot in slots)
    for other in others:
        first = first.plus(other)
    return first


def test_a_circuit_too_high_to_be_written_is_cut_and_says_so():
    figure = circuit_figure(_wide(MOST_COLUMNS))
    width, height = figure.get_size_inches()
    assert width < 11.0
    assert height * 120 < 2**15
    texts = [text.get_text() for text in figure.axes[0].texts]
    drawn = sum(text.startswith("U\n") for text in texts) // 30
    assert 1 < drawn < MOST_COLUMNS
    assert f"only the first {drawn} of {MOST_COLUMNS} columns are drawn" in texts[1]
    assert texts.count("…") == 30 * texts.count("q0")


def test_every_label_stays_in_its_box():
    """Long angles are cut, several of them stand below each other."""
    ops = (*_wide(1).ops, Op("rx", (0,), (param(0, 0.321, 0.5),)), Op("sxdg", (0,)))
    ops += (Op("u", (1,), tuple(param(k) for k in range(3))), Op("iswap", (2, 9)))
    figure = circuit_figure(Template(30, ops, n_params=12))
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = [
        patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)
    ]
    names = ("U", "RX", "√X†", "iSWAP")
    labels = [text for text in axes.texts if text.get_text().partition("\n")[0] in names]
    assert len(labels) == 30 + 1 + 1 + 1 + 2
    for label in labels:
        inside = label.get_window_extent()
        assert any(
            box.x0 <= inside.x0
            and inside.x1 <= box.x1
            and box.y0 <= inside.y0
            and inside.y1 <= box.y1
            for box in boxes
        ), label.get_text()


def test_a_circuit_without_gates_is_only_wires():
    assert _texts(Template(2, ()))[2:] == ["q0", "q1"]


def test_amplitudes_are_a_box_over_all_wires():
    texts = _texts(Template(2, (Op("h", (0,)),), initial="amplitudes"))
    assert "ψ(x)" in texts
    assert "4 amplitudes a row" in texts[1]


def test_the_colours_are_explained():
    ops = (Op("rx", (0,), (row(0),)), Op("ry", (0,), (param(0),)))
    texts = _texts(Template(1, ops, n_rows=1, n_params=1))
    assert texts[-2:] == ["encodes the data", "trained"]
