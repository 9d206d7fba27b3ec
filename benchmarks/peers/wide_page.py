"""The measured part of docs/wide.md."""

from __future__ import annotations

from typing import Any

SECTION = "## Measured"

_TEXT = """{section}

One training step of {batch} rows: every ⟨Z_i⟩ and every neighbours' ⟨Z_i Z_j⟩, a linear readout,
and the gradient by all parameters; one thread. A layer is RY and RZ on each qubit and a CZ or CX
for every pair of neighbours. Written by `python benchmarks/wide.py` from
[`wide.json`](../benchmarks/results/wide.json).

| circuit | peer | ours, ms | peer, ms | ratio | its first step, s | gradients apart by |
|:--|:--|--:|--:|--:|--:|--:|
{table}

Over the fastest peer that had a first step in time: at least {target:.0f} times in {met} of {cases}
circuits. A ratio is the median of {pairs} turns of ours and the peer. A peer without numbers
failed, or had no first step (in which the networks are searched and compiled) within
{limit_s:.0f} s. Extrapolated: contractions
from {few} of the observables to all, Aer from some of its circuits to all shifts of all parameters.

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
        table="\n".join(map(_line, rows)),
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
    if "ratio" not in row:
        return f"| {row['case']} | {row['title']} | | | | | {row['reason']} |"
    apart = "" if row["apart"] is None else f"{row['apart']:.0e}"
    star = " (extrapolated)" if row["status"] == "extrapolated" else ""
    return (
        f"| {row['case']} | {row['title']} | {row['ours_ms']:.3g} | {row['peer_ms']:,.0f}{star} | "
        f"{row['ratio']:,.0f} | {row['peer_first_s']:.1f} | {apart} |"
    )
