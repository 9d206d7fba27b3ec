"""Rules on code: each reads the syntax tree of a file and reports what goes wrong later.

    for violation in check_source("train.py", text):
        print(violation)

Begin with `base.py`: what a rule and a violation are. `walk.py` reads a file once for all rules,
`surroundings.py` answers what a name was imported as, `suppressions.py` reads the comments that
suppress a rule on a line. One file a rule. To add one, write a file like `pickles.py` and list its
`RULE` in `catalogue.py`. Only the standard library is imported, and no code that is read is run.
"""

from __future__ import annotations

from qstore_ray.review.rules.base import CodeRule, Violation
from qstore_ray.review.rules.catalogue import CODE_RULES
from qstore_ray.review.rules.walk import check_files, check_source

__all__ = ["CODE_RULES", "CodeRule", "Violation", "check_files", "check_source"]
