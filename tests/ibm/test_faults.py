"""What the real client does when the service fails: each fault as the client sees it.

Waiting times between the client's own retries are set to zero; how often it retries is not changed.
"""

from __future__ import annotations

import pytest
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.api import client_parameters
from qiskit_ibm_runtime.api.auth import CloudAuth
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMNotAuthorizedError, IBMRuntimeError
from requests.adapters import HTTPAdapter

from tests.ibm.faults import Fault
from tests.ibm.journal import lost, open_jobs
from tests.ibm.sampling import QUICK, sampler_of

pytestmark = pytest.mark.usefixtures("no_backoff", "own_auth")


@pytest.fixture
def own_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client signs requests as it does by itself, also after a gateway was in this process."""
    monkeypatch.setattr(client_parameters, "CloudAuth", CloudAuth)


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
    ibm.wait(lambda: open_jobs(ibm.accepted()) == [])
    assert lost(ibm.accepted()) == list(accepted)[:2]
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


def test_a_client_that_does_not_retry_posts_leaves_one_job(ibm, service, bell):
    sampler = sampler_of(service)
    for client in service._get_api_clients().values():
        client._session.mount("http://", HTTPAdapter(max_retries=0))
    ibm.inject(Fault("status", status=502, after_effect=True))
    with pytest.raises(IBMRuntimeError, match="502"):
        sampler.run([bell], shots=10)
    assert ibm.requests()["submit"] == len(ibm.accepted()) == 1


@pytest.mark.parametrize("what", ["drop", "truncate"])
def test_a_lost_answer_raises_without_a_retry_and_the_job_exists(ibm, service, bell, what):
    ibm.inject(Fault(what, after_effect=True))
    with pytest.raises(IBMRuntimeError):
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
    ibm = start(tag_delay=60)
    service = QiskitRuntimeService()
    job = sampler_of(service, "slow").run([bell], shots=10)
    assert service.jobs(job_tags=["slow"]) == []
    assert [found.job_id() for found in service.jobs()] == [job.job_id()]
    ibm.advance(60)
    assert [found.job_id() for found in service.jobs(job_tags=["slow"])] == [job.job_id()]


def test_a_poll_whose_connection_drops_is_repeated(ibm, service, bell):
    job = sampler_of(service).run([bell], shots=10)
    ibm.inject(Fault("drop", on="job", times=3))
    ibm.inject(Fault("drop", on="results"))
    assert job.result(**QUICK)[0].data.c.num_shots == 10


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_poll_that_fails_six_times_raises_without_the_status(ibm, service, bell, status):
    job = sampler_of(service).run([bell], shots=10)
    ibm.inject(Fault("status", on="job", status=status, times=6))
    with pytest.raises(RequestsApiError, match=f"too many {status} error responses") as raised:
        job.status()
    assert raised.value.status_code == -1
    job.result(**QUICK)


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
