"""The section on one wide row of docs/performance.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_TEXT = """
## One row, 20 to 26 qubits

Loss and gradient of F2 (above) for one row, {threads} threads. Written by `python
benchmarks/large.py` from [`large.json`]({link}). Ours shares the amplitudes between its threads,
and gives the same bits with any number. The others are asked for Σ w_o O_o as one observable.

| n | peer | ours, ms | one thread | peer, ms | ratio | ours, GiB | two states, field | apart by |
|--:|:--|--:|--:|--:|--:|--:|--:|--:|
{table}

Target: at least {target:.0f} times. Medians of {pairs} turns; gradients are apart by the last
column. GiB: resident, with Python and the tables of phases (at most 256 MiB). Machine: {processor},
{cpus} cores, load average {load:.1f} at the end. Written {written} at commit {commit}.
"""


def section(path: Path, link: str) -> str:
    """The section, or nothing where it was not measured."""
    if not path.exists():
        return ""
    payload = json.loads(path.read_text())
    summary, machine = payload["summary"], payload["machine"]
    return _TEXT.format(
        link=link,
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
