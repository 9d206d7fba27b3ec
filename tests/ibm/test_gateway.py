"""Faults of the service: nothing is lost, and nothing is paid twice.

After each, the service's journal is compared with the ledger: every job that was accepted is used
once, or is recorded as what became of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.budget import Spending
from qstore_ray.backends.ibm.gateway.access import close_gateways, gateway_for
from qstore_ray.backends.ibm.gateway.opening import open_gateway
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.record import HardwareJob, JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import (
    ConfigError,
    FailedJobError,
    InterruptedRunError,
    LedgerError,
    RefusedError,
    ServiceError,
)
from tests.ibm.faults import Fault
from tests.ibm.launch import Loopback

TEMPLATE = Template(
    2, (Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("rx", (1,), (param(0),))), 1, 1
)
OBSERVABLES = (Observable.parse("Z0"), Observable.parse("Z0 Z1"), Observable.parse("X1"))
BINDINGS = Bindings(np.linspace(0.2, 2.8, 16)[:, None], np.array([0.7]))
SHOTS = 500
POLICY = {
    "first_poll": 0.02, "longest_poll": 0.1, "first_pause": 0.05, "longest_pause": 0.2,
    "tag_delay": 0.3, "patience": 20.0, "group_wait": 5.0,
}  # fmt: skip
EXACT = StatevectorBackend().evaluate(TEMPLATE, OBSERVABLES, BINDINGS).values


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Callable[..., IbmBackend]]:
    """A backend of one run, whose gateway is closed at the end."""

    def opened(run: str = "run", **options: Any) -> IbmBackend:
        policy = POLICY | options.pop("policy", {})
        made = IbmBackend(
            "fake_manila", SHOTS, where="process", ledger=str(tmp_path / "ledgers"), policy=policy,
            **options,
        )  # fmt: skip
        return made.for_run(run)

    yield opened
    close_gateways()


def measured(backend: IbmBackend, step: int, rows: slice = slice(None), **key: Any) -> np.ndarray:
    """Values of rows, in one call; within five standard errors of the exact ones."""
    bindings = Bindings(BINDINGS.rows[rows], BINDINGS.params)
    name = DrawKey((7, 0, step), rows.start or 0, **key)
    found = backend.evaluate(TEMPLATE, OBSERVABLES, bindings, key=name)
    assert found.variances is not None
    error = np.sqrt(np.maximum(found.variances, 1.0 / SHOTS**2))
    assert (np.abs(found.values - EXACT[rows]) <= 5.0 * error + 0.02).all()
    return found.values


def records(folder: Path) -> list[HardwareJob]:
    """What the only ledger below a folder says."""
    (path,) = folder.rglob(LEDGER)
    return list(replay(path.parent).records.values())


def audit(ibm: Loopback, folder: Path) -> None:
    """Every accepted job is used once, or recorded as failed, cancelled or a duplicate."""
    used: dict[str, str] = {}
    for record in records(folder):
        if record.state is JobState.FINISHED:
            used[record.job_id] = "used"
        used |= dict.fromkeys(record.dead, "dead")
        if record.is_dead and record.job_id:
            used[record.job_id] = "dead"
        used |= record.duplicates
    accepted = ibm.accepted()
    assert set(used) == set(accepted)
    for job, what in used.items():
        if what == "used":
            assert (accepted[job].end, accepted[job].reads >= 1) == ("completed", True)
        elif what == "cancelled":
            assert accepted[job].end == "cancelled"
            assert accepted[job].seconds == 0.0


FAULTS = {
    "502 after accept": [Fault("status", status=502, after_effect=True)],
    "502 after accept, twice": [Fault("status", status=502, after_effect=True, times=2)],
    "dropped after accept": [Fault("drop", after_effect=True)],
    "dropped after accept, and failed": [
        Fault("drop", after_effect=True),
        Fault("fail", seconds=3.0),
    ],
    "dropped before": [Fault("drop")],
    "429 on submit": [Fault("status", status=429, retry_after=1.0, times=2)],
    "429 on poll": [Fault("status", on="job", status=429, times=2)],
    "a storm of 500": [Fault("status", on="any", status=500, times=8)],
    "half an answer": [Fault("truncate", on="results")],
    "no look-up": [Fault("status", on="jobs", status=503, times=3)],
    "no results": [Fault("status", on="results", status=500, times=2)],
    "no usage": [Fault("status", on="metrics", status=500)],
    "job failed": [Fault("fail", code=9701, message="system error")],
    "job cancelled by the service": [Fault("cancel")],
    "partial result": [Fault("partial")],
    "lost result": [Fault("lose_result")],
    "token expired": [Fault("status", status=401)],
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_nothing_and_loses_nothing(ibm, backend, tmp_path, name):
    hardware = backend()
    before = measured(hardware, 0)
    for fault in FAULTS[name]:
        ibm.inject(fault)
    measured(hardware, 1)
    measured(hardware, 2)
    assert (measured(hardware, 0) == before).all()
    close_gateways()
    audit(ibm, tmp_path)
    completed = [job for job in ibm.accepted().values() if job.end == "completed"]
    unusable = name in {"partial result", "lost result"}
    assert len(completed) == 3 + unusable


def test_a_gateway_that_dies_before_it_submits_is_no_failure_of_the_service(
    ibm, backend, tmp_path, monkeypatch
):
    """A job that was given up with its gateway has all its attempts left."""
    hardware = backend(policy={"attempts": 2})

    def dies(*_: object) -> None:
        raise LedgerError("the gateway dies")

    for _ in range(3):
        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "submitting", dies)
            with pytest.raises(LedgerError, match="dies"):
                measured(hardware, 0)
        close_gateways()
    ibm.inject(Fault("fail", code=9701, message="system error"))
    measured(hardware, 0)
    (record,) = records(tmp_path)
    assert (record.attempts, record.failures) == (5, 1)
    ibm.inject(Fault("fail", code=9701, message="system error", times=None))
    with pytest.raises(FailedJobError, match="a job failed 2 times at IBM's service"):
        measured(hardware, 1)
    close_gateways()
    ibm.clear()
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "submitting", dies)
        with pytest.raises(LedgerError, match="dies"):
            measured(hardware, 1)
    close_gateways()
    measured(hardware, 1)
    close_gateways()
    audit(ibm, tmp_path)


@pytest.mark.parametrize(("code", "seconds"), [(1305, 90.0), (3242, 0.0), (3211, 1.5)])
def test_a_job_that_is_at_fault_is_paid_once(ibm, backend, tmp_path, code, seconds):
    """It would fail again, and what ran of it is billed."""
    hardware = backend()
    ibm.inject(Fault("fail", code=code, message="too much", seconds=seconds, times=None))
    with pytest.raises(RefusedError, match=f"not submitted again: .*Error code {code}; too much"):
        measured(hardware, 0)
    assert len(ibm.accepted()) == 1
    assert ibm.usage() == seconds
    ibm.clear()
    measured(hardware, 1)
    close_gateways()
    audit(ibm, tmp_path)


@pytest.mark.parametrize("after", ["drop", "status"])
def test_a_slow_index_of_tags_is_waited_for(start, backend, tmp_path, after):
    ibm = start(tag_delay=0.8)
    ibm.inject(Fault(after, status=502, after_effect=True))
    measured(backend(policy={"tag_delay": 2.0}), 0)
    close_gateways()
    audit(ibm, tmp_path)
    assert len(ibm.accepted()) == 1


def test_maintenance_of_an_hour_is_waited_for(start, backend, tmp_path):
    ibm = start(speed=2400.0)
    hardware = backend()
    measured(hardware, 0)
    ibm.inject(Fault("maintenance", seconds=3600.0))
    measured(hardware, 1)
    close_gateways()
    audit(ibm, tmp_path)
    assert len(ibm.accepted()) == 2


def test_a_service_that_never_answers_is_an_error_after_patience(ibm, backend):
    hardware = backend(policy={"patience": 0.5})
    measured(hardware, 0)
    ibm.inject(Fault("status", on="any", status=503, times=None))
    with pytest.raises(ServiceError, match="has not answered for"):
        measured(hardware, 1)
    ibm.clear()
    measured(hardware, 1)


def test_a_service_that_answers_look_ups_alone_is_an_error_after_patience(ibm, backend):
    ibm.inject(Fault("status", status=503, times=None))
    with pytest.raises(ServiceError, match="has not answered for"):
        measured(backend(policy={"patience": 0.5, "tag_delay": 0.1}), 0)
    assert not ibm.accepted()


@pytest.mark.parametrize("mode", ["batch", "session"])
def test_sessions_that_end_are_opened_again(ibm, backend, tmp_path, mode):
    hardware = backend(mode=mode, client_seconds=1.0)
    measured(hardware, 0)
    ibm.inject(Fault("close_sessions"))
    measured(hardware, 1)
    close_gateways()
    audit(ibm, tmp_path)
    opened = [entry for entry in ibm.journal() if entry["event"] == "opened"]
    closed = [entry for entry in ibm.journal() if entry["event"] == "closed"]
    assert len(opened) == len(closed) == 2


@pytest.mark.parametrize("mode", ["batch", "session"])
def test_a_job_that_fails_leaves_its_session_open_for_the_next(ibm, backend, tmp_path, mode):
    ibm.inject(Fault("fail", code=9701, message="system error"))
    measured(backend(mode=mode, client_seconds=1.0), 0)
    close_gateways()
    audit(ibm, tmp_path)
    assert len(ibm.accepted()) == 2
    opened = [entry for entry in ibm.journal() if entry["event"] == "opened"]
    closed = [entry for entry in ibm.journal() if entry["event"] == "closed"]
    assert len(opened) == len(closed) == 1


def test_a_plan_without_sessions_refuses_one_before_anything_is_submitted(start, backend):
    ibm = start(plan="open")
    with pytest.raises(ConfigError, match="no sessions"):
        measured(backend(mode="session", client_seconds=1.0), 0)
    assert not ibm.accepted()


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_a_step_of_any_number_of_workers_is_one_job(ibm, backend, tmp_path, workers):
    """And four requests, and those that ask for its state: at most fifteen."""
    hardware = backend(policy={"first_poll": 0.2, "longest_poll": 2.0})
    measured(hardware, 0)
    before = Counter(ibm.requests())
    parts = np.array_split(np.arange(16), workers)
    found: dict[int, np.ndarray] = {}

    def worker(part: int) -> None:
        rows = slice(parts[part][0], parts[part][-1] + 1)
        found[part] = measured(hardware, 1, rows, part=part, parts=len(parts))

    threads = [threading.Thread(target=worker, args=(part,)) for part in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(parts)
    assert len(ibm.accepted()) == 2
    asked = Counter(ibm.requests()) - before
    assert asked.pop("job") <= 11
    assert asked == {"jobs": 1, "submit": 1, "results": 1, "metrics": 1}
    close_gateways()
    audit(ibm, tmp_path)


@pytest.mark.parametrize("in_flight", [1, 2])
def test_what_does_not_fit_in_flight_follows_when_a_job_has_ended(ibm, backend, in_flight):
    """Also if nobody calls meanwhile."""
    caps = {"executions": 8 * SHOTS, "in_flight": in_flight}
    measured(backend(policy={"caps": caps}), 0)
    assert len(ibm.accepted()) == 4


def test_a_share_that_never_comes_is_waited_for_only_so_long(ibm, backend):
    hardware = backend(policy={"group_wait": 0.3})
    measured(hardware, 0, slice(0, 3), part=0, parts=2)
    assert len(ibm.accepted()) == 1


def test_a_gateway_that_is_closed_and_opened_again_measures_nothing_again(ibm, backend, tmp_path):
    first = measured(backend(), 0)
    close_gateways()
    again = measured(backend(), 0)
    assert (first == again).all()
    assert len(ibm.accepted()) == 1
    measured(backend("another run"), 0)
    assert len(ibm.accepted()) == 2


def test_a_second_driver_of_a_run_is_refused(ibm, backend):
    hardware = backend()
    measured(hardware, 0)
    with pytest.raises(LedgerError, match="open") as raised:
        open_gateway(hardware.config)  # as another process does
    assert raised.value.locked
    measured(hardware, 1)
    assert len(ibm.accepted()) == 2


def test_a_trial_that_ended_is_withdrawn(start, backend, tmp_path):
    ibm = start(queue_delay=30.0)
    hardware = backend().for_run("study", "a")
    errors: list[BaseException] = []

    def call() -> None:
        try:
            measured(hardware, 0)
        except InterruptedRunError as exc:
            errors.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    ibm.wait(lambda: len(ibm.accepted()) == 1)
    gateway_for(hardware.config, "process").withdraw("a")
    thread.join()
    assert "has ended this trial" in str(errors[0])
    ibm.wait(lambda: [job.end for job in ibm.accepted().values()] == ["cancelled"])
    close_gateways()
    audit(ibm, tmp_path)


def test_no_job_is_submitted_above_the_budget(ibm, backend):
    hardware = backend(budget={"jobs": 2})
    measured(hardware, 0)
    measured(hardware, 1)
    with pytest.raises(Exception, match="may use 2 jobs") as raised:
        measured(hardware, 2)
    assert raised.value.exit_code == 5
    assert len(ibm.accepted()) == 2
    measured(hardware, 1)  # was measured


def test_a_job_whose_usage_is_pending_counts_with_its_forecast(start, backend, tmp_path):
    start(usage_delay=3600.0)
    measured(backend(), 0)
    close_gateways()
    (record,) = records(tmp_path)
    assert record.usage == {}
    spent = Spending.of([record])
    assert spent.total.billed_seconds == record.forecast_seconds > 0.0
    assert spent.pending_seconds == record.forecast_seconds


def test_the_key_of_the_account_is_nowhere(ibm, backend, tmp_path, caplog, capfd):
    caplog.set_level("DEBUG")
    hardware = backend()
    measured(hardware, 0)
    ibm.inject(Fault("status", status=400, code=1000))
    with pytest.raises(ServiceError) as raised:
        measured(hardware, 1)
    close_gateways()
    ours = [str(raised.value), repr(vars(raised.value))]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    ours += [path.read_bytes().decode("latin-1") for path in files]
    key, crn = ibm.settings.api_key, ibm.settings.crn
    assert files
    assert not [text for text in (*ours, caplog.text, *capfd.readouterr()) if key in text]
    assert not [text for text in ours if crn in text]  # debug logs of others have it
    assert not [entry for entry in ibm.journal() if entry["event"] == "raw_key"]


def test_a_token_that_was_revoked_is_renewed(ibm, backend, tmp_path):
    hardware = backend()
    measured(hardware, 0)
    ibm.inject(Fault("revoke_tokens"))
    measured(hardware, 1)
    close_gateways()
    audit(ibm, tmp_path)
    assert len(ibm.accepted()) == 2


@pytest.mark.parametrize("on", ["token", "jobs"])
def test_a_request_before_the_submission_may_fail(ibm, backend, tmp_path, on):
    hardware = backend()
    measured(hardware, 0)
    if on == "token":
        ibm.inject(Fault("revoke_tokens"))
    ibm.inject(Fault("status", on=on, status=503, times=2))
    measured(hardware, 1)
    close_gateways()
    audit(ibm, tmp_path)
    assert len(ibm.accepted()) == 2
    assert not [entry for entry in ibm.journal() if entry["event"] == "raw_key"]


def test_the_step_of_a_lone_worker_does_not_wait_for_company(start, backend):
    """It is a group of one share, and its trial is the only one."""
    start()
    opened = backend(policy={"delay": 3600.0})
    measured(opened, 0, part=0, parts=1)
    measured(opened, 1, part=0, parts=1)
