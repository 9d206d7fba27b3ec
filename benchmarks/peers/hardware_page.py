"""The page about speed and cost on hardware, written from its numbers and nothing else."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from noise_page import fill

RESULTS = Path(__file__).resolve().parents[1] / "results"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "hardware-performance.md"
MOST_REQUESTS, MOST_DELAY_MS, MOST_OVERHEAD = 15, 50.0, 0.05
FEWER_JOBS, FEWER_SECONDS = 50.0, 20.0


def write_page() -> None:
    """Write the page anew; a part that was not measured is left out."""
    payload = json.loads((RESULTS / "hardware.json").read_text())
    lines = [
        "# Speed and cost on IBM hardware",
        "",
        fill(
            """Measured against a stand-in of IBM's service (`tests/ibm`) in a process of its own,
            through IBM's client library, never on a QPU. Jobs, requests and executions are counted
            by the stand-in. Billed seconds are IBM's published estimate, 2 s a job and 350 µs an
            execution, of the jobs that it accepted. Written by `make bench-hardware` from
            [`hardware.json`](../benchmarks/results/hardware.json), which has every number."""
        ),
    ]
    parts = {
        "training": _training, "workers": _workers, "delays": _delays, "overhead": _overhead,
        "fairness": _fairness,
    }  # fmt: skip
    for name, written in parts.items():
        if name in payload["summary"]:
            lines += ["", *written(payload["summary"][name]["found"])]
    machine = payload["machine"]
    when = "; ".join(
        f"{name} {part['measured']['written']} at {part['measured']['commit']}, load average "
        f"{part['measured'].get('load_average', 'not recorded')}"
        for name, part in payload["summary"].items()
    )
    lines += [
        "",
        fill(
            f"""Machine: {machine["processor"]}, {machine["cpus"]} cores, shared with other work,
            which delays and overhead suffer from; counts do not. Measured: {when}."""
        ),
    ]
    PAGE.write_text("\n".join(lines) + "\n")


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def _training(found: dict[str, Any]) -> Iterator[str]:
    task, rows = found["task"], found["rows"]
    ours = next(row for row in rows if (row["who"], row["method"]) == ("qstore_ray", "spsa"))
    yield "## The same training, ours and others'"
    yield ""
    yield fill(
        f"""Zeros and ones of the digits: {task["qubits"]} qubits, {task["layers"]} layers of RY and
        RZ on each qubit and a chain of CX, {task["parameters"]} parameters, ⟨Z⟩ of the last qubit
        against ±1 with the squared error, all {task["rows"]} rows in every step, {task["shots"]}
        shots, `{task["device"]}`. Everybody takes steps of its own optimizer (Adam, or SPSA if the
        title says so), without mitigation. All numbers are of one step, the total divided by the
        steps. Accuracy: of {task["test_rows"]} other rows after so many steps, from different
        starting points and with few steps, so it compares nothing. Over ours: over our default,
        the first row."""
    )
    yield ""
    yield (
        "| library | method | steps | jobs | requests | executions | billed, s | "
        "accuracy | billed, over ours |"
    )
    yield "|:--|:--|--:|--:|--:|--:|--:|--:|--:|"
    for row in rows:
        yield "| " + " | ".join(_training_cells(row, ours)) + " |"
    yield ""
    for name in ("qiskit-machine-learning", "PennyLane-qiskit"):
        default = next((r for r in rows if (r["who"], r["method"]) == (name, "shift")), None)
        if default is None:
            continue
        jobs, seconds = _ratio(default, ours, "jobs"), _ratio(default, ours, "billed_s")
        yield (
            f"- {name} with its default gradient: {jobs:,.1f} × the jobs (target ≥ "
            f"{FEWER_JOBS:g}, {_met(jobs >= FEWER_JOBS)}), {seconds:,.1f} × the billed seconds "
            f"(target ≥ {FEWER_SECONDS:g}, {_met(seconds >= FEWER_SECONDS)})."
        )
    yield ""
    yield from _where_it_comes_from(rows)


def _where_it_comes_from(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The method and the gateway apart: ours with parameter shift beside theirs."""
    shift = [row for row in rows if row["method"] in ("shift", "parameter_shift")]
    told = [
        f"{row['who']} {_per_step(row, 'jobs'):,.1f} jobs and {_per_step(row, 'billed_s'):,.0f} s"
        for row in shift
    ]
    yield fill(
        f"""The method and the gateway apart: with parameter shift, which all of them have, a step
        takes {"; ".join(told)}. The executions are the same, and the rest of the difference is the
        jobs. qiskit-machine-learning submits one job for the values and one for the gradient;
        PennyLane's plugin one for every row and shift. What our default saves beyond that is its
        method, which needs more steps than an exact gradient."""
    )
    yield ""
    yield fill(
        """"Shots of the network alone": `EstimatorQNN(default_precision=…)` is not passed on to
        `ParamShiftEstimatorGradient`, which takes the Estimator's own default of 4,096 shots. The
        other rows set both. All of PennyLane's steps cost the same, so few were run. Its
        plugin takes no client newer than 0.45, which signs in at fixed addresses: four of them were
        replaced."""
    )


def _per_step(row: dict[str, Any], name: str) -> float:
    number: float = row["training"][name] / row["steps"]
    return number


def _ratio(row: dict[str, Any], ours: dict[str, Any], name: str) -> float:
    return _per_step(row, name) / _per_step(ours, name)


