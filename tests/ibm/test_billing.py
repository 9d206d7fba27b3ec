"""What jobs cost is asked for until the service knows: then the budget counts billed seconds."""

from __future__ import annotations

import json
import threading

import pytest

from qstore_ray.backends.ibm.gateway.access import close_gateways, gateway_for
from qstore_ray.backends.ibm.gateway.billing import PendingBills
from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER
from qstore_ray.backends.ibm.service.client import IbmClient
from tests.ibm.faults import Fault
from tests.ibm.test_gateway import backend, measured, records

__all__ = ["backend"]
SOON = {"first_bill": 0.05}


def unbilled(folder) -> list[str]:
    return [job for record in records(folder) for job in record.unbilled]


def test_usage_that_was_pending_is_asked_for_again(start, backend, tmp_path):
    ibm = start(usage_delay=3600.0)
    hardware = backend(policy=SOON)
    measured(hardware, 0)
    assert unbilled(tmp_path)
    ibm.advance(3601.0)
    gateway = gateway_for(hardware.config, "process")
    ibm.wait(lambda: gateway.spending().pending_seconds == 0.0)
    assert not unbilled(tmp_path)
    spending = gateway.spending()
    assert spending.total.billed_seconds == pytest.approx(ibm.usage())


def test_a_job_takes_at_most_fifteen_requests_with_all_questions_about_its_usage(start, backend):
    ibm = start(usage_delay=3600.0)
    hardware = backend(policy={"first_bill": 0.001, "first_poll": 0.2, "longest_poll": 2.0})
    measured(hardware, 0)
    ibm.wait(lambda: ibm.requests()["metrics"] == 5)
    before = sum(ibm.requests().values())
    measured(hardware, 1)
    ibm.wait(lambda: ibm.requests()["metrics"] == 10)
    close_gateways()
    assert ibm.requests()["metrics"] == 12, "once more at close, for both jobs"
    assert sum(ibm.requests().values()) - before - 1 <= 15


def test_the_gateway_asks_once_more_when_it_closes(start, backend, tmp_path):
    ibm = start(usage_delay=3600.0)
    measured(backend(), 0)
    ibm.advance(3601.0)
    close_gateways()
    assert not unbilled(tmp_path)


def test_the_next_gateway_asks_for_every_job_that_ended(start, backend, tmp_path):
    """Finished, failed, cancelled, and duplicates."""
    ibm = start(usage_delay=3600.0)
    hardware = backend()
    for fault in (Fault("fail", seconds=1.5), Fault("drop", after_effect=True), Fault("cancel")):
        ibm.inject(fault)
        measured(hardware, len(records(tmp_path)) if list(tmp_path.rglob("*.jsonl")) else 0)
    close_gateways()
    ended = len(ibm.accepted())
    assert ended > 3
    assert len(unbilled(tmp_path)) == ended
    ibm.advance(3601.0)
    again = backend()
    measured(again, 0)
    ibm.wait(lambda: not unbilled(tmp_path))
    total = gateway_for(again.config, "process").spending().total
    assert total.billed_seconds == pytest.approx(ibm.usage())
    assert len(ibm.accepted()) == ended


@pytest.mark.parametrize("what", ["status", "drop"])
def test_a_service_that_does_not_answer_is_asked_again(ibm, backend, tmp_path, what):
    ibm.inject(Fault(what, on="metrics", status=503, times=2))
    measured(backend(policy=SOON), 0)
    assert {record.state for record in records(tmp_path)} == {JobState.FINISHED}
    ibm.wait(lambda: not unbilled(tmp_path))


def test_a_budget_counts_what_was_billed(start, backend):
    """The forecast of two jobs is above it; of the one that failed nothing is billed."""
    ibm = start(usage_delay=3600.0)
    hardware = backend(policy=SOON, budget={"seconds": 10.0})
    ibm.inject(Fault("fail"))
    with pytest.raises(Exception, match="may use 10 seconds"):
        measured(hardware, 0)
    ibm.advance(3601.0)
    gateway = gateway_for(hardware.config, "process")
    ibm.wait(lambda: gateway.spending().pending_seconds == 0.0)
    measured(hardware, 0)


def test_outcomes_are_handed_out_before_the_usage_is_known(ibm, backend, tmp_path, monkeypatch):
    """What reads the spending waits for it, so no result is written with a forecast."""
    answers, seconds = threading.Event(), IbmClient.seconds

    def held(client: IbmClient, job_id: str) -> float | None:
        assert answers.wait(30.0)
        return seconds(client, job_id)

    monkeypatch.setattr(IbmClient, "seconds", held)
    hardware = backend()
    measured(hardware, 0)
    assert unbilled(tmp_path)
    gateway, found = gateway_for(hardware.config, "process"), []
    reading = threading.Thread(target=lambda: found.append(gateway.spending()))
    reading.start()
    reading.join(0.2)
    assert not found
    answers.set()
    reading.join(10.0)
    assert found[0].pending_seconds == 0.0
    assert found[0].total.billed_seconds == pytest.approx(ibm.usage())


def test_a_job_is_checked_when_those_before_it_were_asked_for(ibm, backend, tmp_path, monkeypatch):
    """Also by a gateway that always has something better to do."""
    monkeypatch.setattr(PendingBills, "next_time", lambda _: float("inf"))
    monkeypatch.setattr(PendingBills, "advance", lambda _: None)
    hardware = backend()
    for step in range(4):
        measured(hardware, step)
    close_gateways()
    (ledger,) = tmp_path.rglob(LEDGER)
    entries = [json.loads(line)["entry"] for line in ledger.read_text().splitlines()]
    steps = [entry["event"] for entry in entries if entry["event"] in {"intent", "usage"}]
    assert steps == ["intent", "usage"] * 4
