"""The picture: time of a step against the number of qubits, one panel a family."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from peers import PEERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from targets import Row

COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#999933", "#666666", "#222222")
OURS = "#d00000"
SHORT = {
    "F1": "CZ ring, two ⟨Z⟩",
    "F2": "CX chain, every ⟨Z⟩",
    "F3": "ZZ feature map",
    "F4": "CX rings, ⟨Z⟩ and ⟨ZZ⟩",
    "F5": "amplitude encoding",
    "F6": "convolutional, one ⟨Z⟩",
}


def plot(rows: list[Row], target: Path) -> None:
    """Draw all ranked peers, experts dashed, ours thick."""
    families = sorted({row["family"] for row in rows})
    columns = min(3, len(families))
    lines = -(-len(families) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.1 * columns, 3.4 * lines + 0.9), squeeze=False, sharey=True
    )
    for axis in axes.flat[len(families) :]:
        axis.set_visible(False)
    for axis, family in zip(axes.flat, families, strict=False):
        _panel(axis, [r for r in rows if r["family"] == family and r["status"] == "ranked"])
        axis.set_title(f"{family}  {SHORT.get(family, '')}", loc="left", fontweight="bold")
    for axis in axes[:, 0]:
        axis.set_ylabel("one training step, ms")
    handles: dict[str, object] = {}
    for axis in axes.flat:
        found, labels = axis.get_legend_handles_labels()
        handles |= dict(zip(labels, found, strict=True))
    figure.legend(
        handles.values(), handles.keys(), loc="lower center", ncols=3, frameon=False, fontsize=9
    )
    figure.tight_layout(rect=(0, 0.09 + 0.05 / lines, 1, 1))
    figure.savefig(target, dpi=140)
    plt.close(figure)


def _panel(axis: Axes, rows: list[Row]) -> None:
    for peer, colour in zip(PEERS, COLOURS, strict=True):
        points = sorted((row["n"], row["peer_ms"]) for row in rows if row["peer"] == peer.name)
        if points:
            style = "--" if peer.kind == "expert" else "-"
            axis.plot(
                *zip(*points, strict=True), style, color=colour, marker="o", ms=3.5, lw=1.3,
                label=peer.title,
            )  # fmt: skip
    own = [
        (n, statistics.median(row["ours_ms"] for row in rows if row["n"] == n))
        for n in sorted({row["n"] for row in rows})
    ]
    if own:
        axis.plot(
            *zip(*own, strict=True),
            color=OURS,
            marker="s",
            ms=5,
            lw=3,
            label="qstore_ray",
            zorder=9,
        )
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    ticks = sorted({row["n"] for row in rows})
    axis.set_xticks(ticks, [str(n) for n in ticks])
    axis.minorticks_off()
    axis.set_xlabel("qubits")
    axis.grid(alpha=0.25, which="major")
    axis.spines[["top", "right"]].set_visible(False)
