"""What the real client does when the service fails: each fault as the client sees it.

Waiting times between the client's own retries are set to zero; how often it retries is not changed.
"""

from __future__ import annotations

import pytest
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import QiskitRuntimeService, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMNotAuthorizedError,
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobTimeoutError,
)
from qiskit_ibm_runtime.executor_sampler import Sampler
from urllib3.util.retry import Retry

from tests.ibm.faults import Fault, Faults

QUICK = {"poll_interval": 0.1}


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch):
    monkeypatch.setattr(Retry, "get_backoff_time", lambda retry: 0.0)


def sampler_of(service, tag="t"):
    options = {"environment": {"job_tags": [tag]}}
    return Sampler(service.backend("fake_manila"), options=options)


# a submission whose answer is lost


def test_one_run_becomes_three_jobs_after_two_bad_gateways(ibm, service, bell):
    ibm.inject(Fault("status", status=502, after_effect=True, times=2))
    job = sampler_of(service).run([bell], shots=10)
    job.result(**QUICK)
    accepted = ibm.accepted()
    assert ibm.requests()["submit"] == 3
    assert list(accepted) == sorted(accepted)
    assert job.job_id() == list(accepted)[-1]
    assert len({entry.body for entry in accepted.values()}) == 1
    assert [entry.reads for entry in accepted.values()] == [0, 0, 1]
    assert len(service.jobs(job_tags=["t"])) == 3


def test_a_storm_of_500_is_retried_five_times_and_may_leave_six_jobs(ibm, service, bell):
    sampler = sampler_of(service)
    for after_effect, left in ((False, 0), (True, 6)):
        ibm.inject(Fault("status", status=500, times=6, after_effect=after_effect))
        before = ibm.requests().get("submit", 0)
        with pytest.raises(IBMRuntimeError, match="too many 500 error responses"):
            sampler.run([bell], shots=10)
        assert ibm.requests()["submit"] - before == 6
        assert len(ibm.accepted()) == left


@pytest.mark.parametrize("what", ["drop", "truncate"])
def test_a_lost_answer_raises_without_a_retry_and_the_job_exists(ibm, service, bell, what):
    ibm.inject(Fault(what, after_effect=True))
    with pytest.raises((IBMRuntimeError, RequestsApiError, ValueError)):
        sampler_of(service, "lost").run([bell], shots=10)
    (job,) = service.jobs(job_tags=["lost"])
    job.result(**QUICK)
    assert ibm.requests()["submit"] == 1
    assert [entry.reads for entry in ibm.accepted().values()] == [1]


def test_a_dropped_submission_without_effect_leaves_nothing(ibm, service, bell):
    ibm.inject(Fault("drop"))
    with pytest.raises(IBMRuntimeError):
        sampler_of(service).run([bell], shots=10)
    assert ibm.accepted() == {}


def test_a_new_job_is_missing_in_a_search_by_tags_for_a_while(start, bell):
    ibm = start(tag_delay=100, speed=100)
    service = QiskitRuntimeService()
    job = sampler_of(service, "slow").run([bell], shots=10)
    assert service.jobs(job_tags=["slow"]) == []
    assert [found.job_id() for found in service.jobs()] == [job.job_id()]
    ibm.wait(lambda: service.jobs(job_tags=["slow"]))


# too many requests


@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_429_on_submission_is_never_retried(ibm, service, bell, retry_after):
    ibm.inject(Fault("status", status=429, code=1202, retry_after=retry_after))
    with pytest.raises(IBMRuntimeError, match="429"):
        sampler_of(service).run([bell], shots=10)
    assert ibm.requests()["submit"] == 1
    assert ibm.accepted() == {}


def test_429_on_a_poll_ends_the_wait_unless_it_says_when_to_retry(start, bell):
    ibm = start(speed=1000)  # "Retry-After: 0"
    job = sampler_of(QiskitRuntimeService()).run([bell], shots=10)
    ibm.inject(Fault("status", on="job", status=429))
    with pytest.raises(RequestsApiError) as raised:
        job.result(**QUICK)
    assert raised.value.status_code == 429
    ibm.inject(Fault("status", on="job", status=429, retry_after=1.0))
    job.result(**QUICK)
    assert len(ibm.accepted()) == 1


