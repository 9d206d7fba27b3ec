"""The top of docs/performance.md: what is fast, against whom, and where it is not."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peers import PEERS
from targets import NOTES, Row, fastest

Cells = tuple[str, str, str, str]
"""What is timed, beside what, how many times faster it is, and how long it takes."""

_HEADING = """## In short

| what, and how long it takes | compared with | times faster |
|:--|:--|:--|"""

_OTHERS = """Other pages have [noise and shots](noise-performance.md), [wide
circuits](wide.md#measured), [several workers](scaling.md), [federated and private
training](federated-performance.md) and [jobs on IBM hardware](hardware-performance.md).
Times depend on the machine, ratios much less.
"""


def summary(rows: list[Row], first: list[Row], results: Path) -> str:
    """A line for each kind of work, then every case that is not faster than what it stands beside.

    Args:
        rows: of peers.json. first: its first steps of a fresh process.
        results: the folder with the numbers of the other programs; what is absent has no line.
    """
    kernels, large = _read(results, "kernels"), _read(results, "large")
    lines = [
        *_steps(rows),
        *_wide(large),
        *_kernels(kernels),
        *_first(first),
        *_commands(_read(results, "before_after")),
    ]
    slower = [
        *_behind(rows),
        *_narrow_leads(rows),
        *_workers(kernels),
        *_overhead(_read(results, "overhead")),
    ]
    table = "\n".join(f"| {what}: {ours} | {peer} | {ratio} |" for what, peer, ratio, ours in lines)
    return (
        f"{_HEADING}\n{table}\n\n**Where it gains less, or nothing:**\n\n"
        + "\n".join(f"- {line}" for line in slower)
        + f"\n\n{_OTHERS}"
    )


def _steps(rows: list[Row]) -> Iterator[Cells]:
    cases = sorted({(row["family"], row["n"]) for row in rows})
    qubits = sorted({n for _, n in cases})
    libraries = sum(peer.kind == "library" for peer in PEERS)
    times = [
        statistics.median(row["ours_ms"] for row in rows if _is_of(row, family, n))
        for family, n in cases
    ]
    for kind, whom in (
        ("library", f"the fastest of {libraries} libraries, chosen for each circuit"),
        ("expert", "the faster of two programs written by hand in JAX"),
    ):
        best = [found for f, n in cases if (found := fastest(rows, f, n, kind))]
        ratios = [row["ratio"] for row in best]
        if best:
            yield (
                f"a training step of {len(best)} circuits on {qubits[0]} to {qubits[-1]} qubits",
                whom,
                f"{_span(ratios)}, {number(_geometric(ratios))} in the geometric mean",
                f"{min(times):.2f} to {max(times):.0f} ms",
            )


def _is_of(row: Row, family: str, n: int) -> bool:
    return (row["family"], row["n"], row["status"]) == (family, n, "ranked")


def _wide(large: dict[str, Any] | None) -> Iterator[Cells]:
    rows = [row for row in large["rows"] if "ratio" in row] if large else []
    if rows and large:
        widths, times = [row["n"] for row in rows], [row["ours_ms"] for row in rows]
        threads = large["summary"]["threads"]
        yield (
            f"a step of one row on {min(widths)} to {max(widths)} qubits, {threads} threads",
            " and ".join(sorted({row["title"].partition(",")[0] for row in rows})),
            _span([row["ratio"] for row in rows]),
            f"{min(times):.0f} to {max(times):.0f} ms",
        )


def _kernels(kernels: dict[str, Any] | None) -> Iterator[Cells]:
    rows = [row for row in kernels["rows"] if "ratio" in row] if kernels else []
    if rows and kernels:
        best = min(rows, key=lambda row: row["ratio"])
        yield (
            f"a kernel matrix of {kernels['summary']['matrix_rows']:,} rows",
            f"{best['peer']}: the fastest of {len(rows)} ways",
            number(best["ratio"]),
            f"{best['ours_s']:.2f} s",
        )


def _first(first: list[Row]) -> Iterator[Cells]:
    seconds = {(row["n"], row["peer"]): row["seconds"] for row in first if "seconds" in row}
    pairs = [
        (mine, seconds[n, "jax_tiled"])
        for (n, peer), mine in seconds.items()
        if peer == "qstore_ray" and (n, "jax_tiled") in seconds
    ]
    if pairs:
        mine = [own for own, _ in pairs]
        yield (
            "the first step of a fresh process, compiling included",
            "the program by hand in JAX",
            _span([other / own for own, other in pairs]),
            f"{min(mine):.1f} to {max(mine):.1f} s",
        )


def _commands(found: dict[str, Any] | None) -> Iterator[Cells]:
    rows = {(row["case"], row["what"]): row for row in found["rows"]} if found else {}
    for case, said in (
        ("whole", "`qstore train jobs/digits.toml`, in one process"),
        ("cold", "the same with two workers, Ray's start included"),
    ):
        if row := rows.get((case, "whole")):
            yield said, "an earlier commit of ours", number(row["ratio"]), f"{row['after']:.1f} s"


def _behind(rows: list[Row]) -> Iterator[str]:
    slower = [row for row in rows if row["status"] == "ranked" and row["ratio"] < 1]
    if not slower:
        yield "No library and no program by hand had a faster training step in any circuit here."
    for row in slower:
        yield f"{row['family']}, n = {row['n']}: {row['peer']} is faster, ratio {row['ratio']:.2f}."


def _narrow_leads(rows: list[Row]) -> Iterator[str]:
    """The family in which the libraries come nearest."""
    cases = sorted({(row["family"], row["n"]) for row in rows})
    best = [found for f, n in cases if (found := fastest(rows, f, n, "library"))]
    if best:
        least = min(best, key=lambda row: row["ratio"])
        own = [row["ratio"] for row in best if row["family"] == least["family"]]
        why = NOTES.get((least["family"], least["n"], "library"))
        yield (
            f"The smallest lead over the libraries is in {least['family']} (below): {_span(own)} "
            f"times{f'; {why}' if why else ''}."
        )


def _workers(kernels: dict[str, Any] | None) -> Iterator[str]:
    rows = kernels["summary"]["workers"] if kernels else []
    slower = [row for row in rows[1:] if row["seconds"] > rows[0]["seconds"]]
    if slower:
        least = max(row["seconds"] / rows[0]["seconds"] for row in slower)
        yield (
            f"Ray workers do not pay for a kernel matrix of {rows[0]['rows']:,} rows of "
            f"{rows[0]['qubits']} qubits: it takes up to {least:.2f} times as long with them."
        )


def _overhead(found: dict[str, Any] | None) -> Iterator[str]:
    rows = found["rows"] if found else []
    if rows and found:
        yield (
            f"A whole `fit` reaches {_span([row['ratio'] for row in rows])} of the rows a second "
            f"of the bare engine on {found['summary']['qubits']} qubits; the rest of the time is "
            "the head, the loss, the optimizer and the records."
        )
    yield "A short training is mostly imports: see [what a user waits for](#what-a-user-waits-for)."


def _geometric(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _span(values: list[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def number(value: float) -> str:
    """Three digits, which is as far as a ratio goes."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _read(results: Path, name: str) -> dict[str, Any] | None:
    path = results / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None
