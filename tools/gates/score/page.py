"""docs/quality.md and docs/quality.png, written from the history by `make score`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.gates.score.history import Scored
from tools.gates.score.parts import WEIGHTS, Part, score
from tools.gates.source import ROOT

_DO = {
    "rules": "Fix a violation, or remove a comment that suppresses one.",
    "layers": "Give the rooms an order: a contract of import-linter in `pyproject.toml`.",
    "size": "Divide a file or a function by its concerns.",
    "types": "Annotate, so that mypy need not skip the line.",
    "documentation": "Name the errors, the unit, or show the name in an example.",
    "coverage": "Test what no test reaches, or delete it.",
    "duplicates": "Move what stands twice to where both can import it.",
}
"""What to do about each part."""


def write_page(
    parts: Sequence[Part], history: Sequence[Scored], docs: Path = ROOT / "docs"
) -> None:
    """Write the page and its figure.

    Raises:
        OSError: a file that cannot be written.
    """
    (docs / "quality.md").write_text(page(parts, history), encoding="utf-8")
    figure = draw(history)
    figure.savefig(docs / "quality.png", dpi=150, metadata={"Software": None})


def page(parts: Sequence[Part], history: Sequence[Scored]) -> str:
    """The text of the page."""
    last, first = history[-1], history[0]
    change = last.score - first.score
    whole = sum(WEIGHTS[part.name] for part in parts)
    rows = "\n".join(
        f"| {part.name} | {100 * WEIGHTS[part.name] / whole:.0f} | {part.value:.3f} "
        f"| {100 * part.lost / whole:.1f} | {part.measured} |"
        for part in parts
    )
    absent = [name for name in WEIGHTS if name not in {part.name for part in parts}]
    without = f"Not measured here: {', '.join(absent)}.\n\n" if absent else ""
    actions = "\n".join(
        f"{number}. **{part.name}** loses {100 * part.lost / whole:.1f} points. {_DO[part.name]} "
        f"Most of it is in {_listed(part.worst)}."
        for number, part in enumerate(_by_loss(parts), 1)
    )
    commits = "\n".join(
        f"| `{each.commit}` | {each.date[:10]} | {each.score:.1f} |" for each in history[-12:]
    )
    return f"""\
# Quality of the code

Written by `make score`; do not edit. **{score(parts):.1f} of 100** at commit `{last.commit}`,
{change:+.1f} since `{first.commit}`. The parts are divided by the size of the package, so that they
can be compared over time. The number orders work and is no gate: `make check` is.

![Score of the measured commits, and what each part loses](quality.png)

## Parts

| part | points | value | lost | measured |
|---|---|---|---|---|
{rows}

{without}## What to do next

{actions}

## Commits

| commit | date | score |
|---|---|---|
{commits}
"""


def _by_loss(parts: Sequence[Part]) -> list[Part]:
    return sorted((part for part in parts if part.worst), key=lambda part: -part.lost)


def _listed(worst: Sequence[str]) -> str:
    return ", ".join(f"`{each}`" for each in worst[:3])


def draw(history: Sequence[Scored]) -> Any:
    """Two panels: the score of each commit, and the points that each part loses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    places = range(len(history))
    left.plot(places, [each.score for each in history], "o-", color="#2a6f97")
    left.set(title="Score", ylabel="of 100", xlabel="commit")
    left.set_xticks(places, [each.commit[:7] for each in history], rotation=60, fontsize=7)
    left.grid(visible=True, axis="y", alpha=0.3)
    names = [name for name in WEIGHTS if any(name in each.parts for each in history)]
    base = [0.0] * len(history)
    for name in names:
        lost = [_lost(each, name) for each in history]
        right.bar(places, lost, bottom=base, label=name, width=0.7)
        base = [a + b for a, b in zip(base, lost, strict=True)]
    right.set(title="Points lost by each part", xlabel="commit")
    right.set_xticks(places, [each.commit[:7] for each in history], rotation=60, fontsize=7)
    right.set_ylim(0.0, 1.6 * max([*base, 1.0]))
    right.legend(fontsize=7, ncols=2, loc="upper left")
    return figure


def _lost(one: Scored, name: str) -> float:
    whole = sum(WEIGHTS[part] for part in one.parts)
    return 100.0 * WEIGHTS[name] * (1.0 - one.parts.get(name, 1.0)) / whole
