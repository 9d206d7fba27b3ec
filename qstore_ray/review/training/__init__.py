"""Rules for code that trains models, by id. Each reads the tree of one file; none runs it.

    QS110          seeds         a split or a sampler without a seed
    QS111          leaks         statistics of all rows, before the test rows are set apart
    QS112          test_rows     a test set that decides when to stop or what to keep
    QS113          parameters    a trainable parameter that nothing uses
    QS114          ray_calls     tasks of Ray that run one after the other
    QS115          secrets       a secret in the source

The rules for any Python (global random state, pickle, waits, …) are in `review/rules`.

Begin with `base.py`. To add a rule, write `TrainingRule(id=…, bad=…, good=…, check=…)` in a module
of this room, and name it in `TRAINING_RULES`; the tests run every rule on its own two examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from qstore_ray.review.flaw import Flaw
from qstore_ray.review.source import SourceFile
from qstore_ray.review.training.base import Spot, TrainingRule
from qstore_ray.review.training.leaks import FIT_BEFORE_SPLIT
from qstore_ray.review.training.parameters import UNUSED_PARAMETER
from qstore_ray.review.training.ray_calls import RAY_GET_IN_LOOP
from qstore_ray.review.training.secrets import SECRET_IN_SOURCE
from qstore_ray.review.training.seeds import MISSING_SEED
from qstore_ray.review.training.test_rows import TEST_ROWS_DECIDE

__all__ = ["TRAINING_RULES", "Spot", "TrainingRule", "check_training"]

TRAINING_RULES: Final[Mapping[str, TrainingRule]] = MappingProxyType(
    {
        rule.id: rule
        for rule in (
            MISSING_SEED,
            FIT_BEFORE_SPLIT,
            TEST_ROWS_DECIDE,
            UNUSED_PARAMETER,
            RAY_GET_IN_LOOP,
            SECRET_IN_SOURCE,
        )
    }
)
"""Every rule by its id."""


def check_training(
    source: SourceFile, rules: Mapping[str, TrainingRule] = TRAINING_RULES
) -> list[Flaw]:
    """What the rules find in a file, by line.

    A comment `# gate: QS110 because …` on a line of the finding, or alone on the line above it,
    keeps the finding out.
    """
    found = [
        flaw
        for rule in rules.values()
        for flaw in _flaws(source, rule)
        if not _is_excused(source, rule, flaw)
    ]
    return sorted(found, key=lambda flaw: (flaw.line, flaw.rule))


def _flaws(source: SourceFile, rule: TrainingRule) -> Iterator[Flaw]:
    for spot in rule.check(source):
        yield Flaw(
            rule=rule.id,
            level=spot.level or rule.level,
            path=source.path,
            line=spot.node.lineno,
            end_line=_last_line(spot),
            message=spot.message,
            rewrite=spot.rewrite,
            also=tuple(getattr(node, "lineno", 1) for node in spot.also),
        )


def _last_line(spot: Spot) -> int:
    """Of a definition or a branch only the head is the place."""
    if getattr(spot.node, "body", None):
        return spot.node.lineno
    return spot.node.end_lineno or spot.node.lineno


def _is_excused(source: SourceFile, rule: TrainingRule, flaw: Flaw) -> bool:
    return any(
        rule.id in source.excused.get(line, ()) or source.silenced(line) & rule.same_as
        for line in range(flaw.line, flaw.end_line + 1)
    )
