"""The steps of the first change, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tools.first_change import checks


class Step(NamedTuple):
    """A step: its title, why it is there, what to type, and what is missing ("" if nothing)."""

    title: str
    why: str
    todo: str
    missing: Callable[[], str]


_FILE: Final = '''\
"""Inverse time decay: the learning rate falls as one over the time (Robbins and Monro, 1951)."""

from __future__ import annotations

from pydantic import Field

from qstore_ray.learn.schedules.curve import Curve, Unit


class InverseTime(Curve):
    """f(t) = 1 / (1 + γt).

    Args:
        gamma: γ, above 0.
        unit: epoch or step.
    """

    unit: Unit = "epoch"
    gamma: float = Field(gt=0.0)

    def at(self, t: float, total: float) -> float:
        """The factor after t epochs or steps."""
        return 1.0 / (1.0 + self.gamma * t)'''

_TEST: Final = """\
def test_inverse_time_has_half_the_rate_after_one_over_gamma():
    schedule = get_schedule("inverse_time", {"gamma": 0.25})
    assert schedule.at(0, 10) == 1.0
    assert schedule.at(4, 10) == 0.5"""

STEPS: Final = (
    Step(
        "Work on a branch",
        "A branch can be thrown away, and a reviewer sees only your change.",
        "git switch -c first-change",
        checks.on_a_branch,
    ),
    Step(
        f"Write {checks.FILE}",
        "A member of a family is one file. exponential.py beside it is the pattern: the "
        "mathematics first, then the arguments. Curve does the rest.",
        f"Put this into {checks.FILE}:\n\n{_FILE}",
        checks.file_written,
    ),
    Step(
        "Register the name",
        "The registry imports a member when it is opened, so that a list of names costs nothing.",
        'In qstore_ray/learn/schedules/__init__.py, after the line of "exponential":\n\n'
        '        "inverse_time": f"{_HERE}.inverse_time:InverseTime",',
        checks.registered,
    ),
    Step(
        "Put it under the laws",
        "Laws are tests that hold for every member: bounded, resumable, the same in every process.",
        f'In the list MEMBERS of {checks.LAWS}, after those of "exponential":\n\n'
        '    ("inverse_time", {"gamma": 0.3}),\n'
        '    ("inverse_time", {"gamma": 0.01, "unit": "step"}),\n\n'
        f"    make test ARGS='{checks.LAWS} -k inverse_time'",
        checks.laws_hold,
    ),
    Step(
        "Test a limit with a known answer",
        "What is special about this member is in no law. Break the formula once, and see it fail.",
        f"At the end of {checks.LAWS}, after two empty lines:\n\n{_TEST}",
        checks.limit_tested,
    ),
    Step(
        "Document it",
        "tests/unit/test_docs.py compares the tables of the guides with the registries.",
        f"In the table of schedules in {checks.GUIDE}, after the row of `exponential`:\n\n"
        "| `inverse_time` | 1 / (1 + gamma · t) | epoch |",
        checks.documented,
    ),
    Step(
        "Tell the users",
        "Whatever a user notices has a line in the changelog.",
        "In CHANGELOG.md, as the first line of the list below the unreleased version:\n\n"
        "- The schedule `inverse_time` lowers the learning rate as 1 / (1 + gamma · t).",
        checks.in_changelog,
    ),
    Step(
        "Use it",
        "A change is done when it was used.",
        ".venv/bin/qstore train jobs/digits.toml --workers 0 --epochs 3 --name first-change \\\n"
        "    --fresh --set trainer.schedule=inverse_time --set trainer.schedule_options.gamma=0.5",
        checks.used,
    ),
    Step(
        "Check lint, format, types and layers",
        "This takes a minute or two, longest for the types. `make format` fixes the format.",
        "make check",
        checks.clean,
    ),
    Step(
        "Commit",
        "The subject says what the commit does, as an order, in at most 72 characters.",
        "git add --all qstore_ray tests docs CHANGELOG.md\n"
        'git commit --message "Add the schedule inverse_time"',
        checks.committed,
    ),
)  # fmt: skip

DONE: Final = """\
Done: that was a whole change. `git show --stat` lists it.

This one was for practice: `git switch main && git branch -D first-change` removes it. For one of
your own, CONTRIBUTING.md lists the families and where their members are registered and tested, and
docs/reviewing.md says what a reviewer looks at. Push the branch to your fork, and open a pull
request; its form asks for the same steps.
"""