def _training_cells(row: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    numbers = [_per_step(row, name) for name in ("jobs", "requests", "executions")]
    return [
        row["who"], row["title"], str(row["steps"]),
        *(f"{n:,.0f}" if n == round(n) or n >= 100 else f"{n:,.1f}" for n in numbers),
        f"{_per_step(row, 'billed_s'):,.1f}", f"{row['accuracy']:.2f}",
        f"{_ratio(row, ours, 'billed_s'):,.1f}",
    ]  # fmt: skip


def _workers(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "## Jobs a step, requests a job"
    yield ""
    yield fill(
        """A step's shares come from threads, as they do from workers, or from Ray workers on
        `jobs/digits_ibm.toml`. Targets: one job a step; at most 15 requests a job. Threads: after
        the first step. Ray: all requests, with those of signing in and of the scoring, which is
        one job more than steps. The last column is what they ask for."""
    )
    yield ""
    yield "| workers | steps | jobs | jobs a step | requests a job | of these |"
    yield "|:--|--:|--:|:--|:--|:--|"
    for row in rows:
        a_step = (row["jobs"] - row.get("scoring_jobs", 0)) / row["steps"]
        a_job = row["requests"] / row["jobs"]
        cells = [
            _counted(row["workers"], row["kind"]), str(row["steps"]), str(row["jobs"]),
            f"{a_step:g} ({_met(a_step == 1.0)})",
            f"{a_job:.1f} ({_met(a_job <= MOST_REQUESTS)})",
            _asked(row),
        ]  # fmt: skip
        yield "| " + " | ".join(cells) + " |"


def _counted(workers: int, kind: str) -> str:
    name = "thread" if kind == "threads" else f"{kind} worker"
    return f"{workers} {name}" + ("s" if workers > 1 else "")


def _asked(row: dict[str, Any]) -> str:
    shares = {
        name: sum(row["by_kind"].get(kind, 0) for kind in kinds) / row["jobs"]
        for name, kinds in _KINDS.items()
    }
    return ", ".join(f"{name} {share:.1f}" for name, share in shares.items() if share)


_KINDS = {
    "look for the tag": ("jobs",),
    "submit": ("submit",),
    "state": ("job",),
    "results": ("results",),
    "bill": ("metrics",),
    "device and account": ("backends", "status", "usage"),
    "signing in": ("token", "search", "catalog", "configuration", "properties"),
}
"""What requests ask for → their kinds, by the last part of the address."""


def _delays(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "## Coalescing"
    yield ""
    yield fill(
        """How long a request without a group waits for company: from the call to the moment at
        which its job is packed, which includes the time for which the gateway's one thread talks
        to the service for other jobs. Target: below 50 ms, in the median and for 99 of 100. As many
        jobs may be in flight as there are trials."""
    )
    yield ""
    yield "| trials | mean pause, s | calls | jobs | median, ms | 99 of 100, ms | longest, ms | |"
    yield "|--:|--:|--:|--:|--:|--:|--:|:--|"
    for row in rows:
        yield (
            f"| {row['trials']} | {row['pause_s']:g} | {row['calls']} | {row['jobs']} | "
            f"{row['median_ms']:.1f} | {row['p99_ms']:.1f} | {row['longest_ms']:.1f} | "
            f"{_met(row['p99_ms'] < MOST_DELAY_MS)} |"
        )


def _overhead(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "## Overhead of a step"
    yield ""
    yield fill(
        """The circuits of a step (32 rows, 9 circuits each, 512 shots) run on a fake backend of
        IBM's package, with its noise. Direct: by the client's local mode, without service and
        gateway; the median of the second and third run. Overhead: the time from the call to its
        outcomes, less the time for which its job ran at the stand-in (its journal: started to
        completed). It has everything else in it: coalescing, compiling, ledger, the requests of a
        job, and the time in which the end of the job was not noticed. First: the first step, of
        which no job of its size was known. Then the median of steps 4 to 8. Target: below 5 % of
        the direct time and of the median time at the stand-in: other work on the machine slows one
        or the other."""
    )
    yield ""
    yield (
        "| backend | direct, s | at the stand-in, s | first, s | overhead, s | unnoticed, s | "
        "longest, s | of direct and of stand-in |"
    )
    yield "|:--|--:|--:|--:|--:|--:|--:|:--|"
    for row in rows:
        unnoticed = statistics.median(step["unnoticed_s"] for step in row["steps"][3:])
        served = statistics.median(step["service_s"] for step in row["steps"][3:])
        ratios = row["ratio"], row["overhead_s"] / served
        yield (
            f"| {row['device']} | {row['direct_s']:.2f} | {served:.2f} | "
            f"{row['first_overhead_s']:.2f} | {row['overhead_s']:.2f} | {unnoticed:.2f} | "
            f"{row['longest_overhead_s']:.2f} | {100 * ratios[0]:.1f} %, "
            f"{100 * ratios[1]:.1f} % ({_met(max(ratios) < MOST_OVERHEAD)}) |"
        )


def _fairness(found: dict[str, Any]) -> Iterator[str]:
    yield "## Shares of the trials"
    yield ""
    yield fill(
        f"""Trials that always have more requests than fit, for {found["counted_jobs"]} jobs, at
        most five in flight. From the first quarter on, no share of the executions was further than
        {100 * found["largest_deviation"]:.1f} % of all from its weight's. The rows served per
        weight were never further apart than {found["rows_per_weight_apart"]:.1f} (bound of the
        queue: {found["bound"]:.1f}, the largest request of each of two trials per weight;
        {_met(found["rows_per_weight_apart"] <= found["bound"])})."""
    )
    yield ""
    yield "| trial | weight | rows of a request | wanted | share | most jobs without it |"
    yield "|:--|--:|:--|--:|--:|--:|"
    for row in found["trials"]:
        yield (
            f"| {row['trial']} | {row['weight']:g} | 1 to {row['most_rows']} | "
            f"{100 * row['wanted']:.1f} % | {100 * row['share']:.1f} % | "
            f"{row['longest_jobs_without']} |"
        )
