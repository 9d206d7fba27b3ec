"""Advice as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstore_ray.cli.output import facts, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qstore_ray.advise.advantage.check import AdvantageReport
    from qstore_ray.advise.predict import JobPrediction
    from qstore_ray.advise.recommend import RankedCandidate, Recommendation
    from qstore_ray.advise.resources import JobVariant
    from qstore_ray.types import Table


def recommendation_text(found: Recommendation) -> str:
    """The data, the basis of the order, the candidates, and the classical model to beat."""
    rival = found.rival.replace("_", " ")
    if found.rival_score is not None:
        rival += f", predicted {found.rival_score:.2f}"
    head = facts(
        [
            ("data", "; ".join(found.facts)),
            ("nearest", ", ".join(f"{each.name} ({each.distance:.1f})" for each in found.nearest)),
            ("basis", f"{found.reason}."),
            ("beat first", rival),
        ]
    )
    rows = [[place, *_row(each)] for place, each in enumerate(found.ranked, start=1)]
    body = table(["", "model", "score", "90 % interval", "seconds"], rows)
    return f"{head}\n\n{body}"


def _row(each: RankedCandidate) -> list[str]:
    known = each.score is not None and each.low is not None and each.high is not None
    return [
        each.candidate.name,
        f"{each.score:.2f}" if known else "-",
        f"{each.low:.2f} to {each.high:.2f}" if known else "-",
        f"{each.seconds:.2g}",
    ]


def prediction_text(found: JobPrediction) -> str:
    """What a job takes and reaches, a line each."""
    band = ""
    if found.seconds_low is not None and found.seconds_high is not None:
        band = f", 90 % interval {found.seconds_low:.2g} to {found.seconds_high:.2g}"
    lines = [
        ("seconds", f"{found.seconds:.2g}{band}; {found.around_seconds:.2g} for the run folder"),
        ("memory", f"{found.memory_mb:.0f} MiB"),
        ("disk", f"{found.disk_mb:.2g} MiB"),
        ("circuits", f"{found.circuits:,}"),
    ]
    if found.shots:
        lines.append(("shots", f"{found.shots:,}"))
    if found.qpu_seconds is not None:
        money = "no price is known" if found.money is None else f"{found.money:.2f} to pay"
        lines.append(("QPU", f"{found.qpu_seconds:.1f} s at most, {money}"))
    if found.accuracy is None:
        lines.append(("accuracy", f"not known, outside of the table: {'; '.join(found.outside)}"))
    else:
        score, low, high = found.accuracy
        said = f"{score:.2f} balanced, on held-out rows, 90 % interval {low:.2f} to {high:.2f}"
        lines.append(("accuracy", said))
    lines.append(("not in it", "; ".join(found.notes)))
    return facts(lines)


def advantage_text(found: AdvantageReport) -> str:
    """The verdict, every contender, the differences, and what the circuit is like."""
    contenders = table(
        ["contender", "score", "CPU seconds", "circuits"],
        [
            [each.name.replace("_", " "), f"{each.mean:.3f}", f"{each.seconds:.1f}", each.circuits]
            for each in sorted(found.contenders.values(), key=lambda each: -each.mean)
        ],
    )
    differences = table(
        ["quantum", "against", "difference", "97.5 % interval", "p"],
        [
            [
                quantum, other.replace("_", " "), f"{d.mean:+.3f}",
                f"{d.low:+.3f} to {d.high:+.3f}", f"{d.p_value:.2g}",
            ]
            for (quantum, other), d in found.differences.items()
        ],
    )  # fmt: skip
    kernel = found.kernel
    concentration = (
        f"mean {kernel.mean:.2g}, variance {kernel.variance:.2g} between rows; of random states "
        f"{kernel.random:.2g}; about {kernel.shots:,.0f} shots a pair"
    )
    geometry = (
        f"g {kernel.g:.2f} of at most {kernel.bound:.1f}, least over widths; s classical "
        f"{kernel.s_classical:.0f}, quantum {kernel.s_quantum:.0f}, of {kernel.rows} rows"
    )
    about = facts(
        [
            ("kernel", concentration),
            ("geometry", geometry),
            ("simulable", "; ".join(found.simulability.flags) or "nothing known makes it so"),
            ("folds", f"{found.folds}, of {found.rows:,} rows; scores are balanced accuracy"),
        ]
    )
    head = facts([("verdict", found.verdict), ("because", found.reason)])
    return f"{head}\n\n{contenders}\n\n{differences}\n\n{about}"


def advantage_dict(found: AdvantageReport) -> Table:
    """The report, JSON-ready."""
    simulable = found.simulability
    return {
        "verdict": found.verdict,
        "reason": found.reason,
        "contenders": {
            name: {
                "score": each.mean, "scores": list(each.scores),
                "seconds": each.seconds, "circuits": each.circuits,
            }
            for name, each in found.contenders.items()
        },
        "differences": [
            {"quantum": quantum, "against": other, **d._asdict()}
            for (quantum, other), d in found.differences.items()
        ],
        "kernel": found.kernel._asdict(),
        "simulability": {
            **simulable._asdict(),
            "cuts": [cut._asdict() for cut in simulable.cuts],
            "clifford_share": simulable.clifford_share,
        },
        "folds": found.folds,
        "rows": found.rows,
    }  # fmt: skip


def variants_text(found: Sequence[JobVariant]) -> str:
    """The variants of a job as a table, and why one has no accuracy."""
    rows = [
        [
            "*" if each.on_frontier else "",
            ", ".join(f"{name} = {value}" for name, value in each.changes.items()) or "the job",
            "-" if each.accuracy is None else f"{each.accuracy:.2f}",
            f"{each.prediction.seconds:.2g}",
            each.two_qubit_gates,
            each.depth,
            f"{each.prediction.circuits:,}",
            f"{each.prediction.shots:,}",
        ]
        for each in found
    ]
    header = ["", "variant", "score", "seconds", "2-qubit gates", "depth", "circuits", "shots"]
    tolerant = [each.fault_tolerant for each in found]
    if any(tolerant):
        header += ["T states", "physical qubits", "time of one"]
        for row, cost in zip(rows, tolerant, strict=True):
            assert cost is not None, "estimated for all or for none"
            row += [f"{cost.t_states:,}", f"{cost.physical_qubits:,}", f"{cost.seconds:.2g} s"]
    outside = next((each.prediction.outside for each in found if each.accuracy is None), ())
    text = table(header, rows)
    return f"{text}\n\nNo score: {'; '.join(outside)}." if outside else text


def variant_dict(each: JobVariant) -> Table:
    """A variant, JSON-ready."""
    accuracy, tolerant = each.prediction.accuracy, each.fault_tolerant
    return {
        "changes": dict(each.changes),
        "on_frontier": each.on_frontier,
        "accuracy": None if accuracy is None else accuracy._asdict(),
        "outside": list(each.prediction.outside),
        "seconds": each.prediction.seconds,
        "two_qubit_gates": each.two_qubit_gates,
        "depth": each.depth,
        "circuits": each.prediction.circuits,
        "shots": each.prediction.shots,
        "fault_tolerant": None
        if tolerant is None
        else {**tolerant._asdict(), "logical": tolerant.logical._asdict()},
    }
