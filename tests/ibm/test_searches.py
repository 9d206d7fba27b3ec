"""The trials of a search share one gateway: one ledger, in which each has a budget of its own."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import gateway_for, gateways_of
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.backends.ibm.queue import waiting
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BudgetReachedError, ConfigError, InterruptedRunError
from qstore_ray.tune.driver.checks import checked_search
from qstore_ray.tune.trial.attempt import Attempt
from qstore_ray.tune.trial.trial import TrialRunner
from tests.ibm.faults import Fault
from tests.small_search import RATE, Listener, config_of, job_of, plan_of

TEMPLATE = Template(n_qubits=1, ops=(Op("ry", (0,), (row(0),)),), n_rows=1)
Z = (Observable.parse("Z0"),)
POLICY = {"first_poll": 0.02, "longest_poll": 0.1, "first_pause": 0.1, "tag_delay": 0.2}


def options(folder: Path, **more: object) -> dict[str, object]:
    return {
        "device": "fake_manila",
        "shots": 16,
        "level": 1,
        "ledger": str(folder / "ledgers"),
        "policy": POLICY,
        "where": "process",
        **more,
    }


def job(folder: Path, **more: object):
    backend = {"backend": "ibm", "backend_options": options(folder, **more)}
    return job_of(folder, epochs=1, batch_size=90, **backend)


def trials_in(folder: Path) -> dict[str, set[str]]:
    """Whose requests are in the ledger of each run."""
    paths = (folder / "ledgers").rglob(LEDGER)
    return {
        path.parent.name: {
            share.trial
            for record in replay(path.parent).records.values()
            for share in record.requests
        }
        for path in paths
    }


def backends(given: dict[str, object]) -> list[IbmBackend]:
    """Those of two trials of a study."""
    trials = ("trial-0000", "trial-0001")
    return [IbmBackend(**given).for_run("s", trial) for trial in trials]


def evaluate(backend: IbmBackend, step: float, parts: int | None = None) -> None:
    rows = Bindings(np.full((2, 1), 0.1 * step), np.zeros(0))
    backend.evaluate(TEMPLATE, Z, rows, key=DrawKey((int(step),), parts=parts))


def test_trials_are_in_the_ledger_of_their_study(ibm, tmp_path):
    plan = replace(plan_of(job(tmp_path), config_of()), run_id="s-0123")
    runner = TrialRunner(plan)
    for trial in ("trial-0000", "trial-0001"):
        runner.run(trial, {RATE: 0.1}, Listener())
    assert len(gateways_of("s-0123")) == 1, "a trial does not close what the others use"
    IbmBackend.close_run("s-0123")
    assert trials_in(tmp_path) == {"s-0123": {"trial-0000", "trial-0001"}}


def test_a_trial_that_reaches_its_budget_leaves_the_others_running(ibm, tmp_path):
    limited = options(tmp_path, trial_budget={"jobs": 1})
    mine, other = backends(limited)
    evaluate(mine, 1)
    IbmBackend.close_run("s")
    with pytest.raises(BudgetReachedError, match="may use 1 jobs") as caught:
        evaluate(mine, 2)
    assert caught.value.value == "trial-0000", "also of what an earlier gateway spent"
    evaluate(other, 2)
    IbmBackend.close_run("s")


def test_a_trial_that_has_ended_waits_for_nothing_and_pays_nothing_more(ibm, tmp_path):
    ibm.inject(Fault("pause", seconds=3600.0))
    mine, other = backends(options(tmp_path))
    raised: list[BaseException] = []

    def waits() -> None:
        try:
            evaluate(mine, 1)
        except InterruptedRunError as exc:
            raised.append(exc)

    thread = threading.Thread(target=waits)
    thread.start()
    ibm.wait(lambda: len(ibm.accepted()) == 1)
    IbmBackend.withdraw("s", "trial-0000")
    thread.join()
    assert raised, "what waits is dropped"
    with pytest.raises(InterruptedRunError, match="has ended this trial"):
        evaluate(mine, 2)
    ibm.clear()
    evaluate(other, 3)
    IbmBackend.close_run("s")
    assert sorted(job.end for job in ibm.accepted().values()) == ["cancelled", "completed"]


@pytest.mark.parametrize("limited", ["budget", "trial_budget"])
def test_a_training_that_reaches_a_limit_says_which_and_continues_with_more(ibm, tmp_path, limited):
    def message(jobs: int):
        given = job(tmp_path, **{limited: {"jobs": jobs}})
        runner = TrialRunner(replace(plan_of(given, config_of()), run_id="s-0123"))
        attempt = Attempt(
            lambda link: runner.run("trial-0000", {RATE: 0.1}, link), tmp_path / "error.txt"
        )
        try:
            found = attempt.next()
            while not found["done"]:
                found = attempt.next()
            return found
        finally:
            attempt.stop()
            IbmBackend.close_run("s-0123")

    ended = message(1)
    assert ended["limit"] == f"{limited}.jobs"
    assert "may use 1 jobs, has used 1" in ended["reason"]
    assert len(ibm.accepted()) == 1
    assert "values" in message(50)
    assert len(ibm.accepted()) > 1


@pytest.mark.parametrize("parts", [None, 1], ids=["a request", "the step of a lone worker"])
def test_requests_of_two_trials_go_into_one_job(ibm, tmp_path, parts):
    """The first one waits for the other, which the gateway does not know of yet."""
    given = options(tmp_path, policy={**POLICY, "delay": 0.5})
    for step in (1, 2):
        threads = [
            threading.Thread(target=evaluate, args=(backend, step + number / 10, parts))
            for number, backend in enumerate(backends(given))
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        for thread in threads:
            thread.join()
    IbmBackend.close_run("s")
    assert len(ibm.accepted()) == 2
    assert trials_in(tmp_path) == {"s": {"trial-0000", "trial-0001"}}


def test_trials_that_shared_a_job_share_the_next_one(start, tmp_path, monkeypatch):
    """The slower one needs more time between two steps than a request waits for others."""
    monkeypatch.setattr(waiting, "_COMPANY_PART", 1.0)  # of a job that takes a second
    ibm = start(queue_delay=1.0)
    given = options(tmp_path, policy={**POLICY, "delay": 0.3})
    together = threading.Barrier(2)

    def trains(backend: IbmBackend, pause: float) -> None:
        gateway_for(backend.config, "process")
        together.wait()
        for step in (1, 2):
            evaluate(backend, step, parts=1)
            time.sleep(pause)

    threads = [
        threading.Thread(target=trains, args=each)
        for each in zip(backends(given), (0.0, 0.5), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    IbmBackend.close_run("s")
    assert len(ibm.accepted()) == 2


SHOTS = "trainer.backend_options.shots"


@pytest.mark.parametrize(
    ("field", "choices", "backend"),
    [
        ("trainer.backend", ["statevector", "ibm"], "statevector"),
        ("trainer.backend_options.level", [1, 3], "ibm"),
        ("trainer.backend_options.device", ["fake_manila", "fake_lima"], "ibm"),
        (SHOTS, [16, 32], "ibm"),
        ("trainer.backend", ["statevector", "aer"], "statevector"),
    ],
)
def test_what_would_need_a_second_gateway_is_not_searched(tmp_path, field, choices, backend):
    given = options(tmp_path) if backend == "ibm" else {}
    base = job_of(tmp_path, epochs=1, backend=backend, backend_options=given)
    space = {field: {"type": "categorical", "choices": choices}}
    data = DatasetLoader.load(base.dataset)
    if field == SHOTS or "aer" in choices:
        checked_search(base, config_of(space=space), data)
        return
    with pytest.raises(ConfigError) as caught:
        checked_search(base, config_of(space=space), data)
    assert caught.value.field.startswith("tune.space.trainer.backend")


def test_trials_with_other_shots_share_gateway_and_budget(ibm, tmp_path):
    space = {SHOTS: {"type": "categorical", "choices": [16, 32]}}
    base = job(tmp_path, budget={"jobs": 1})
    runner = TrialRunner(replace(plan_of(base, config_of(space=space)), run_id="s-0123"))
    for trial, shots in (("trial-0000", 16), ("trial-0001", 32)):
        with pytest.raises(BudgetReachedError, match="may use 1 jobs, has used 1"):
            runner.run(trial, {SHOTS: shots}, Listener())
    assert len(gateways_of("s-0123")) == 1
    IbmBackend.close_run("s-0123")
    assert len(ibm.accepted()) == 1
