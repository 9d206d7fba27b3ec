"""The page that people read, written from the numbers and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import kernel_page
import large_page
import waiting_page
from peers import PEERS
from summary_page import summary
from targets import NOTES, Row, expert_mean, fastest, target, verdict

TITLES = {peer.name: peer.title for peer in PEERS}
CIRCUITS = {
    "F1": "RY(x), layers of RY, RZ and a CZ ring; ⟨Z0⟩, ⟨Z1⟩",
    "F2": "RY(x), layers of RY, RZ and a chain of CX; every ⟨Z_i⟩",
    "F3": "Qiskit's zz_feature_map and real_amplitudes; every ⟨Z_i⟩",
    "F4": "RY(x), layers of U and a CX ring of growing range; every ⟨Z_i⟩ and ⟨Z_i Z_j⟩",
    "F5": "amplitude encoding and Qiskit's efficient_su2; every ⟨Z_i⟩",
    "F6": "RY(x) and a convolutional circuit that halves its qubits; ⟨Z⟩ of the last one",
}
PACKAGES = ("pennylane", "pennylane-lightning", "jax", "qulacs", "tensorcircuit-ng", "qiskit")
PACKAGES += ("qiskit-aer", "qiskit-machine-learning")
KINDS = ("library", "expert")

_INTRODUCTION = """# Performance

How fast qstore_ray is, and compared with what. Written by `python benchmarks/peers/run.py --page`
from stored measurements; no number here was typed. *Times faster* and *ratio* are the time of the
other program over ours: above 1 we are faster.
"""

_STEP = """## A training step

The loss and its gradient with respect to all circuit parameters: a batch of B rows is encoded, a
circuit of n qubits and L layers runs, its expectation values z enter a fixed linear readout
z·w + c and a mean squared error. complex128, one thread, one core
([`peers.json`]({json})). The six families F1 to F6 are described below.

![Time of a step against the number of qubits, for six families of circuits]({picture})

*Library* means the fastest of: {libraries}.
*Expert* means the faster of two programs written by hand in JAX for this very work.
"""

_METHOD = """## How the step was measured

- Each peer runs in a virtual environment and a process of its own, with one thread on one core.
- First its loss and gradient must agree with ours to 1e-6; otherwise it is listed as wrong.
- Then blocks of about 0.1 s of ours and of the peer take turns, 3 to 9 rounds. A time is the median
  over the rounds of the blocks' medians; the spread is the interquartile range of the rounds'
  ratios over their median. Steps above 2 s are timed once or twice.
- A peer that needs more than 30 s for a step, 90 s to compile, or 8 GiB of memory is not ranked.
  Nor is one that would, by a prediction from narrower circuits.
- The work is given to the peers as favourably as they can use it: encoded angles are computed
  beforehand; qulacs, Aer and EstimatorQNN are asked for the one observable Σ w_o O_o instead of all
  O of them (we and the others compute every z); qulacs keeps its circuits between steps.
