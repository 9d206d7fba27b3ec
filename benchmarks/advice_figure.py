"""The picture of `docs/advice.md`, drawn from `results/advice.json`: what a recommendation loses.

Run: python benchmarks/advice_figure.py
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from record import RESULTS

TARGET = Path(__file__).parents[1] / "docs" / "advice.png"
WAYS = (
    ("random", "a random model", "#999999"),
    ("default", "the default", "#56b4e9"),
    ("single", "the best single one", "#0072b2"),
    ("recommend", "recommended", "#d00000"),
)


def draw() -> None:
    """Regret of the first model, and of the best of the first five, with their intervals."""
    summary = json.loads((RESULTS / "advice.json").read_text())["summary"]
    figure, axes = plt.subplots(figsize=(7.2, 3.0))
    bars = [(title, colour, f"{name}_1") for name, title, colour in WAYS]
    bars += [
        ("the best of five random ones", "#999999", "random_5"),
        ("the best of a portfolio of five", "#0072b2", "portfolio_5"),
        ("the best of five recommended", "#d00000", "recommend_5"),
    ]
    places = [i + 0.6 * (i >= len(WAYS)) for i in range(len(bars))]
    for place, (_, colour, name) in zip(places, bars, strict=True):
        found = summary["regret"][name]
        reach = [[found["mean"] - found["low"]], [found["high"] - found["mean"]]]
        axes.barh(place, found["mean"], 0.72, color=colour, alpha=0.85)
        axes.errorbar(found["mean"], place, xerr=reach, color="#222222", lw=1.2, capsize=3)
        axes.text(found["high"] + 0.003, place, f"{found['mean']:.3f}", va="center", fontsize=9)
    axes.set_yticks(places, [title for title, _, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.12 * max(each["high"] for each in summary["regret"].values()))
    axes.set_xlabel(
        "balanced accuracy below the best of 64, on families of data sets left out", fontsize=9
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    figure.tight_layout()
    figure.savefig(TARGET, dpi=140)
    plt.close(figure)


if __name__ == "__main__":
    draw()
