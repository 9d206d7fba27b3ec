"""Lanes, sessions, batches, plans and prices of the stand-in, seen by the real client."""

from __future__ import annotations

import pytest
from qiskit_ibm_runtime import Batch, QiskitRuntimeService, Session
from qiskit_ibm_runtime.exceptions import IBMInputValueError, IBMRuntimeError
from qiskit_ibm_runtime.executor_sampler import Sampler

from tests.ibm.faults import Fault
from tests.ibm.sampling import QUICK


def test_at_most_five_jobs_run_at_a_time(start, bell):
    ibm = start(paced=True)
    sampler = Sampler(QiskitRuntimeService().backend("fake_manila"))
    jobs = [sampler.run([bell], shots=20_000) for _ in range(7)]  # 9 s each
    ibm.wait(lambda: sum(job["status"] == "Running" for job in ibm.jobs()) == 5)
    assert [job["status"] for job in ibm.jobs()] == ["Running"] * 5 + ["Queued"] * 2
    assert jobs[0].usage() == 0  # pending


def test_each_backend_has_lanes_of_its_own(start, bell):
    ibm = start(backend=("fake_manila", "fake_quito"), lanes=1, paced=True)
    service = QiskitRuntimeService()
    for name in ("fake_manila", "fake_manila", "fake_quito"):
        Sampler(service.backend(name)).run([bell], shots=20_000)
    ibm.wait(lambda: ibm.jobs()[-1]["status"] == "Running")
    assert [job["status"] for job in ibm.jobs()] == ["Running", "Queued", "Running"]


def test_a_session_is_billed_by_the_clock_until_it_is_idle(ibm, service, bell):
    session = Session(service.backend("fake_manila"), max_time="2h")
    ibm.advance(100)  # before the first job, nothing is billed
    Sampler(session).run([bell], shots=1).result(**QUICK)
    ibm.advance(20)
    assert session.status() == "In progress, accepting new jobs"
    assert session.usage() == pytest.approx(20 + 2, abs=5)
    Sampler(session).run([bell], shots=1).result(**QUICK)
    ibm.advance(1000)  # of which the first minute counts
    assert session.status() == "Pending"
    assert session.usage() == ibm.usage() == pytest.approx(20 + 60 + 2 * 2, abs=10)
    details = session.details()
    assert (details["mode"], details["max_time"]) == ("dedicated", 7200)
    session.close()
    assert session.status() == "Closed"


def test_a_session_without_jobs_is_closed_for_nothing(ibm, service, bell):
    session = Session(service.backend("fake_manila"))
    ibm.advance(1801)
    assert session.status() == "Closed"
    assert ibm.usage() == 0
    with pytest.raises(IBMRuntimeError, match="1217"):
        Sampler(session).run([bell], shots=10)


def test_a_session_takes_no_job_after_close_but_runs_the_queued_ones(start, bell):
    ibm = start()
    ibm.inject(Fault("pause", seconds=3600))
    service = QiskitRuntimeService()
    with Session(service.backend("fake_manila")) as session:
        job = Sampler(session).run([bell], shots=10)
    assert session.status() == "Pending"
    with pytest.raises(IBMRuntimeError, match="The session is closed"):
        Sampler(session).run([bell], shots=10)
    ibm.clear()
    job.result(**QUICK)
    assert session.status() == "Closed"


def test_a_session_is_entered_again_from_another_client(service, bell):
    session = Session(service.backend("fake_manila"))
    fresh = QiskitRuntimeService()
    again = Session.from_id(session.session_id, fresh)
    job = Sampler(again).run([bell], shots=10)
    assert job.session_id == session.session_id
    assert [each.job_id() for each in fresh.jobs(session_id=session.session_id)] == [job.job_id()]
    with pytest.raises(IBMInputValueError, match="dedicated instead of batch"):
        Batch.from_id(session.session_id, fresh)


def test_cancelling_a_session_cancels_its_queued_jobs(start, bell):
    start(queue_delay=3600)
    session = Session(QiskitRuntimeService().backend("fake_manila"))
    job = Sampler(session).run([bell], shots=10)
    session.cancel()
    assert job.status() == "CANCELLED"


def test_an_open_plan_has_no_sessions_and_batches_of_ten_minutes(start, bell):
    ibm = start(plan="open")
    service = QiskitRuntimeService()
    backend = service.backend("fake_manila")
    assert service.usage()["usage_remaining_seconds"] == 600
    with pytest.raises(Exception, match="1352"):
        Session(backend)
    with Batch(backend, max_time="1h") as batch:
        Sampler(batch).run([bell], shots=1000).result(**QUICK)
        assert batch.details()["max_time"] == 600
        assert batch.usage() == ibm.usage() == pytest.approx(2.35)  # the job's, not the clock's


def test_no_job_starts_once_the_usage_limit_is_reached(start, bell):
    ibm = start(usage_limit=2.0)
    service = QiskitRuntimeService()
    sampler = Sampler(service.backend("fake_manila"))
    sampler.run([bell], shots=10).result(**QUICK)
    with pytest.warns(UserWarning, match="met its usage limit"):
        job = sampler.run([bell], shots=10)
    usage = service.usage()
    assert (usage["usage_limit_reached"], usage["usage_remaining_seconds"]) == (True, 0)
    assert job.status() == "QUEUED"
    assert len(ibm.accepted()) == 2
