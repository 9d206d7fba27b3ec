"""How much faster than its peers the engine should be, and why a target that is missed is missed.

`NOTES` is for people: after a run, write the reason beside (family, n, kind) and make the page anew
with `python benchmarks/peers/run.py --page`.
"""

from __future__ import annotations

import math
from typing import Any

Row = dict[str, Any]

_THIN = (
    "this circuit ends on few qubits: contracting only the tensors that the last qubit sees saves "
    "most of the work, while each of our thin last layers reads the whole state"
)
NOTES: dict[tuple[str, int, str], str] = {
    ("F6", 8, "library"): _THIN,
    ("F6", 10, "library"): _THIN,
    ("F6", 12, "library"): _THIN,
    ("F6", 16, "library"): (
        "18 of our 40 passes turn one or two qubits only, and each reads the whole state; this is "
        "the family with the fewest gates a qubit, where a gate-by-gate sweep loses least"
    ),
}
"""(family, n, "library" or "expert") → why the target is missed there."""


def target(family: str, n: int, kind: str) -> float | None:
    """The ratio to reach against the fastest peer of a kind; None where none is set."""
    if kind == "library":
        return 4.0 if n == 4 else 10.0
    if n == 4:
        return 1.5
    if family == "F1":
        return 3.0
    return 2.5 if n <= 12 else None


def fastest(rows: list[Row], family: str, n: int, kind: str) -> Row | None:
    """The ranked peer of a kind with the shortest step."""
    ranked = [
        row
        for row in rows
        if (row["family"], row["n"], row["peer_kind"]) == (family, n, kind)
        and row["status"] == "ranked"
    ]
    return min(ranked, key=lambda row: row["ratio"], default=None)


def verdict(best: Row | None, wanted: float | None) -> str:
    """met, or by how much it is missed; nobody ranked; no target."""
    if best is None:
        return "none ranked"
    if wanted is None:
        return "no target"
    if best["ratio"] >= wanted:
        return f"≥ {wanted:g} met"
    return f"≥ {wanted:g} missed by {100 * (1 - best['ratio'] / wanted):.0f} %"


def expert_mean(rows: list[Row]) -> tuple[float, int] | None:
    """Geometric mean of the ratios to the fastest expert over n ≥ 8 (target 3); how many cases."""
    cases = sorted({(row["family"], row["n"]) for row in rows if row["n"] >= 8})
    found = [best["ratio"] for f, n in cases if (best := fastest(rows, f, n, "expert"))]
    if not found:
        return None
    return math.exp(sum(map(math.log, found)) / len(found)), len(found)