# credentials


def test_a_revoked_token_stays_refused_until_the_client_asks_for_a_new_one(ibm, service, bell):
    sampler = sampler_of(service)
    ibm.inject(Fault("revoke_tokens"))
    for _ in range(2):
        with pytest.raises(IBMNotAuthorizedError):
            service.usage()
    with pytest.raises(QiskitBackendNotFoundError):  # and no word about the token
        sampler.run([bell], shots=10)
    assert ibm.accepted() == {}
    for client in service._get_api_clients().values():
        client._session.auth.tm.expire_time = 0
    sampler.run([bell], shots=10)
    assert len(ibm.accepted()) == 1


def test_a_token_is_renewed_before_it_expires(ibm, service, bell):
    sampler = sampler_of(service)
    issued = ibm.requests()["token"]
    (client,) = service._get_api_clients().values()
    client._session.auth.tm.refresh_time = 0  # as after 80 % of its life
    sampler.run([bell], shots=10)
    assert ibm.requests()["token"] == issued + 1


def test_a_token_of_ten_seconds_is_renewed_for_every_request(start):
    ibm = start(token_life=10)
    service = QiskitRuntimeService()
    issued = ibm.requests()["token"]
    for _ in range(3):
        service.usage()
    assert ibm.requests()["token"] == issued + 3


def test_the_raw_key_is_sent_when_no_token_is_given_out(ibm, service):
    (client,) = service._get_api_clients().values()
    client._session.auth.tm.expire_time = 0
    ibm.inject(Fault("status", on="token", status=500, times=None))
    with pytest.warns(UserWarning, match="API Key will be used instead"):
        service.usage()
    (entry,) = [entry for entry in ibm.journal() if entry["event"] == "raw_key"]
    assert entry["kind"] == "usage"
    # The next request waits a minute before it asks again: the failed one still counts as active.
    assert client._session.auth.tm.request_time > 0


def test_a_wrong_key_is_refused(ibm, monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "wrong")
    with pytest.raises(Exception, match="valid API token"):
        QiskitRuntimeService()
    assert ibm.requests()["token"] >= 1


# the end of a job


def test_a_failed_job_says_why_and_costs_nothing(ibm, service, bell):
    ibm.inject(Fault("fail", code=9999, message="internal error"))
    job = sampler_of(service).run([bell], shots=10)
    with pytest.raises(RuntimeJobFailureError, match=r"9999.*internal error"):
        job.result(**QUICK)
    assert job.status() == "ERROR"
    assert ibm.usage() == 0
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


def test_the_time_limit_of_a_session_counts_from_its_first_job(start, bell):
    ibm = start(speed=1000)
    session = Session(QiskitRuntimeService().backend("fake_manila"), max_time=30)
    Sampler(session).run([bell], shots=1).result(**QUICK)
    ibm.wait(lambda: session.status() == "Closed")
    assert 30 <= session.usage() <= 33


# maintenance


def test_maintenance_refuses_everything_and_ends(start, bell):
    ibm = start(speed=3600)
    service = QiskitRuntimeService()
    sampler = sampler_of(service)
    ibm.inject(Fault("maintenance", seconds=100 * 3600))
    with pytest.raises(RequestsApiError, match="too many 503 error responses") as raised:
        service.usage()
    assert raised.value.status_code == -1
    with pytest.raises(QiskitBackendNotFoundError):  # and no word about maintenance
        sampler.run([bell], shots=10)
    ibm.clear()
    ibm.inject(Fault("maintenance", seconds=360))
    ibm.wait(lambda: service_answers(service))
    sampler.run([bell], shots=10).result(**QUICK)
    assert len(ibm.accepted()) == 1


def service_answers(service):
    try:
        service.usage()
    except RequestsApiError:
        return False
    return True


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
