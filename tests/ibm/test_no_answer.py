"""A service that takes a request and never answers."""

from __future__ import annotations

import pytest

from qstore_ray.backends.ibm.service import session
from qstore_ray.backends.ibm.service.trouble import translated
from qstore_ray.errors import TransientError
from tests.ibm.faults import Fault
from tests.ibm.sampling import sampler_of


@pytest.mark.parametrize("proxies", [{}, {"https": "http://127.0.0.1:9"}], ids=["direct", "proxy"])
def test_a_status_that_never_comes_is_asked_for_again(ibm, service, bell, monkeypatch, proxies):
    """The client itself waits forever if the account has proxies."""
    monkeypatch.setattr(session, "READ_SECONDS", 0.2)
    session.make_plain(service)
    for each in session.http_sessions(service):
        each.proxies = proxies
    job = sampler_of(service).run([bell], shots=10)
    ibm.inject(Fault("delay", on="job", seconds=20.0))
    with (
        pytest.raises(TransientError, match=r"ask for a job.*timed out"),
        translated("ask for a job"),
    ):
        job.status()
    assert job.status() in {"QUEUED", "RUNNING", "DONE"}
