"""The section of the page about kernel matrices, written from its numbers and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADING = "## Kernel matrices\n"


def section(results: Path, link: str) -> str:
    """The Markdown text, empty where kernels were never timed."""
    if not results.exists():
        return ""
    return "\n".join(_lines(json.loads(results.read_text()), link)) + "\n"


def _lines(payload: dict[str, Any], link: str) -> Iterator[str]:
    summary, machine = payload["summary"], payload["machine"]
    pairs = summary["matrix_rows"] * (summary["matrix_rows"] - 1) // 2
    yield _HEADING
    yield (
        f"k(x, y) = |⟨ψ(x)|ψ(y)⟩|² of {summary['matrix_rows']:,} rows among each other ({pairs:,} "
        f"pairs), {summary['features']} qubits, {summary['feature_map']}, exact, one thread on one"
    )
    yield f"core, by `python benchmarks/kernels.py` ([`kernels.json`]({link})).\n"
    yield "| peer | how | ours, s | peer, s | ratio | target | matrices differ by |"
    yield "|:--|:--|--:|--:|--:|:--|--:|"
    for row in payload["rows"]:
        yield "| " + " | ".join(_cells(row)) + " |"
    yield ""
    yield "Times are CPU seconds, medians of turns of ours and the peer. Extrapolated: a curve"
    yield "c·N(N−1)/2 + d (a circuit a pair) or c·N² + d·N (a state a row) is put through the times"
    yield "of two smaller matrices. Two of the peers run a circuit for each pair; those that take"
    yield "states once a row, as we do, are the ones to compare engines by.\n"
    rows = summary["workers"]
    yield f"`gram_matrix`, seconds on the clock, {rows[0]['rows']:,} rows of {rows[0]['qubits']}"
    yield "qubits; bit for bit the same matrix with any number of Ray workers:\n"
    yield "| workers | seconds | over this process |\n|--:|--:|--:|"
    for row in rows:
        name = row["workers"] or "0, in this process"
        yield f"| {name} | {row['seconds']:.2f} | {rows[0]['seconds'] / row['seconds']:.2f} |"
    yield ""
    yield f"Machine: {machine['processor']}, {machine['cpus']} cores, load average"
    yield f"{machine['load_average']:.1f} at the end. Written {payload['written']} at commit"
    yield f"{payload['commit']}, seed {payload['seed']}."


def _cells(row: dict[str, Any]) -> list[str]:
    if "ratio" not in row:
        return [row["peer"], f"{row['status']}: {row['reason']}", "", "", "", "", ""]
    sizes = " and ".join(f"{size:,}" for size in row["timed_rows"])
    how = f"{row['status']} of {sizes} rows" if len(row["timed_rows"]) > 1 else row["status"]
    wanted, verdict = row["target"], "no target"
    if wanted:
        verdict = f"≥ {wanted:g} {'met' if row['ratio'] >= wanted else 'missed'}"
    return [
        row["peer"], how, f"{row['ours_s']:.2f}", _number(row["peer_s"]), _number(row["ratio"]),
        verdict, f"{row['difference']:.0e}",
    ]  # fmt: skip


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