- compile: seconds from an imported library to its first result.
"""


def page(payload: dict[str, Any], *, json: str, picture: str, results: Path) -> str:
    """The Markdown text: what a reader wants first, and every single measurement at the end.

    Args:
        json: link to the numbers. picture: link to the picture.
        results: the folder with the numbers of the other programs whose sections are on the page.
    """
    rows: list[Row] = payload["rows"]
    first: list[Row] = payload["summary"].get("first_step", [])
    libraries = "; ".join(peer.title for peer in PEERS if peer.kind == "library")
    folder = PurePosixPath(json).parent
    parts = [
        _INTRODUCTION,
        summary(rows, first, results),
        _STEP.format(json=json, libraries=libraries, picture=picture),
        "\n".join(_targets(rows)),
        *("\n".join(_family(rows, f)) for f in sorted({row["family"] for row in rows})),
        "\n".join(_first_steps(first)),
        large_page.section(results / "large.json", str(folder / "large.json")),
        kernel_page.section(results / "kernels.json", str(folder / "kernels.json")),
        waiting_page.section(results),
        _METHOD,
        "\n".join(_machine(payload)),
        "\n".join(_everything(rows)),
    ]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _targets(rows: list[Row]) -> Iterator[str]:
    cases = sorted({(row["family"], row["n"]) for row in rows})
    for kind in KINDS:
        judged = [
            best["ratio"] >= wanted
            for f, n in cases
            if (best := fastest(rows, f, n, kind)) and (wanted := target(f, n, kind))
        ]
        yield f"- Against the fastest {kind}: {sum(judged)} of {len(judged)} targets met."
    mean = expert_mean(rows)
    if mean:
        said = "met" if mean[0] >= 3 else f"missed by {100 * (1 - mean[0] / 3):.0f} %"
        yield (
            f"- Geometric mean against the fastest expert over the {mean[1]} cases with n ≥ 8: "
            f"{mean[0]:.2f} (target 3, {said})."
        )
    yield ""


def _family(rows: list[Row], family: str) -> Iterator[str]:
    own = [row for row in rows if row["family"] == family]
    yield f"### {family}: {CIRCUITS[family]}\n"
    yield (
        "| n | L | B | ours, ms | fastest library, ms | ratio, target "
        "| fastest expert, ms | ratio, target |"
    )
    yield "|--:|--:|--:|--:|:--|:--|:--|:--|"
    notes = []
    for n in sorted({row["n"] for row in own}):
        any_row = next(row for row in own if row["n"] == n)
        best = {kind: fastest(rows, family, n, kind) for kind in KINDS}
        times = [row["ours_ms"] for row in best.values() if row]
        cells = [str(n), str(any_row["layers"]), str(any_row["batch"])]
        cells.append(" / ".join(sorted({_ms(t) for t in times[:1]})) or "–")
        for kind, row in best.items():
            wanted = target(family, n, kind)
            if row is None:
                cells += ["–", verdict(row, wanted)]
            else:
                name = TITLES.get(row["peer"], row["peer"])
                said = verdict(row, wanted)
                cells += [f"{name}: {_ms(row['peer_ms'])}", f"{_ratio(row)} ({said})"]
            if (family, n, kind) in NOTES:
                notes.append(f"- n = {n}, {kind}: {NOTES[family, n, kind]}")
        yield "| " + " | ".join(cells) + " |"
    yield ""
    if notes:
        yield "\n".join([*notes, ""])


def _first_steps(found: list[Row]) -> Iterator[str]:
    if not found:
        return
    yield "## The first step of a fresh process\n"
    yield "From starting Python to the first loss and gradient, compilation included; our kernels"
    yield "come from their cache on disk, as after the installation.\n"
    yield "| family | n | | seconds |\n|:--|--:|:--|--:|"
    for row in found:
        name = TITLES.get(row["peer"], row["peer"])
        said = f"{row['seconds']:.1f}" if "seconds" in row else row["reason"]
        yield f"| {row['family']} | {row['n']} | {name} | {said} |"
    yield ""


_QUIET = 3.0
"""Load average of a machine on which little else ran."""


def _machine(payload: dict[str, Any]) -> Iterator[str]:
    machine, summary = payload["machine"], payload["summary"]
    yield f"Machine: {machine['processor']}, {machine['cpus']} cores, {machine['system']},"
    yield f"Python {machine['python']}. Written {payload['written']} at commit {payload['commit']},"
    yield f"seed {payload['seed']}, engine {summary['engine']}, {summary['minutes']:.0f} minutes.\n"
    if (load := machine["load_average"]) > _QUIET:
        yield f"The load was {load:.0f}: other programs ran on the other core at idle priority."
        yield "Turns of ours and the peer's alternate, so ratios suffer less than times.\n"
    seen: dict[str, str] = {}
    for packages in summary["environments"].values():
        seen |= {name: packages[name] for name in PACKAGES if name in packages}
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in seen.items()) + ".\n"


def _everything(rows: list[Row]) -> Iterator[str]:
    yield "## All measurements\n"
    yield f"<details><summary>All {len(rows)} rows: every family, width and peer</summary>\n"
    yield "| | n | peer | ours, ms | peer, ms | ratio | spread | compile, s | |"
    yield "|:--|--:|:--|--:|--:|--:|--:|--:|:--|"
    order = {peer.name: k for k, peer in enumerate(PEERS)}
    for row in sorted(rows, key=lambda r: (r["family"], r["n"], order.get(r["peer"], 99))):
        compiled = f"{row['compile_s']:.1f}" if "compile_s" in row else ""
        cells = [row["family"], str(row["n"]), TITLES.get(row["peer"], row["peer"])]
        if row["status"] == "ranked":
            spread = "" if row["spread"] is None else f"{100 * row['spread']:.0f} %"
            cells += [_ms(row["ours_ms"]), _ms(row["peer_ms"]), _ratio(row), spread, compiled, ""]
        else:
            reason = row["reason"].replace("|", "/")
            cells += ["", "", "", "", compiled, f"{row['status']}: {reason}"]
        yield "| " + " | ".join(cells) + " |"
    yield "\n</details>"


def _ms(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(row: Row) -> str:
    ratio = row["ratio"]
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"
