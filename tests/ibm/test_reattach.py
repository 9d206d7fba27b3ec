"""`qstore hardware reattach` and `cancel`: what a run left open is taken up without the run."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.gateway.opening import CONFIG
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.cli.app import main
from qstore_ray.errors import LedgerError, ServiceError
from tests.ibm.faults import Fault
from tests.ibm.launch import Loopback
from tests.ibm.settings import PATH
from tests.ibm.test_gateway import audit, backend, measured, records
from tests.ibm.test_runs import DATA, trainer

__all__ = ["backend"]
CHANNEL = "ibm_quantum_platform"
SILENT = {"patience": 0.2, "tag_delay": 0.1}


@pytest.fixture
def left(start, backend, tmp_path) -> Callable[..., tuple[Loopback, Path]]:
    """Measures one step, and leaves a second one open; the service, and the ledger's folder."""

    def made(lost: Fault | None = None, **settings: Any) -> tuple[Loopback, Path]:
        ibm = start(**settings)
        hardware = backend(policy=SILENT)
        skipped = threading.Thread(target=skip_the_queue, args=(ibm,))
        skipped.start()
        measured(hardware, 0)
        skipped.join()
        if lost is not None:
            ibm.inject(lost)
        ibm.inject(Fault("status", on="job", status=503, times=None))
        ibm.inject(Fault("status", on="jobs", status=503, times=None, skip=1))
        with pytest.raises(ServiceError):
            measured(hardware, 1)
        ibm.clear()
        close_gateways()
        (path,) = tmp_path.rglob(LEDGER)
        return ibm, path.parent

    return made


def skip_the_queue(ibm: Loopback) -> None:
    """Let the first job run at once."""
    ibm.wait(lambda: len(ibm.accepted()) == 1)
    ibm.advance(ibm.settings.queue_delay)


