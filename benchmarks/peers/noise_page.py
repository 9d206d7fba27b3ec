"""The page about speed under noise, written from its numbers and nothing else."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = Path(__file__).resolve().parents[1] / "results"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "noise-performance.md"


def write_page() -> None:
    """Write the page anew."""
    payload = json.loads((RESULTS / "noise.json").read_text())
    accuracy = RESULTS / "noise_accuracy.json"
    lines = [*_steps(payload), *_shots(payload["summary"]["shots"])]
    if accuracy.exists():
        lines += _accuracy(json.loads(accuracy.read_text()))
    machine = payload["machine"]
    lines += [
        "",
        f"Machine: {machine['processor']}, {machine['cpus']} cores, load average",
        f"{machine['load_average']:.1f} at the end. Written {payload['written']} at commit",
        f"{payload['commit']}, seed {payload['seed']}.",
    ]
    if again := payload["summary"].get("without_noise"):
        lines[-1] += f" The rows without noise: {again['written']}, commit {again['commit']}."
    PAGE.write_text("\n".join(lines) + "\n")


def _steps(payload: dict[str, Any]) -> Iterator[str]:
    summary = payload["summary"]
    yield "# Speed under noise"
    yield ""
    yield fill(
        f"""A training step is the values and all gradients of a mean squared loss over
        {summary["rows_of_a_batch"]} rows, one thread on one core: RY(x) on each qubit, layers of
        RY and RZ on each and a chain of CX, ⟨Z⟩ of each qubit. After every gate, on each of its
        qubits, X, Y or Z with probability p/4 each; {100 * summary["readout"]:g} % wrong readout.
        Ours follows one random trajectory a row. Written by `python benchmarks/noise.py` from
        [`noise.json`](../benchmarks/results/noise.json), which has every single time."""
    )
    own = [row for row in payload["rows"] if _is_ours(row)]
    others = [row for row in payload["rows"] if not _is_ours(row)]
    yield ""
    yield from _in_short(own, others, summary["shots"])
    yield ""
    yield "## What noise costs"
    yield ""
    yield "Our step with noise beside our step without it; target: at most 3 times as long."
    yield ""
    yield "| qubits | layers | p | with noise, ms | without, ms | times as long |"
    yield "|--:|--:|--:|--:|--:|:--|"
    for row in own:
        yield "| " + " | ".join(_cells(row)[:-1]) + " |"
    yield ""
    yield "## Beside other libraries"
    yield ""
    yield fill(
        """Times faster: the peer's time over ours. `default.mixed` is differentiated by
        backpropagation and jitted by JAX, mapped over the rows; Aer's density matrix runs the
        parameter-shift rule, all bindings in one call; TensorCircuit-NG follows one trajectory a
        row as we do, jitted by JAX and mapped. Times with a star are of fewer rows, multiplied.
        A density matrix gives exact values and gradients; a trajectory gives them in the mean, so
        a training may need more steps (see [below](#time-to-the-same-noisy-accuracy)). Off by: the
        largest difference of the mean gradients in standard errors."""
    )
    yield ""
    yield "| peer | qubits | layers | p | ours, ms | peer, ms | times faster | off by |"
    yield "|:--|--:|--:|--:|--:|--:|:--|--:|"
    for row in others:
        yield "| " + " | ".join([row["peer"], *_cells(row)]) + " |"


def _is_ours(row: dict[str, Any]) -> bool:
    return bool(row["peer"].startswith("qstore_ray"))


def _in_short(
    own: list[dict[str, Any]], others: list[dict[str, Any]], shots: dict[str, Any]
) -> Iterator[str]:
    yield "| our step | measured |"
    yield "|:--|:--|"
    yield f"| with noise over without | {_span(own)} times as long |"
    for peer in dict.fromkeys(row["peer"] for row in others):
        found = [row for row in others if row["peer"] == peer]
        yield f"| beside {peer} | {_span(found)} times as fast |"
    yield (
        f"| {shots['shots']:,} shots, beside Aer's SamplerV2 | {_number(shots['ratio'])} times as "
        "fast |"
    )


def _span(rows: list[dict[str, Any]]) -> str:
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    return f"{_number(min(ratios))} to {_number(max(ratios))}" if ratios else "not measured"


def _cells(row: dict[str, Any]) -> list[str]:
    head = [str(row["qubits"]), str(row["layers"]), f"{row['p']:g}"]
    if "ratio" not in row:
        return [*head, "", "", f"{row['status']}: {row['reason']}", ""]
    ratio, wanted = _number(row["ratio"]), row["target"]
    if wanted and _is_ours(row):
        ratio += f" (≤ {wanted:g} {'met' if row['ratio'] <= wanted else 'missed'})"
    elif wanted:
        ratio += f" (≥ {wanted:g} {'met' if row['ratio'] >= wanted else 'missed'})"
    star = "*" if row["status"] == "scaled" else ""
    off = row.get("off_by_sigmas")
    return [
        *head, f"{row['ours_ms']:.3f}", f"{_number(row['peer_ms'])}{star}", ratio,
        "" if off is None else f"{off:.1f}",
    ]  # fmt: skip


def _shots(row: dict[str, Any]) -> Iterator[str]:
    met = "met" if row["ratio"] >= row["target"] else "missed"
    yield ""
    yield "## Shots"
    yield ""
    yield fill(
        f"""{row["shots"]:,} shots of {row["rows"]} rows, {row["observables"]} observables (Z and
        ZZ), {row["qubits"]} qubits, {row["layers"]} layers: ours {row["ours_ms"]:.2f} ms, Aer's
        SamplerV2 {row["peer_ms"]:.0f} ms on the same circuits, values included:
        {row["ratio"]:.0f} times (target ≥ {row["target"]:g}, {met}). The means of 20 runs differ by
        {row["off_by_sigmas"]:.1f} standard errors at most."""
    )


def _accuracy(payload: dict[str, Any]) -> Iterator[str]:
    target = payload["summary"]["target"]
    yield ""
    yield "## Time to the same noisy accuracy"
    yield ""
    yield fill(
        f"""Digits on 8 qubits and 3 layers, 32 rows a step; depolarizing 0.1 % and 1 % after gates
        of one and two qubits, 2 % wrong readout. Steps until the held-out rows reach the accuracy
        under noise, three seeds. The exact gradient of a density matrix is imitated by 64
        trajectories a row. Spread: the standard deviation of a step's gradient over its mean, at
        the start. Sooner: the ratio of the median steps times the ratio of their times above
        (p = 1 %); target ≥ {target:g} × sooner than either. Written by `python
        benchmarks/noise_accuracy.py` from
        [`noise_accuracy.json`](../benchmarks/results/noise_accuracy.json)."""
    )
    yield ""
    yield "| task | accuracy | our steps | exact steps | our spread | exact spread | sooner than |"
    yield "|:--|--:|--:|--:|--:|--:|:--|"
    for row in payload["rows"]:
        sooner = ", ".join(
            f"{peer} {ratio:,.0f} × ({'met' if ratio >= target else 'missed'})"
            for peer, ratio in row.get("sooner", {}).items()
        )
        ours, exact = (", ".join(map(str, row[key])) for key in ("our_steps", "exact_steps"))
        yield (
            f"| {row['task']} | {row['accuracy']:g} | {ours} | {exact} | {row['our_spread']:.2f} | "
            f"{row['exact_spread']:.2f} | {sooner or 'the accuracy was not reached'} |"
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def fill(text: str) -> str:
    """A paragraph in lines of at most 100 characters."""
    return textwrap.fill(
        " ".join(text.split()), 100, break_long_words=False, break_on_hyphens=False
    )
