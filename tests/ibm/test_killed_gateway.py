"""The real client against the stand-in: a job is paid once, and nothing is lost."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.ledger.entries import Entry
from qstore_ray.backends.ibm.ledger.file import LedgerFile
from qstore_ray.backends.ibm.ledger.record import HardwareJob
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.errors import BudgetReachedError
from tests.child import in_child
from tests.ibm.faults import Fault
from tests.ibm.launch import in_process

TEMPLATE = Template(n_qubits=1, ops=(Op("ry", (0,), (row(0),)),), n_rows=1)
Z = (Observable.parse("Z0"),)
ROWS = np.linspace(0.0, 3.0, 5)[:, None]
SHOTS = 64
POLICY = {
    "first_poll": 0.02, "longest_poll": 0.1, "first_pause": 0.2, "longest_pause": 0.4,
    "tag_delay": 1.0,
}  # fmt: skip


def evaluated(ledger: Path, step: int, **options: Any) -> np.ndarray:
    """⟨Z⟩ of the rows, and the ledger in this folder."""
    policy = POLICY | options.pop("policy", {})
    backend = open_backend(
        "ibm",
        {"device": "fake_manila", "shots": SHOTS, "ledger": str(ledger), "policy": policy}
        | options,
    )
    return backend.evaluate(TEMPLATE, Z, Bindings(ROWS, np.zeros(0)), key=DrawKey((step,))).values


def jobs_in(ledger: Path) -> list[HardwareJob]:
    """The records of the only ledger below a folder."""
    (path,) = ledger.rglob(LEDGER)
    return list(replay(path.parent).records.values())


def test_a_call_in_pieces_that_reaches_the_budget_leaves_the_gateway_running(ibm, tmp_path):
    """Two rows a job: the first job is paid, the second refused, the third would fit again."""
    options = {"policy": {"caps": {"executions": 2 * SHOTS}}, "budget": {"executions": 200}}
    try:
        for step in (0, 1):
            with pytest.raises(BudgetReachedError, match="may use 200 executions, has used 128"):
                evaluated(tmp_path, step, **options)
    finally:
        close_gateways()
    assert len(ibm.accepted()) == len(jobs_in(tmp_path)) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)  # some hundred signings-in, on a machine that may be busy
@pytest.mark.parametrize(
    "fault",
    [None, Fault("drop", after_effect=True), Fault("status", status=429), Fault("fail")],
    ids=["no fault", "answer lost", "throttled", "job failed"],
)
def test_a_gateway_killed_at_any_line_of_its_ledger_pays_once(tmp_path, monkeypatch, fault):
    """At each fsync, and after each line without one; then the same call is made again.

    The index of tags lags.
    """
    with in_process(tag_delay=0.3) as ibm:
        for name, value in ibm.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        for at in itertools.count():
            ledger, values = tmp_path / f"ledger-{at}", tmp_path / f"values-{at}"
            before = set(ibm.accepted())
            if fault is not None:
                ibm.clear()
                ibm.inject(fault)
            ended = in_child(killed_at, at, ledger)
            assert in_child(written, at, ledger, values) == 0
            (job,) = jobs_in(ledger)
            ends = {id_: entry.end for id_, entry in ibm.accepted().items() if id_ not in before}
            assert ends.pop(job.job_id) == "completed"
            assert set(ends) == {*job.dead, *job.duplicates}
            assert "completed" not in ends.values()
            expected = np.cos(ROWS[:, 0])
            assert np.allclose(json.loads(values.read_text()), expected, atol=6 / SHOTS**0.5)
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
        assert at > 10


def killed_at(at: int, ledger: Path) -> None:
    """Evaluate until the fsync, or the line without one, with this number ends the process."""
    points, append = itertools.count(), LedgerFile.append

    def point(*_: object) -> None:
        if next(points) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def appended(file: LedgerFile, entry: Entry, now: str, *, sync: bool = True) -> None:
        append(file, entry, now, sync=sync)
        if not sync:
            point()

    os.fsync, LedgerFile.append = point, appended
    evaluated(ledger, at)
    close_gateways()


def written(at: int, ledger: Path, path: Path) -> None:
    """Evaluate, and write the values for the parent."""
    path.write_text(json.dumps(evaluated(ledger, at).ravel().tolist()))
    close_gateways()
