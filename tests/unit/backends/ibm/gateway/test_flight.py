"""One job on its way, with a service that does what each test says."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.gateway.billing import PendingBills
from qstore_ray.backends.ibm.gateway.flight import Flight
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.service.client import JobStatus
from qstore_ray.errors import TransientError
from tests.unit.backends.ibm.ledger.gateway import OWNER
from tests.unit.backends.ibm.made import job

JOB = job("x")
POLICY = GatewayPolicy(tag_delay=30.0)


class Service:
    """A client of a service in memory."""

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.index_lags = False
        self.answers = True

    def find(self, tag: str) -> dict[str, JobStatus]:
        jobs = {} if self.index_lags else self.jobs
        return {name: JobStatus(outcome) for name, outcome in jobs.items()}

    @property
    def session(self) -> Service:
        return self

    def open(self) -> str:
        return ""

    def submit(self, *_: object) -> str:
        name = f"job-{len(self.jobs) + 1}"
        self.jobs[name] = "waiting"
        if not self.answers:
            raise TransientError("no answer")
        return name

    def cancel(self, name: str) -> bool:
        self.jobs[name] = "cancelled"
        return True

    def state(self, name: str) -> JobStatus:
        return JobStatus(self.jobs[name])

    def arrays(self, name: str, names: list[str], shapes: object) -> dict[str, np.ndarray]:
        return dict.fromkeys(names, np.zeros(1))

    def seconds(self, name: str) -> float:
        return 0.0

    def forget(self, name: str) -> None:
        pass


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path, OWNER) as opened:
        opened.intent(JOB, HardwareCost())
        yield opened


def flight(ledger: Ledger, service: Service, *, can_submit: bool = True) -> Flight:
    pubs = list if can_submit else None
    bills = PendingBills(service, ledger, POLICY, lambda: 0.0)
    return Flight(JOB.key, service, ledger, POLICY, bills, pubs, {}, now=0.0)


def test_a_job_whose_submission_had_no_answer_is_not_given_up_before_the_index_is_sure(ledger):
    service = Service()
    service.answers, service.index_lags = False, True
    on_its_way = flight(ledger, service)
    assert not on_its_way.advance(0.0)
    assert not on_its_way.cancel("its trial has ended")
    assert not on_its_way.advance(2.0)
    assert ledger.records[JOB.key].state is JobState.LOOKED_UP
    assert not on_its_way.cancel("its trial has ended"), "one empty look-up says nothing"
    service.index_lags = False
    assert not on_its_way.advance(4.0)
    assert on_its_way.cancel("its trial has ended")
    assert service.jobs == {"job-1": "cancelled"}


def test_a_later_process_waits_for_the_index_too(ledger):
    service = Service()
    service.answers, service.index_lags = False, True
    flight(ledger, service).advance(0.0)
    ledger.looked_up(JOB.key, [])
    ledger.close()
    with Ledger.open(ledger.folder, OWNER) as again:
        resumed = flight(again, service, can_submit=False)
        assert not resumed.advance(29.0)
        service.index_lags = False
        service.jobs["job-1"] = "done"
        assert not resumed.advance(30.0)
        assert resumed.advance(31.0)
        assert again.records[JOB.key].state is JobState.FINISHED


def test_a_job_that_is_found_after_it_was_given_up_is_cancelled(ledger):
    service = Service()
    service.answers, service.index_lags = False, True
    flight(ledger, service).advance(0.0)
    ledger.looked_up(JOB.key, [])
    ledger.cancelled(JOB.key, "no answer for an hour")
    ledger.looked_up(JOB.key, ["job-1"])
    assert flight(ledger, service, can_submit=False).advance(0.0)
    assert service.jobs == {"job-1": "cancelled"}
    assert dict(ledger.records[JOB.key].duplicates) == {"job-1": "cancelled"}


def test_a_job_that_the_index_had_not_for_too_long_is_cancelled_when_it_appears(ledger):
    service = Service()
    service.answers, service.index_lags = False, True
    on_its_way = flight(ledger, service)
    assert not on_its_way.advance(0.0)
    service.answers = True
    assert not on_its_way.advance(31.0)
    assert list(service.jobs) == ["job-1", "job-2"]
    service.index_lags, service.jobs["job-2"] = False, "done"
    assert on_its_way.advance(32.0)
    record = ledger.records[JOB.key]
    assert (record.state, record.job_id) == (JobState.FINISHED, "job-2")
    assert dict(record.duplicates) == {"job-1": "cancelled"}
    assert service.jobs["job-1"] == "cancelled"
