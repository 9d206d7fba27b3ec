"""The section on what a user waits for of docs/performance.md, from the other programs' numbers."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_QUARTER_LESS = 4 / 3
_RATIOS = {
    ("whole", "whole"): ("`qstore train jobs/digits.toml --workers 0`, whole command", "s", 4.0),
    ("whole", "first"): ("the same, to its first step", "s", 3.0),
    ("whole", "driver"): ("the same, peak memory of the driver", "MiB", _QUARTER_LESS),
    ("cold", "whole"): ("with two workers on a Ray of its own, whole command", "s", 2.0),
    ("cold", "driver"): ("the same, peak memory of the driver", "MiB", _QUARTER_LESS),
    ("cold", "worker"): ("the same, of the largest worker", "MiB", _QUARTER_LESS),
    ("running", "first"): ("two epochs on two workers of a Ray that runs, first fit", "s", 3.0),
    ("running", "second"): ("the same, second fit", "s", 3.0),
}
"""Of rows of before_after.json: what it is, its unit, and the goal of before / after."""

_CPU = {"import": ("`import qstore_ray`", 0.05), "help": ("`qstore --help`", 0.3),
        "runs": ("`qstore runs`", 0.3)}  # fmt: skip
"""CPU seconds over a bare interpreter's, at most."""

_TEXT = """## What a user waits for

Whole commands now and at an earlier commit ({before}), built and run in turns by `python
benchmarks/before_after.py` ([`before_after.json`](../benchmarks/results/before_after.json)):
medians of {pairs} pairs, and the least and largest ratio of a pair.

| | before | now | ratio | goal |
|:--|--:|--:|--:|:--|
{ratios}

| CPU seconds over those of a bare interpreter | before | now | goal |
|:--|--:|--:|:--|
{cpu}

The rest of a command is imports: the driver, the process of figures and scores (scikit-learn,
matplotlib) and the process of trackers (MLflow and its SQL tables) take about 3 CPU seconds each,
on two cores. Our own copies of MLflow's store and of scikit-learn's metrics would save 2.5 of
them, and would have to be kept right.

| in one run | ratio | goal |
|:--|--:|:--|
{others}
"""


def section(results: Path) -> str:
    """The section, or nothing where it was not measured."""
    path = results / "before_after.json"
    if not path.exists():
        return ""
    payload = json.loads(path.read_text())
    rows = {(row["case"], row["what"]): row for row in payload["rows"]}
    bare = payload["summary"]["bare_interpreter_cpu_s"]
    return _TEXT.format(
        before=payload["summary"]["before"],
        pairs=min(len(row["pairs"]) for row in payload["rows"]),
        ratios="\n".join(
            _ratio(rows[key], *about) for key, about in _RATIOS.items() if key in rows
        ),
        cpu="\n".join(
            f"| {name} | {_above(rows[case, 'cpu']['before'], bare)} | "
            f"{_above(rows[case, 'cpu']['after'], bare)} | {goal} |"
            for case, (name, goal) in _CPU.items()
            if (case, "cpu") in rows
        ),
        others="\n".join(_others(results)),
    )


def _ratio(row: dict[str, Any], name: str, unit: str, goal: float) -> str:
    met = "met" if row["ratio"] >= goal else "missed"
    digits = 0 if unit == "MiB" else 1 if row["before"] > 5 else 2
    return (
        f"| {name} | {row['before']:.{digits}f} {unit} | {row['after']:.{digits}f} {unit} | "
        f"{row['ratio']:.2f} ({row['lowest']:.2f}–{row['highest']:.2f}) | ≥ {goal:.3g} {met} |"
    )


def _above(seconds: float, bare: float) -> str:
    return f"{seconds - bare:.3f}"


def _others(results: Path) -> Iterator[str]:
    """Rows of what was measured by other programs, each against something in the same run."""
    scaling = _read(results / "scaling.json")
    if scaling:
        yield _line("two Ray workers over one, n = 12, B = 256", scaling["summary"]["ratio"], 1.75)
    engine = _read(results / "engine.json")
    if engine:
        rows = engine["rows"]
        for n in (12, 16):
            found = [r["two_threads_speedup"] for r in rows if r["n"] == n and _timed(r)]
            if found:
                least, most = min(found), max(found)
                middle = statistics.median(found)
                name = f"two threads over one, n = {n}, {least:.2f} to {most:.2f} by family"
                yield _line(name, middle, 1.8)
    overhead = _read(results / "overhead.json")
    if overhead:
        for row in overhead["rows"]:
            yield _line(f"`fit` over the bare engine, n = 8: {row['circuit']}", row["ratio"], 0.9)


def _timed(row: dict[str, Any]) -> bool:
    return row.get("two_threads_speedup") is not None


def _line(name: str, ratio: float, goal: float) -> str:
    return f"| {name} | {ratio:.2f} | ≥ {goal} {'met' if ratio >= goal else 'missed'} |"


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None
