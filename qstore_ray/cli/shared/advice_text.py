"""Advice as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstore_ray.cli.output import facts, table

if TYPE_CHECKING:
    from qstore_ray.advise.recommend import RankedCandidate, Recommendation


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
