"""How bad a broken rule on code is where it stands.

A rule says what may go wrong in a program that runs for days on many machines. Three places are no
such program, and what is found there is a note: tests, which read their own pickles and wait for
their own threads; a program on this machine that is waited for, which Ctrl-C ends; and draws from
a state that the same file has seeded, which give the same numbers as long as one process draws.
"""

from __future__ import annotations

from typing import Final

from qstore_ray.review.catalogue import CODE_LEVELS
from qstore_ray.review.flaw import Level
from qstore_ray.review.rules.base import Violation
from qstore_ray.review.source import SourceFile

_FINE_IN_TESTS: Final = frozenset({"QS102", "QS103"})
_SEEDERS: Final = {
    "random.seed": "random",
    "numpy.random.seed": "numpy",
    "pennylane.numpy.random.seed": "numpy",
    "autograd.numpy.random.seed": "numpy",
    "torch.manual_seed": "torch",
    "tensorflow.random.set_seed": "tensorflow",
    "keras.utils.set_random_seed": "keras",
}
"""What seeds the state of a process → the package whose draws it seeds."""


def is_test(path: str) -> bool:
    """Whether a file is of tests, which repeat lines so that each can be read by itself."""
    return any(part.startswith("test") for part in path.split("/"))


def level_of(violation: Violation, source: SourceFile) -> Level:
    """The level of what a rule on code found in this file."""
    usual = CODE_LEVELS.get(violation.rule, "warning")
    if violation.rule in _FINE_IN_TESTS and is_test(violation.path):
        return "note"
    if violation.rule == "QS103" and violation.message.startswith("subprocess."):
        return "note"
    if violation.rule == "QS101" and violation.message.partition(".")[0] in _seeded(source):
        return "note"
    return usual


def _seeded(source: SourceFile) -> set[str]:
    """The packages whose state the file seeds with a value."""
    calls = ((source.name_of(call.func), call) for call in source.calls())
    return {_SEEDERS[name] for name, call in calls if name in _SEEDERS and call.args}
