"""A gateway that is killed anywhere loses nothing, and pays for nothing twice."""

from __future__ import annotations

import os
import signal
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from tests.child import in_child
from tests.unit.backends.ibm.ledger.gateway import OWNER, VALUES, Service, run_job
from tests.unit.backends.ibm.made import job

JOB = job("x", "y")


@pytest.fixture(autouse=True)
def _no_loss_of_power(monkeypatch):
    """What was written survives a kill of the process, so nothing has to wait for the disk."""
    monkeypatch.setattr(os, "fsync", int)


FAULTS = {"answered": (1, True), "dropped after accept": (1, False), "three jobs": (3, False)}
"""How many jobs the service makes of the submission, and whether its answer arrives."""


class Killed(BaseException):
    """Ends everything at once, as SIGKILL does."""


class Fuse:
    """Counts the points at which a process may be killed, and kills at one of them."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, *_: object) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


def check_paid_once(folder: Path, service: Service) -> None:
    """Every job that the service accepted is used, or cancelled and recorded as such."""
    (record,) = replay(folder).records.values()
    assert record.state is JobState.FINISHED
    assert record.key == JOB.key
    accepted, cancelled = service.ids("accepted"), service.ids("cancelled")
    assert set(service.ids("used")) == {record.job_id}
    assert set(accepted) == {record.job_id, *cancelled}
    assert record.job_id not in cancelled
    assert dict(record.duplicates) == dict.fromkeys(cancelled, "cancelled")
    with Ledger.open(folder, OWNER) as ledger:
        assert np.array_equal(ledger.result(JOB.key).arrays["values"], VALUES)


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_a_gateway_killed_at_any_step_resumes_there(tmp_path, monkeypatch, faults):
    """Around each call of the service, before each line, and at each fsync."""
    write = os.write
    for at in count():
        folder = tmp_path / str(at)
        folder.mkdir()
        fuse = Fuse(at)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", fuse)
                patch.setattr(os, "write", lambda *line, fuse=fuse: fuse() or write(*line))
                with Ledger.open(folder, OWNER) as ledger:
                    run_job(ledger, Service(folder, *faults, fuse), JOB)
            killed = False
        except Killed:
            killed = True
        service = Service(folder, *faults)
        with Ledger.open(folder, OWNER) as ledger:
            run_job(ledger, service, JOB)
        check_paid_once(folder, service)
        assert len(service.ids("accepted")) == faults[0]
        if not killed:
            break
    assert at > 15


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_a_loss_of_power_at_any_step_resumes_there(tmp_path, monkeypatch, faults):
    """As above; of the ledger only what was synced is left."""
    write, lost = os.write, 0
    for at in count():
        folder = tmp_path / str(at)
        folder.mkdir()
        fuse, synced = Fuse(at), {}

        def sync(file: int, fuse: Fuse = fuse, synced: dict[int, int] = synced) -> None:
            fuse()
            synced[os.fstat(file).st_ino] = os.fstat(file).st_size

        def written(file: int, line: bytes, fuse: Fuse = fuse) -> int:
            fuse()
            return write(file, line)

        try:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", sync)
                patch.setattr(os, "write", written)
                with Ledger.open(folder, OWNER) as ledger:
                    run_job(ledger, Service(folder, *faults, fuse), JOB)
            killed = False
        except Killed:
            killed = True
        path = folder / LEDGER
        if path.exists():
            before, kept = path.stat().st_size, synced.get(path.stat().st_ino, 0)
            os.truncate(path, kept)
            lost += kept < before
        service = Service(folder, *faults)
        if service.ids("accepted"):  # or a job might be missed whose tag is not in the index yet
            assert [record.submissions for record in replay(folder).records.values()] == [1]
        with Ledger.open(folder, OWNER) as ledger:
            run_job(ledger, service, JOB)
        check_paid_once(folder, service)
        assert len(service.ids("accepted")) == faults[0]
        if not killed:
            break
    assert at > 15
    assert lost >= 4


def test_a_second_kill_while_resuming_changes_nothing(tmp_path):
    faults = FAULTS["three jobs"]
    for first in range(6, 14):
        folder = tmp_path / str(first)
        folder.mkdir()
        for at in (first % 7, first // 2, 100):
            try:
                with Ledger.open(folder, OWNER) as ledger:
                    run_job(ledger, Service(folder, *faults, Fuse(at)), JOB)
            except Killed:
                continue
        check_paid_once(folder, Service(folder, *faults))


def test_a_process_killed_by_the_system_resumes(tmp_path):
    """SIGKILL at each line and fsync: the lock is released, the ledger can be read."""
    killed = 0
    for at in count():
        folder = tmp_path / str(at)
        folder.mkdir()
        ended = in_child(killed_at, at, folder)
        service = Service(folder, 1, answers=True)
        with Ledger.open(folder, OWNER) as ledger:
            run_job(ledger, service, JOB)
        check_paid_once(folder, service)
        if ended == 0:
            break
        killed += ended == -signal.SIGKILL
    assert killed == at > 10


def killed_at(at: int, folder: Path) -> None:
    """Run the job in this process, and end it at the given line or fsync."""
    points, write = count(), os.write

    def point(*_: object) -> None:
        if next(points) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = point
    os.write = lambda *line: point() or write(*line)
    with Ledger.open(folder, OWNER) as ledger:
        run_job(ledger, Service(folder, 1, answers=True), JOB)