def hardware(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    """The exit code of `qstore hardware …`, and what it printed as JSON."""
    capsys.readouterr()
    code = main(["hardware", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def states(folder: Path) -> list[str]:
    return [str(record.state) for record in replay(folder).records.values()]


@pytest.mark.parametrize(
    "lost", [None, Fault("drop", after_effect=True)], ids=["accepted", "answer lost"]
)
def test_reattach_fetches_what_is_open_and_the_run_uses_it(left, backend, tmp_path, capsys, lost):
    ibm, folder = left(lost)
    assert states(folder)[0] == "finished"
    assert states(folder)[1] in {"accepted", "submitting"}
    code, said = hardware(capsys, "reattach", folder)
    assert (code, said["open"], said["unbilled"]) == (0, [], 0)
    assert [job["state"] for job in said["jobs"]] == ["finished"]
    audit(ibm, tmp_path)
    measured(backend(policy=SILENT), 1)
    assert len(ibm.accepted()) == 2
    assert [job["reads"] for job in ibm.jobs()] == [1, 1]
    close_gateways()
    assert hardware(capsys, "reattach", folder)[1]["jobs"] == []


def test_reattach_cancels_duplicates_and_asks_for_missing_usage(left, tmp_path, capsys):
    ibm, folder = left(usage_delay=3600.0)
    _, open_job = records(tmp_path)
    with Ledger.open(folder, replay(folder).owner) as ledger:
        done = ibm.jobs()[0]["id"]
        ledger.looked_up(open_job.key, [done])
    code, said = hardware(capsys, "reattach", folder)
    assert code == 0, "what a job costs is not waited for"
    assert said["unbilled"] == 3
    assert said["jobs"][0]["duplicates"] == {done: "completed"}
    ibm.advance(3601.0)
    assert hardware(capsys, "reattach", folder)[1]["unbilled"] == 0
    assert records(tmp_path)[0].usage


@pytest.mark.parametrize("command", ["reattach", "cancel"])
@pytest.mark.parametrize("on", ["token", "configuration"])
def test_a_service_that_does_not_answer_at_once_is_asked_again(left, capsys, command, on):
    ibm, folder = left()
    ibm.inject(Fault("status", on=on, status=503))
    assert hardware(capsys, command, folder)[0] == 0
    assert states(folder) == ["finished", "finished"]
    ibm.inject(Fault("status", on=on, status=503))
    code, said = hardware(capsys, "reattach", folder, "--no-wait")
    assert (code, said["error"]) == (4, "TransientError"), "one question is what was asked for"


def test_without_waiting_each_job_is_asked_for_once(left, capsys):
    ibm, folder = left(queue_delay=600.0)
    code, said = hardware(capsys, "reattach", folder, "--no-wait")
    assert (code, len(said["open"])) == (4, 1)
    assert main(["hardware", "reattach", str(folder), "--no-wait"]) == 4
    assert "Run qstore hardware reattach again" in capsys.readouterr().err
    ibm.advance(600.0)
    assert hardware(capsys, "reattach", folder)[0] == 0
    assert states(folder) == ["finished", "finished"]
    assert len(ibm.accepted()) == 2


def test_a_result_that_was_lost_on_disk_is_fetched_again(left, capsys):
    _, folder = left()
    for path in folder.rglob("*.npz"):
        path.unlink()
    code, said = hardware(capsys, "reattach", folder)
    assert (code, len(said["jobs"])) == (0, 2)
    assert states(folder) == ["finished", "finished"]
    assert len(list(folder.rglob("*.npz"))) == 2


def test_nothing_is_submitted_and_what_never_was_is_given_up(ibm, backend, tmp_path, capsys):
    ibm.inject(Fault("status", on="submit", status=503, times=None))
    ibm.inject(Fault("status", on="jobs", status=503, times=None, skip=1))
    with pytest.raises(ServiceError):
        measured(backend(policy=SILENT), 0)
    ibm.clear()
    close_gateways()
    (path,) = tmp_path.rglob(LEDGER)
    assert hardware(capsys, "reattach", path.parent)[0] == 0
    assert states(path.parent) == ["cancelled"]
    assert not ibm.accepted()


def test_jobs_are_cancelled_by_tag(left, tmp_path, capsys):
    ibm, folder = left(queue_delay=600.0)
    _, record = records(tmp_path)
    code, said = hardware(capsys, "cancel", folder, "0123456789")
    assert (code, said["field"]) == (2, "TAG")
    assert record.key[:12] in said["fix"]
    code, said = hardware(capsys, "cancel", folder, record.key[:12])
    assert (code, said["open"], said["too_late"], said["unbilled"]) == (0, [], [], 0)
    assert ibm.accepted()[record.job_id].end == "cancelled"
    assert states(folder) == ["finished", "cancelled"]
    assert "cancelled by hand" in records(tmp_path)[1].reason


def test_a_job_that_has_ended_is_too_late_to_cancel_and_its_result_is_kept(left, capsys):
    ibm, folder = left()
    key = list(replay(folder).records)[1]
    code, said = hardware(capsys, "cancel", folder)
    assert (code, said["open"], said["too_late"]) == (0, [], [key])
    assert states(folder) == ["finished", "finished"]
    assert {job.end for job in ibm.accepted().values()} == {"completed"}


def test_a_run_that_is_resumed_pays_nothing_that_was_reattached(ibm, tmp_path, capsys):
    trainer(tmp_path / "whole").fit(DATA)
    jobs = len(ibm.accepted())
    ibm.inject(Fault("status", on="job", status=503, times=None, skip=3))
    with pytest.raises(ServiceError):
        trainer(tmp_path, policy={"first_poll": 0.02, **SILENT}).fit(DATA)
    ibm.clear()
    (folder,) = {path.parent for path in (tmp_path / "ledgers").rglob(LEDGER)}
    assert "accepted" in states(folder)
    assert hardware(capsys, "reattach", folder)[0] == 0
    assert set(states(folder)) == {"finished"}
    result = trainer(tmp_path).fit(DATA, existing="resume")
    assert "test_accuracy" in result.metrics
    assert len(ibm.accepted()) == 2 * jobs
    assert all(job["reads"] == 1 for job in ibm.jobs())


def test_the_settings_of_the_gateway_are_kept_without_the_key(left, ibm, capsys):
    _, folder = left()
    path = folder / CONFIG
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert ibm.settings.api_key not in text
    assert ibm.settings.crn not in text
    path.write_text("{")
    code, said = hardware(capsys, "reattach", folder)
    assert (code, said["error"]) == (1, "LedgerError")
    assert "settings of the gateway" in said["message"]
    path.unlink()
    assert hardware(capsys, "reattach", folder)[0] == 0


@pytest.mark.parametrize("command", ["reattach", "cancel"])
def test_a_refused_key_changes_nothing(left, tmp_path, monkeypatch, capsys, command):
    ibm, folder = left()
    before = (folder / LEDGER).read_bytes()
    key = tmp_path / "key"
    key.write_text("wrong")
    key.chmod(0o600)
    code, said = hardware(capsys, command, folder, "--token-file", key)
    assert (code, said["error"]) == (2, "ConfigError")
    assert "does not accept the API key" in said["message"]
    code, said = hardware(capsys, command, folder, "--account", "nobody")
    assert (code, said["error"]) == (2, "ConfigError")
    assert (folder / LEDGER).read_bytes() == before
    key.write_text(ibm.settings.api_key)
    settings = json.loads((folder / CONFIG).read_bytes())
    place = {"url": ibm.url + PATH, "instance": ibm.settings.crn, "channel": CHANNEL}
    settings["sign_in"] |= place
    (folder / CONFIG).write_text(json.dumps(settings))
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "wrong")
    assert hardware(capsys, command, folder, "--token-file", key)[0] == 0


@pytest.mark.parametrize("command", ["reattach", "cancel"])
def test_the_ledger_of_another_instance_is_refused(left, start, capsys, command):
    _, folder = left()
    before = (folder / LEDGER).read_bytes()
    other = start(crn="crn:v1:bluemix:public:quantum-computing:us-east:a/1f00:other::")
    code, said = hardware(capsys, command, folder)
    assert (code, said["error"], said["field"]) == (1, "LedgerError", "instance")
    assert (folder / LEDGER).read_bytes() == before
    assert not other.accepted()


def test_the_ledger_of_another_run_is_refused_before_anything_is_submitted(ibm, backend, tmp_path):
    measured(backend("first"), 0)
    close_gateways()
    (path,) = tmp_path.rglob(LEDGER)
    path.parent.rename(path.parent.with_name("second"))
    with pytest.raises(LedgerError, match="is of the run 'first', not of 'second'"):
        measured(backend("second"), 0)
    assert len(ibm.accepted()) == 1


def test_a_damaged_ledger_is_refused_before_anything_is_submitted(ibm, backend, tmp_path):
    measured(backend(), 0)
    close_gateways()
    (path,) = tmp_path.rglob(LEDGER)
    path.write_bytes(path.read_bytes().replace(b"accepted", b"rejected"))
    with pytest.raises(LedgerError, match="is damaged or out of place"):
        measured(backend(), 1)
    assert len(ibm.accepted()) == 1


@pytest.mark.parametrize("command", ["reattach", "cancel"])
def test_a_gateway_that_runs_keeps_its_ledger(ibm, backend, tmp_path, capsys, command):
    hardware_of_run = backend()
    measured(hardware_of_run, 0)
    (path,) = tmp_path.rglob(LEDGER)
    code, said = hardware(capsys, command, path.parent)
    assert (code, said["error"]) == (1, "LedgerError")
    assert f"process {os.getpid()}" in said["message"]
    measured(hardware_of_run, 1)
