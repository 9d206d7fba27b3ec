"""The section on one wide row of docs/performance.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_TEXT = """## One row, {least} to {most} qubits

Loss and gradient of F2 (above) for one row, {threads} threads, by `python benchmarks/large.py`
([`large.json`]({link})). Ours shares the amplitudes between its threads,
and gives the same bits with any number. The others are asked for Σ w_o O_o as one observable.

| n | peer | ours, ms | on one thread | peer, ms | ratio | ours, GiB | states, GiB | apart by |
|--:|:--|--:|--:|--:|--:|--:|--:|--:|
{table}

Target: at least {target:.0f} times. Medians of {pairs} turns. Ours, GiB: resident, with Python and
tables of phases (at most 256 MiB); states: the two of the adjoint method and a field.
Apart by: the largest difference of the gradients. Machine: {processor}, {cpus} cores, load average
{load:.1f} at the end. Written {written} at commit {commit}.
"""


def section(path: Path, link: str) -> str:
    """The section, or nothing where it was not measured."""
    if not path.exists():
        return ""
    payload = json.loads(path.read_text())
    summary, machine = payload["summary"], payload["machine"]
    return _TEXT.format(
        link=link,
        least=min(row["n"] for row in payload["rows"]),
        most=max(row["n"] for row in payload["rows"]),
        threads=summary["threads"],
        table="\n".join(map(_line, payload["rows"])),
        target=summary["target"],
        pairs=summary["pairs"],
        processor=machine["processor"],
        cpus=machine["cpus"],
        load=machine["load_average"],
        written=payload["written"],
        commit=payload["commit"],
    )


def _line(row: dict[str, Any]) -> str:
    if "ratio" not in row:
        return f"| {row['n']} | {row['title']} | | | | {row['reason']} | | | |"
    return (
        f"| {row['n']} | {row['title']} | {row['ours_ms']:,.0f} | {row['ours_alone_ms']:,.0f} | "
        f"{row['peer_ms']:,.0f} | {row['ratio']:.1f} | {row['ours_gib']:.2f} | "
        f"{row['least_gib']:.2f} | {row['apart']:.0e} |"
    )
