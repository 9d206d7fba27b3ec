"""The measured part of docs/wide.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SECTION = "## Measured"

_TEXT = """{section}

One training step of {batch} rows: every ⟨Z_i⟩ and every neighbours' ⟨Z_i Z_j⟩, a linear readout,
and the gradient by all parameters; one thread. A layer is RY and RZ on each qubit and a CZ or CX
for every pair of neighbours; a circuit's name has its map, qubits, gate and layers. Written by
`python benchmarks/wide.py` from [`wide.json`](../benchmarks/results/wide.json).

| circuit | peer | ours, ms | peer, ms | times faster | its first step, s |
|:--|:--|--:|--:|--:|--:|
{table}

{failed}

Over the fastest peer that had a first step in time: at least {target:.0f} times in {met} of {cases}
circuits. A ratio is the median of {pairs} turns of ours and the peer. In a first step networks of
tensors are searched and compiled. Extrapolated: contractions from {few} of the observables to all,
Aer from some of its circuits to all shifts of all parameters.{apart}

Machine: {processor}, {cpus} cores, load average {load:.1f} at the end. Written {written} at commit
{commit}.
"""


def page(payload: dict[str, Any]) -> str:
    """From the heading to the end of the page."""
    summary, machine, rows = payload["summary"], payload["machine"], payload["rows"]
    fastest: dict[str, float] = {}
    for row in rows:
        if "ratio" in row:
            fastest[row["case"]] = min(row["ratio"], fastest.get(row["case"], row["ratio"]))
    return _TEXT.format(
        section=SECTION,
        batch=summary["batch"],
        table="\n".join(_line(row) for row in rows if "ratio" in row),
        failed="\n".join(_failed(rows)),
        apart=_apart(rows),
        target=summary["target"],
        met=sum(ratio >= summary["target"] for ratio in fastest.values()),
        cases=len(fastest),
        pairs=summary["pairs"],
        limit_s=summary["limit_s"],
        few=summary["few"],
        processor=machine["processor"],
        cpus=machine["cpus"],
        load=machine["load_average"],
        written=payload["written"],
        commit=payload["commit"],
    )


def _line(row: dict[str, Any]) -> str:
    star = " (extrapolated)" if row["status"] == "extrapolated" else ""
    return (
        f"| {row['case']} | {row['title']} | {row['ours_ms']:.3g} | {row['peer_ms']:,.0f}{star} | "
        f"{row['ratio']:,.0f} | {row['peer_first_s']:.1f} |"
    )


def _failed(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each peer and reason, with the circuits that it has no number for."""
    circuits: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if "ratio" not in row:
            circuits.setdefault((row["title"], row["reason"]), []).append(row["case"])
    for (title, reason), names in circuits.items():
        yield f"- {title}: {reason} ({', '.join(names)})."


def _apart(rows: list[dict[str, Any]]) -> str:
    found = [row["apart"] for row in rows if row.get("apart") is not None]
    return f" Gradients are apart by at most {max(found):.0e}." if found else ""
