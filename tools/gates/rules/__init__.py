"""Rules of this repository, one file each; `base.py` says what they are.

The rules for any program are in `qstore_ray/review/rules/`, where `qstore review` has them too.
"""

from __future__ import annotations

from tools.gates.rules import documented, examples, names, raises, reach, units, wall_clock
from tools.gates.rules.base import RepositoryRule

__all__ = ["REPOSITORY_RULES", "RepositoryRule"]

REPOSITORY_RULES: tuple[RepositoryRule, ...] = (
    reach.RULE,
    documented.RULE,
    raises.RULE,
    units.RULE,
    examples.RULE,
    names.RULE,
    wall_clock.RULE,
)
"""In the order of their ids."""
