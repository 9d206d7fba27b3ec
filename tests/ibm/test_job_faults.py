"""Failed and lost jobs, ended sessions and maintenance, as the real client sees them."""

from __future__ import annotations

import pytest
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import QiskitRuntimeService, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobTimeoutError,
)
from qiskit_ibm_runtime.executor_sampler import Sampler

from tests.ibm.faults import Fault, Faults
from tests.ibm.sampling import QUICK, sampler_of

pytestmark = pytest.mark.usefixtures("no_backoff")

# the end of a job


@pytest.mark.parametrize("seconds", [0.0, 1.5])  # the service's fault, the user's fault
def test_a_failed_job_says_why_and_what_it_costs(ibm, service, bell, seconds):
    ibm.inject(Fault("fail", code=9999, message="internal error", seconds=seconds))
    job = sampler_of(service).run([bell], shots=10)
    with pytest.raises(RuntimeJobFailureError, match=r"9999.*internal error"):
        job.result(**QUICK)
    assert job.status() == "ERROR"
    assert job.usage() == ibm.usage() == seconds
    assert [entry.reads for entry in ibm.accepted().values()] == [0]


def test_a_circuit_in_other_instructions_fails_its_job(ibm, service, bell):
    circuit = bell.copy()
    circuit.ry(0.1, 0)
    job = sampler_of(service).run([circuit], shots=10)
    with pytest.raises(RuntimeJobFailureError, match=r"7001.*ry"):
        job.result(**QUICK)


def test_a_job_cancelled_by_the_service_has_no_result(ibm, service, bell):
    ibm.inject(Fault("cancel", skip=1))
    first, second = (sampler_of(service).run([bell], shots=10) for _ in range(2))
    first.result(**QUICK)
    with pytest.raises(RuntimeInvalidStateError):
        second.result(**QUICK)
    assert [entry.end for entry in ibm.accepted().values()] == ["completed", "cancelled"]


def test_a_partial_result_is_not_decoded(ibm, service, bell):
    ibm.inject(Fault("partial"))
    job = sampler_of(service).run([bell, bell], shots=10)
    with pytest.raises(ValueError, match=r"circuit metadata items \(2\).*pubs \(1\)"):
        job.result(**QUICK)
    assert job.status() == "DONE"


def test_a_lost_result_is_not_found(ibm, service, bell):
    ibm.inject(Fault("lose_result"))
    job = sampler_of(service).run([bell], shots=10)
    with pytest.raises(RequestsApiError) as raised:
        job.result(**QUICK)
    assert raised.value.status_code == 404
    assert job.status() == "DONE"


def test_a_result_cut_off_on_its_way_can_be_read_again(ibm, service, bell):
    ibm.inject(Fault("truncate", on="results"))
    job = sampler_of(service).run([bell], shots=1000)
    with pytest.raises(RequestsApiError):
        job.result(**QUICK)
    assert job.result(**QUICK)[0].data.c.num_shots == 1000
    assert [entry.reads for entry in ibm.accepted().values()] == [2]


# sessions


def test_queued_jobs_fail_when_their_session_reaches_its_time_limit(start, bell):
    ibm = start()
    session = Session(QiskitRuntimeService().backend("fake_manila"))
    ibm.inject(Fault("pause", seconds=3600))
    job = Sampler(session).run([bell], shots=10)
    ibm.inject(Fault("close_sessions"))
    with pytest.raises(RuntimeJobFailureError, match=r"1217.*Session has been closed"):
        job.result(**QUICK)
    with pytest.raises(IBMRuntimeError, match="1217"):
        Sampler(session).run([bell], shots=10)
    assert session.status() == "Closed"
    assert ibm.usage() == 0


def test_the_time_limit_of_a_session_counts_from_its_first_job(ibm, service, bell):
    session = Session(service.backend("fake_manila"), max_time=3600)
    ibm.advance(1000)
    Sampler(session).run([bell], shots=1).result(**QUICK)
    ibm.inject(Fault("pause", seconds=4000))
    job = Sampler(session).run([bell], shots=1)
    ibm.advance(3550)
    assert session.status() == "In progress, accepting new jobs"
    assert job.status() == "QUEUED"
    ibm.advance(50)
    assert session.status() == "Closed"
    with pytest.raises(RuntimeJobFailureError, match="1217"):
        job.result(**QUICK)
    assert session.usage() == pytest.approx(3602, abs=1)


# maintenance


def test_maintenance_refuses_everything_and_ends(ibm, service, bell):
    sampler = sampler_of(service)
    ibm.inject(Fault("maintenance", seconds=3600))
    with pytest.raises(RequestsApiError, match="too many 503 error responses") as raised:
        service.usage()
    assert raised.value.status_code == -1
    with pytest.raises(QiskitBackendNotFoundError):  # and no word about maintenance
        sampler.run([bell], shots=10)
    ibm.advance(3600)
    sampler.run([bell], shots=10).result(**QUICK)
    assert len(ibm.accepted()) == 1


def test_an_hour_of_maintenance_may_last_moments(start, bell):
    ibm = start(speed=36_000)
    service = QiskitRuntimeService()
    ibm.inject(Fault("pause", seconds=3600))
    sampler_of(service).run([bell], shots=10).result(**QUICK)


def test_a_paused_backend_accepts_jobs_and_starts_none(ibm, service, bell):
    backend = service.backend("fake_manila")
    ibm.inject(Fault("pause", seconds=3600))
    job = Sampler(backend).run([bell], shots=10)
    status = backend.status()
    assert (status.operational, status.status_msg, status.pending_jobs) == (False, "maintenance", 1)
    with pytest.raises(RuntimeJobTimeoutError):
        job.wait_for_final_state(timeout=0.05, **QUICK)
    ibm.clear()
    job.result(**QUICK)


def test_an_answer_may_be_late(start, bell):
    ibm = start(speed=100)
    service = QiskitRuntimeService()
    ibm.inject(Fault("delay", seconds=5))
    sampler_of(service).run([bell], shots=10).result(**QUICK)
    (accepted,) = [entry for entry in ibm.journal() if entry["event"] == "accepted"]
    (late,) = [entry for entry in ibm.journal() if entry["event"] == "fault" and "kind" in entry]
    assert accepted["at"] - late["at"] >= 5


# the faults themselves


def test_a_fault_lets_some_pass_and_then_hits_some():
    faults = Faults()
    faults.add(Fault("status", on="job", skip=2, times=2), 0.0)
    hits = [faults.for_request(kind) is not None for kind in ("job", "submit", *["job"] * 4)]
    assert hits == [False, False, False, True, True, False]


def test_faults_of_jobs_and_requests_wait_apart_and_are_forgotten():
    faults = Faults()
    for fault in (Fault("fail"), Fault("drop", on="any", times=None)):
        faults.add(fault, 0.0)
    assert faults.for_job() == Fault("fail")
    assert faults.for_job() is None
    assert [faults.for_request("usage").what for _ in range(3)] == ["drop"] * 3
    faults.clear()
    assert faults.for_request("usage") is None
