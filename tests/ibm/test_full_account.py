"""An account that has as many jobs in the queue as its plan allows: the gateway waits for room."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.errors import BackendError
from tests.ibm.faults import Fault
from tests.ibm.sampling import sampler_of

TEMPLATE = Template(1, (Op("ry", (0,), (row(0),)),), n_rows=1)
POLICY = {
    "first_poll": 0.02, "longest_poll": 0.05, "first_pause": 0.05, "longest_pause": 0.1,
    "patience": 0.01, "caps": {"executions": 32},
}  # fmt: skip


@pytest.fixture
def backend(tmp_path):
    options = {"level": 1, "where": "process", "ledger": str(tmp_path)}
    yield IbmBackend("fake_manila", 16, policy=POLICY, **options).for_run("r")
    close_gateways()


def measured(backend: IbmBackend) -> np.ndarray:
    """Ten rows, which are five jobs."""
    rows = Bindings(np.zeros((10, 1)), np.zeros(0))
    return backend.evaluate(TEMPLATE, (Observable.parse("Z0"),), rows, key=DrawKey((1,))).values


def test_more_jobs_than_the_plan_takes_are_submitted_as_others_end(start, backend, caplog):
    """Five would be in flight. They are longer in the queue than the gateway has patience."""
    ibm = start(pending_limit=3, queue_delay=0.3)
    assert (measured(backend) == 1.0).all()
    assert [job.end for job in ibm.accepted().values()] == ["completed"] * 5
    assert "takes no more jobs of this account until one of them" in caplog.text


def test_jobs_of_another_program_are_waited_for(start, backend, bell):
    from qiskit_ibm_runtime import QiskitRuntimeService

    ibm = start(pending_limit=1)
    ibm.inject(Fault("pause", seconds=3600.0))
    other = sampler_of(QiskitRuntimeService()).run([bell], shots=10)
    found: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: found.append(measured(backend)))
    thread.start()
    refused = ibm.requests().get("submit", 0) + 3
    ibm.wait(lambda: ibm.requests().get("submit", 0) >= refused)
    assert list(ibm.accepted()) == [other.job_id()]
    ibm.clear()
    thread.join()
    assert len(found) == 1
    assert len(ibm.accepted()) == 6


def test_a_gateway_that_waits_for_room_can_be_closed(start, backend):
    ibm = start(pending_limit=0)
    raised: list[BaseException] = []

    def waits() -> None:
        try:
            measured(backend)
        except BackendError as exc:
            raised.append(exc)

    thread = threading.Thread(target=waits)
    thread.start()
    ibm.wait(lambda: ibm.requests().get("submit", 0) >= 3)
    close_gateways()
    thread.join(10.0)
    assert raised
    assert not ibm.accepted()
