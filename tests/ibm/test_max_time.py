"""`max_time` ends each job in job mode, and a batch or session in the other modes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.errors import ConfigError, RefusedError

TEMPLATE = Template(1, (Op("ry", (0,), (row(0),)),), 1, 0)


@pytest.fixture
def measure(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """One job of two rows with these options."""

    def measured(shots: int = 16, **options: Any) -> None:
        backend = IbmBackend(
            "fake_manila", shots, where="process", ledger=str(tmp_path), level=1,
            policy={"first_poll": 0.02}, **options,
        ).for_run("run")  # fmt: skip
        rows = Bindings(np.zeros((2, 1)), np.zeros(0))
        backend.evaluate(TEMPLATE, (Observable.parse("Z0"),), rows, key=DrawKey((1,)))

    yield measured
    close_gateways()


def limits(ibm) -> list[int | None]:
    """Of each job, the seconds after which the service ends it."""
    return [job["cost"] for job in ibm.jobs()]


@pytest.mark.parametrize("options", [{}, {"estimator": {"resilience_level": 0}}], ids=str)
def test_a_job_alone_has_it_as_its_own_limit(ibm, measure, options):
    measure(max_time=90, **options)
    assert limits(ibm) == [90]


def test_without_it_a_job_has_the_limit_of_the_plan(ibm, measure):
    measure()
    assert limits(ibm) == [None]


def test_in_a_batch_it_is_the_limit_of_the_batch(ibm, measure):
    measure(mode="batch", max_time=90)
    assert limits(ibm) == [None]


def test_a_job_that_reaches_it_is_paid_once_and_not_run_again(ibm, measure, tmp_path):
    with pytest.raises(RefusedError, match=r"not submitted again: .*maximum execution time"):
        measure(shots=10_000, max_time=2)
    assert len(ibm.accepted()) == 1
    assert ibm.usage() == 2.0
    (path,) = tmp_path.rglob(LEDGER)
    close_gateways()
    (record,) = replay(path.parent).records.values()
    assert (record.state, sum(record.usage.values())) == (JobState.FAILED, 2.0)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"max_time": 10_801}, "IBM ends every job after 10800 s"),
        ({"max_time": 9, "sampler": {"max_execution_time": 8}}, "both limit a job"),
        ({"max_time": 9, "estimator": {"max_execution_time": 8}}, "both limit a job"),
    ],
)
def test_what_a_job_cannot_have_is_refused_before_it_is_submitted(ibm, measure, options, why):
    with pytest.raises(ConfigError, match=why) as raised:
        measure(**options)
    assert raised.value.field == "max_time"
    assert not ibm.accepted()
