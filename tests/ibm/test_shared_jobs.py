"""A job that several trials share fails: each gets its own job, and one alone has the error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.errors import ConfigError, FailedJobError, QStoreError, RefusedError
from tests.ibm.faults import Fault

TEMPLATE = Template(1, (Op("ry", (0,), (row(0),)),), 1, 0)
TRIALS = ("trial-0000", "trial-0001", "trial-0002")
Answers = dict[str, np.ndarray | QStoreError]
NOT_VALID = {"what": "fail", "code": 3211, "message": "not valid", "seconds": 1.5}
BROKEN = {"what": "fail", "code": 9701, "message": "system error"}
REFUSED = {"what": "status", "status": 400, "code": 1000}


@pytest.fixture
def evaluate(ibm, tmp_path: Path) -> Iterator[Callable[[], Answers]]:
    """What each trial gets for its rows; their requests go into one job."""

    def asked(step: int = 1) -> Answers:
        policy = {"delay": 0.3, "first_poll": 0.02, "longest_poll": 0.1, "first_pause": 0.05,
                  "attempts": 2}  # fmt: skip
        backend = IbmBackend(
            "fake_manila", 64, where="process", ledger=str(tmp_path), level=1, policy=policy
        )
        found: Answers = {}

        def run(trial: str, angle: float) -> None:
            rows = Bindings(np.full((2, 1), angle), np.zeros(0))
            mine, z = backend.for_run("s", trial), (Observable.parse("Z0"),)
            try:
                found[trial] = mine.evaluate(TEMPLATE, z, rows, key=DrawKey((step,))).values
            except QStoreError as exc:
                found[trial] = exc

        threads = [
            threading.Thread(target=run, args=(trial, np.pi * (k % 2)))
            for k, trial in enumerate(TRIALS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    yield asked
    IbmBackend.close_run("s")


def errors(answers: Answers) -> list[QStoreError]:
    """Those of the answers; the others are right."""
    for trial, found in answers.items():
        if not isinstance(found, QStoreError):
            assert (found == (-1.0) ** TRIALS.index(trial)).all()
    return [found for found in answers.values() if isinstance(found, QStoreError)]


def inject(ibm, kind: dict[str, Any], first: int, skip: int) -> None:
    """Hit the first jobs, then one after those that are let pass."""
    ibm.inject(Fault(**kind, times=first))
    ibm.inject(Fault(**kind, skip=skip))


def states(folder: Path) -> list[tuple[JobState, int]]:
    """Of each job in the ledger, how it ended and how many trials shared it."""
    (path,) = folder.rglob(LEDGER)
    records = replay(path.parent).records.values()
    return [(r.state, len({share.trial for share in r.requests})) for r in records]


@pytest.mark.parametrize("skip", [0, 1, 2])
@pytest.mark.parametrize(
    ("kind", "first", "accepted"), [(NOT_VALID, 1, 4), (REFUSED, 1, 2), (BROKEN, 2, 5)]
)
def test_only_the_trial_at_fault_has_the_error(
    ibm, evaluate, tmp_path, kind, first, accepted, skip
):
    inject(ibm, kind, first, skip)
    (error,) = errors(evaluate())
    assert isinstance(error, RefusedError | FailedJobError)
    assert len(ibm.accepted()) == accepted
    completed = [job for job in ibm.accepted().values() if job.end == "completed"]
    assert [job.reads for job in completed] == [1, 1], "nothing that was run is run again"
    IbmBackend.close_run("s")
    (path,) = tmp_path.rglob(LEDGER)
    shared, *parts = (contents := replay(path.parent)).records.values()
    assert contents.successors(shared) == tuple(part.key for part in parts)
    assert [contents.successors(part) for part in parts] == 3 * [()]
    found = states(tmp_path)
    assert found[0] == (JobState.FAILED, 3)
    assert sorted(found[1:]) == sorted([(JobState.FAILED, 1)] + 2 * [(JobState.FINISHED, 1)])


def test_a_service_that_fails_with_every_job_is_not_asked_by_each_trial(ibm, evaluate, tmp_path):
    ibm.inject(Fault(**BROKEN, times=None))
    found = errors(evaluate())
    assert [type(error) for error in found] == 3 * [FailedJobError]
    assert len(ibm.accepted()) == 4, "the job twice, and two parts"
    ibm.clear()
    assert not errors(evaluate(2))


def test_a_service_that_refuses_every_job_is_not_asked_by_each_trial(ibm, evaluate):
    ibm.inject(Fault(**REFUSED, times=None))
    assert len(errors(evaluate())) == 3
    assert ibm.requests()["submit"] == 3


def test_a_key_that_is_refused_is_nobody_s_own_fault(ibm, evaluate):
    ibm.inject(Fault("status", status=401, code=1217, times=None))
    found = errors(evaluate())
    assert [type(error) for error in found] == 3 * [ConfigError]
    assert not ibm.accepted()
