"""Which jobs are run again after they failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.gateway.failed_job import failed_job_error, may_run_again
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.errors import FailedJobError, RefusedError
from tests.unit.backends.ibm.ledger.gateway import OWNER
from tests.unit.backends.ibm.made import job

JOB = job("x")


@pytest.fixture
def record(tmp_path):
    with Ledger.open(tmp_path, OWNER) as ledger:
        ledger.intent(JOB, HardwareCost())
        yield ledger.records[JOB.key]


@pytest.mark.parametrize(
    ("reason", "fix"),
    [
        ("Error code 3211; Job not valid. 'Invalid parameter expression map type'", "explains"),
        ("Error code 3242; Circuit count exceeded.", "caps.executions"),
        ("Error code 1305; Job ran longer than maximum execution time.", "caps.executions"),
        ("Job c0 ran longer than maximum execution time.", "caps.executions"),
        ("Error code 5302; Failed to publish job: nats: maximum payload exceeded", "caps.exec"),
        ("Error code 1517; Circuits do not match the target definition.", "explains"),
        ("Error code 7001; Instruction ry is not supported.", "explains"),
        ("Error code 6054; The number of qubits is above that of the backend.", "explains"),
    ],
)
def test_a_job_that_is_at_fault_is_not_run_again(record, reason, fix):
    failed = replace(record, reason=reason)
    assert not may_run_again(failed, GatewayPolicy(attempts=3))
    error = failed_job_error(failed)
    assert isinstance(error, RefusedError)
    assert reason in error.message
    assert fix in error.fix


@pytest.mark.parametrize(
    "reason",
    ["Error code 9701; system error", "Error code 1010; Error returned at backend level.",
     "Error code 4001; Job is part of a session that's been closed", "1305 circuits", ""],
)  # fmt: skip
def test_a_failure_of_the_service_is_run_again_as_often_as_it_may(record, reason):
    failed = replace(record, reason=reason, attempts=9, failures=1)
    policy = GatewayPolicy(attempts=2)
    assert may_run_again(failed, policy)
    assert not may_run_again(replace(failed, failures=2), policy)
    assert isinstance(failed_job_error(replace(failed, failures=2)), FailedJobError)
