"""Every rule of this repository: a fault that it finds, and what it lets pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gates.repositories import repository
from tools.gates import ALL_RULES, violations_of
from tools.gates.rules import (
    REPOSITORY_RULES,
    documented,
    examples,
    names,
    raises,
    reach,
    units,
    wall_clock,
)

DOC = '"""A module."""\n'
TEXT = {
    documented.RULE: (
        [
            "x = 1",
            f"{DOC}def f(): pass",
            f"{DOC}class A:\n    '''A.'''\n    def f(self): pass",
            f"{DOC}if sys.platform == 'win32':\n    def f(): pass",
            f"{DOC}try:\n    import a\nexcept ImportError:\n    async def f(): pass",
        ],
        [DOC, f"{DOC}def _f(): pass", f"{DOC}def f():\n    '''Effect.'''"],
    ),
    raises.RULE: (
        [
            f"{DOC}def f():\n    '''Effect.'''\n    raise DataError('no')",
            (
                f"{DOC}class A:\n    '''A.'''\n    def f(self):\n        '''B.'''\n"
                "        if x:\n            raise errors.DataError('no') from None"
            ),
            (
                f"{DOC}def f():\n    '''Effect.'''\n    error = DataError('no')\n"
                "    raise error from cause"
            ),
            (
                f"{DOC}def f():\n    '''Effect.'''\n    with open(path):\n"
                "        raise OSError('no')"
            ),
        ],
        [
            (
                f"{DOC}def f():\n    '''Effect.\n\n    Raises:\n        DataError: no.'''\n"
                "    raise DataError('no')"
            ),
            f"{DOC}def f():\n    '''Effect.'''\n    raise",
            (
                f"{DOC}def f():\n    '''Effect.'''\n    with self._translated('open'):\n"
                "        raise OSError('no')"
            ),
            f"{DOC}def f():\n    '''Effect.'''\n    def g():\n        raise DataError('no')",
            f"{DOC}def _f():\n    '''Effect.'''\n    raise DataError('no')",
        ],
    ),
    units.RULE: (
        [
            f"{DOC}def f(timeout: float):\n    '''Wait at most `timeout`.'''",
            f"{DOC}class A:\n    '''Turned by an angle.'''\n    angle: float = 0.0",
            f"{DOC}def f(*, file_size: int | None):\n    '''Of that size.'''",
        ],
        [
            f"{DOC}def f(timeout: float):\n    '''Wait at most `timeout` seconds.'''",
            f"{DOC}def f(angle: float):\n    '''Turn by an angle in radians.'''",
            f"{DOC}def f(timeout: str):\n    '''Wait at most `timeout`.'''",
            f"{DOC}def f(size: int):\n    '''Of that size.'''",
        ],
    ),
    names.RULE: (
        [
            f"{DOC}class RunManager: pass",
            f"{DOC}def load_v2(): pass",
            f"{DOC}def smart_fit(): pass",
            f"{DOC}async def fit_utility(): pass",
        ],
        [f"{DOC}class Run: pass", f"{DOC}def management(): pass", f"{DOC}def v_of(): pass"],
    ),
    wall_clock.RULE: (
        [
            f"{DOC}import time\ntook = time.time() - began",
            f"{DOC}from datetime import datetime\nleft = until - datetime.now(UTC)",
            f"{DOC}from time import time\ndef _f():\n    return time() - began",
            f"{DOC}import time as clock\ntook = clock.time() - began",
            f"{DOC}import datetime as dt\nleft = until - dt.datetime.utcnow()",
            f"{DOC}from datetime import datetime as Date\nif (now := Date.now()) > until: pass",
        ],
        [
            f"{DOC}import time\ntook = time.monotonic() - began",
            f"{DOC}from datetime import datetime\nnow = datetime.now(UTC).isoformat()",
            f"{DOC}from time import monotonic as time\ntook = time() - began",
            f"{DOC}took = self.time() - began",
        ],
    ),
}


@pytest.mark.parametrize(
    ("rule", "text"),
    [(rule, text) for rule, (faults, _) in TEXT.items() for text in faults],
    ids=lambda value: getattr(getattr(value, "rule", None), "id", "text"),
)
def test_a_planted_fault_is_found(rule, text) -> None:
    (_found,) = rule.find(repository(qstore_ray__a=text))


@pytest.mark.parametrize(
    ("rule", "text"),
    [(rule, text) for rule, (_, good) in TEXT.items() for text in good],
    ids=lambda value: getattr(getattr(value, "rule", None), "id", "text"),
)
def test_what_keeps_the_rule_passes(rule, text) -> None:
    assert list(rule.find(repository(qstore_ray__a=text))) == []


def test_a_method_that_a_protocol_documents_needs_no_docstring() -> None:
    text = (
        f"{DOC}class P(Protocol):\n    '''P.'''\n    def run(self):\n        '''Runs.'''\n"
        "class A:\n    '''A.'''\n    def run(self): pass"
    )
    assert list(documented.RULE.find(repository(qstore_ray__a=text))) == []


EXPORTS = f"{DOC}_EXPORTS = {{'f': 'qstore_ray.a'}}\n"


@pytest.mark.parametrize(
    ("own", "example", "shown"),
    [
        ("Effect.", "g(1)", False),
        ("Effect.", "f(1)", True),
        ("Effect.\\n\\nExamples:\\n    f(1)", "g(1)", True),
    ],
)
def test_an_exported_name_that_no_example_shows_is_found(
    own: str, example: str, shown: bool
) -> None:
    files = {"qstore_ray__a": f'{DOC}def f():\n    "{own}"', "examples__b": example}
    found = list(examples.RULE.find(repository(qstore_ray__init=EXPORTS, **files)))
    assert [path for path, _ in found] == ([] if shown else ["qstore_ray/a.py"])


def test_a_guide_shows_a_name_in_its_code_and_not_in_its_prose(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    guide = tmp_path / "docs" / "a.md"
    files = {"qstore_ray__init": EXPORTS, "qstore_ray__a": f"{DOC}def f():\n    'Effect.'"}
    (tmp_path / "README.md").write_text("`f` is a function.\n")
    guide.write_text("Call f.\n```console\nf\n```\n")
    assert len(list(examples.RULE.find(repository(tmp_path, **files)))) == 1
    guide.write_text("Call it:\n```python\nf(1)\n```\n")
    assert list(examples.RULE.find(repository(tmp_path, **files))) == []


JOB = """\
[model]
encoding = "angle"
ansatz = "strongly_entangling"
n_qubits = 3
layers = 2
observables = "{observables}"
"""


@pytest.mark.parametrize(("observables", "dead"), [("z", True), ("x+z", False)])
def test_a_job_that_trains_what_it_does_not_measure_is_found(
    tmp_path: Path, observables: str, dead: bool
) -> None:
    (tmp_path / "jobs").mkdir()
    job = tmp_path / "jobs" / "a.toml"
    job.write_text('name = "a"\n\n' + JOB.format(observables=observables))
    found = [each for each in reach.RULE.find(repository(tmp_path)) if each[0] == "jobs/a.toml"]
    assert bool(found) == dead
    if dead:
        assert found[0][1].line == 3
        assert "3 of 18 parameters (10, 13, 16) reach no observable." in found[0][1].message


def test_of_the_bundled_ansatze_only_qcnn_has_a_dead_angle() -> None:
    """An RZ right before its qubit becomes a control; a planted one is found in the same way."""
    assert [name for name, _ in reach.unreached_in_ansatze()] == ["qcnn"]


def test_a_comment_suppresses_a_rule_of_the_repository_too() -> None:
    fault = f"{DOC}class RunManager:  # gate: QS205 because Ray calls it so\n    '''A.'''"
    assert violations_of(repository(qstore_ray__a=fault), [names.RULE]) == []
    gone = f"{DOC}class Run:  # gate: QS205 because Ray calls it so\n    '''A.'''"
    (found,) = violations_of(repository(qstore_ray__a=gone), [names.RULE])
    assert found.rule == "QS002"


def test_tests_may_pickle_and_wait_but_not_draw_from_the_state_of_the_process() -> None:
    text = "import pickle, random\npickle.loads(x)\nthread.join()\nrandom.seed(1)"
    assert {v.rule for v in violations_of(repository(tests__a=text), [])} == {"QS101"}
    assert len(violations_of(repository(jobs__a=text), [])) == 3


def test_every_rule_has_an_id_of_its_own_and_cases_here() -> None:
    ids = [rule.id for rule in ALL_RULES]
    assert len(set(ids)) == len(ids)
    assert {*TEXT, examples.RULE, reach.RULE} == set(REPOSITORY_RULES)
