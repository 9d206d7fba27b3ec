"""A ledger: one gateway, its own run, nothing secret, nothing twice, each line on disk."""

from __future__ import annotations

import errno
import os
import stat
import threading

import numpy as np
import pytest

from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.ledger.entries import LedgerOwner
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.lock import LOCK
from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.backends.ibm.ledger.results import RESULTS, HardwareResult, write_result
from qstore_ray.errors import ConfigError, LedgerError
from tests.unit.backends.ibm.ledger.gateway import OWNER, VALUES, Service, run_job
from tests.unit.backends.ibm.made import job, key_of

JOB = job("x", "y")
COST = HardwareCost(1, 200, 2.07, 2.07)
RESULT = HardwareResult({"values": VALUES, "file": np.eye(2)}, {"session_id": "s"})
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123abc:5f-1::"


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger", OWNER) as opened:
        yield opened


def accepted(ledger: Ledger) -> None:
    ledger.intent(JOB, COST)
    ledger.looked_up(JOB.key, [])
    ledger.submitting(JOB.key)
    ledger.accepted(JOB.key, "job-1")


def test_what_is_read_is_what_was_recorded(ledger):
    accepted(ledger)
    ledger.finished(JOB.key, RESULT)
    ledger.usage(JOB.key, "job-1", 2.5)
    ledger.duplicate(JOB.key, "job-2", "completed")
    contents = replay(ledger.folder)
    assert contents.owner == ledger.owner == OWNER
    assert dict(contents.records) == dict(ledger.records)
    record = ledger.records[JOB.key]
    assert [share.key for share in record.requests] == [key_of("x"), key_of("y")]
    assert (record.executions, record.usage["job-1"]) == (200, 2.5)


def test_a_result_is_read_again_after_a_restart(ledger):
    accepted(ledger)
    ledger.finished(JOB.key, RESULT)
    ledger.close()
    with Ledger.open(ledger.folder, OWNER) as again:
        found = again.result(JOB.key)
        assert again.job_of(key_of("y")).key == JOB.key
    assert found.details == RESULT.details
    assert found.arrays.keys() == RESULT.arrays.keys()
    assert all(np.array_equal(found.arrays[name], RESULT.arrays[name]) for name in RESULT.arrays)


@pytest.mark.parametrize("suffix", ["npz", "json"])
@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_a_result_that_is_damaged_is_fetched_again(ledger, suffix, damage):
    accepted(ledger)
    ledger.finished(JOB.key, RESULT)
    path = ledger.folder / RESULTS / f"{JOB.key}.{suffix}"
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(LedgerError, match="missing or damaged"):
        ledger.result(JOB.key)
    assert ledger.result_lost(JOB.key, "damaged").state is JobState.ACCEPTED
    assert ledger.finished(JOB.key, RESULT).state is JobState.FINISHED
    assert np.array_equal(ledger.result(JOB.key).arrays["values"], VALUES)


@pytest.mark.parametrize("job_id", ["job-1", "job-0"])
def test_a_complete_result_that_was_not_recorded_is_kept(ledger, job_id):
    """Of a private job there is no second copy. One of another job is not taken for it."""
    accepted(ledger)
    write_result(ledger.folder, JOB.key, job_id, RESULT)
    (ledger.folder / RESULTS / f".{JOB.key}.npz.1.part").write_bytes(b"half")
    ledger.close()
    with Ledger.open(ledger.folder, OWNER) as again:
        state = again.records[JOB.key].state
    assert state is (JobState.FINISHED if job_id == "job-1" else JobState.ACCEPTED)
    assert len(list((ledger.folder / RESULTS).iterdir())) == 2


def test_a_request_is_in_one_job_unless_that_failed(ledger):
    ledger.intent(JOB, COST)
    with pytest.raises(LedgerError, match="in a job already") as caught:
        ledger.intent(job("y", "z"), COST)
    assert caught.value.value == key_of("y")
    ledger.looked_up(JOB.key, [])
    ledger.failed(JOB.key, "refused")
    assert ledger.job_of(key_of("y")) is None
    other = job("y", "z")
    ledger.intent(other, COST)
    assert ledger.job_of(key_of("y")).key == other.key
    with pytest.raises(LedgerError, match="in a job already"):
        ledger.intent(JOB, COST)
    ledger.cancelled(other.key, "the trial has ended")
    assert ledger.intent(JOB, COST).attempts == 2


def test_of_several_threads_one_gets_a_request(ledger):
    refused = []

    def intend(i: int) -> None:
        try:
            ledger.intent(job("y", i), COST)
        except LedgerError:
            refused.append(i)

    threads = [threading.Thread(target=intend, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert dict(replay(ledger.folder).records) == dict(ledger.records)


def test_a_job_that_failed_after_it_was_accepted_can_be_tried_again(ledger):
    accepted(ledger)
    ledger.failed(JOB.key, "code 9999")
    ledger.intent(JOB, COST)
    ledger.looked_up(JOB.key, [])
    ledger.submitting(JOB.key)
    with pytest.raises(LedgerError, match="has failed or is a duplicate"):
        ledger.accepted(JOB.key, "job-1")
    record = ledger.accepted(JOB.key, "job-2")
    assert (record.dead, record.submitted) == (("job-1",), ("job-1", "job-2"))
    ledger.usage(JOB.key, "job-1", 0.0)


def test_a_job_found_after_its_submission_was_given_up_has_to_be_cancelled(ledger):
    """The index of tags may be slow."""
    ledger.intent(JOB, COST)
    ledger.looked_up(JOB.key, [])
    ledger.submitting(JOB.key)
    with pytest.raises(LedgerError, match="submitting"):
        ledger.cancelled(JOB.key, "no answer")
    ledger.looked_up(JOB.key, [])
    ledger.cancelled(JOB.key, "no answer, and none found")
    assert ledger.records[JOB.key].open_duplicates == ()
    assert ledger.looked_up(JOB.key, ["late"]).open_duplicates == ("late",)
    assert ledger.duplicate(JOB.key, "late", "cancelled").open_duplicates == ()


@pytest.mark.parametrize(
    ("step", "because"),
    [
        (lambda ledger: ledger.submitting(JOB.key), "is accepted"),
        (lambda ledger: ledger.intent(JOB, COST), "in a job already"),
        (lambda ledger: ledger.duplicate(JOB.key, "job-1", "cancelled"), "the job itself"),
        (lambda ledger: ledger.usage(JOB.key, "job-7", 1.0), "no job job-7"),
        (lambda ledger: ledger.result_lost(JOB.key, ""), "is accepted"),
        (lambda ledger: ledger.result(JOB.key), "no result yet"),
        (lambda ledger: ledger.looked_up(key_of("?"), []), "no intent"),
        (lambda ledger: ledger.finished(key_of("?"), RESULT), "unknown"),
    ],
)
def test_a_step_that_is_not_allowed_is_refused_and_not_written(ledger, step, because):
    accepted(ledger)
    before = (ledger.folder / LEDGER).read_bytes()
    with pytest.raises(LedgerError, match=because):
        step(ledger)
    assert (ledger.folder / LEDGER).read_bytes() == before


def test_a_job_that_was_found_is_accepted_instead_of_submitted(ledger):
    ledger.intent(JOB, COST)
    ledger.looked_up(JOB.key, ["job-3", "job-4"])
    with pytest.raises(LedgerError, match="accept that one"):
        ledger.submitting(JOB.key)
    with pytest.raises(LedgerError, match="no look-up found job-5"):
        ledger.accepted(JOB.key, "job-5")
    record = ledger.accepted(JOB.key, record_of(ledger).living[0])
    assert (record.job_id, record.open_duplicates) == ("job-3", ("job-4",))


def test_a_look_up_by_an_earlier_gateway_is_made_again(ledger):
    """Another may have submitted the job since."""
    ledger.intent(JOB, COST)
    ledger.looked_up(JOB.key, [])
    ledger.close()
    with Ledger.open(ledger.folder, OWNER) as again:
        with pytest.raises(LedgerError, match="is intent"):
            again.submitting(JOB.key)
        again.looked_up(JOB.key, ["job-1"])
        assert again.accepted(JOB.key, "job-1").job_id == "job-1"


def test_that_a_submission_is_uncertain_survives_a_restart_and_empty_look_ups(ledger):
    ledger.intent(JOB, COST)
    assert not ledger.looked_up(JOB.key, []).is_uncertain
    ledger.submitting(JOB.key)
    assert ledger.looked_up(JOB.key, []).is_uncertain
    ledger.close()
    with Ledger.open(ledger.folder, OWNER) as again:
        record = again.records[JOB.key]
        assert (record.state, record.is_uncertain) == (JobState.SUBMITTING, True)
        again.looked_up(JOB.key, ["late"])
        assert not again.accepted(JOB.key, "late").is_uncertain


def record_of(ledger: Ledger):
    return ledger.records[JOB.key]


@pytest.mark.parametrize("name", ["run", "instance", "backend"])
def test_the_ledger_of_another_is_refused_by_name(ledger, name):
    ledger.close()
    other = OWNER.model_copy(update={name: "f" * 16})
    with pytest.raises(LedgerError, match=f"of the {name}") as caught:
        Ledger.open(ledger.folder, other)
    assert caught.value.field == name
    with Ledger.open(ledger.folder, OWNER):
        pass  # the refusal holds no lock


def test_a_second_gateway_is_refused_and_learns_who_holds_it(ledger):
    with pytest.raises(LedgerError, match=f"process {os.getpid()} on ") as caught:
        Ledger.open(ledger.folder, OWNER)
    assert caught.value.locked
    accepted(ledger)  # and the first one is not disturbed


def test_a_second_gateway_gets_it_when_the_first_one_has_closed(ledger):
    ledger.close()
    with Ledger.open(ledger.folder, OWNER) as second:
        assert second.records == {}
    with pytest.raises(LedgerError, match="is closed"):
        ledger.intent(JOB, COST)


def test_a_lock_without_a_holder_is_still_a_lock(ledger):
    (ledger.folder / LOCK).write_text("")
    with pytest.raises(LedgerError, match="another process"):
        Ledger.open(ledger.folder, OWNER)


def test_only_its_owner_may_read_it(tmp_path):
    folder = tmp_path / "a" / "ledger"
    folder.mkdir(parents=True, mode=0o755)
    with Ledger.open(folder, OWNER) as ledger:
        run_job(ledger, Service(tmp_path, 1, answers=True), JOB)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / LEDGER).stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / RESULTS).stat().st_mode) == 0o700


def test_no_token_and_no_crn_is_in_any_file(ledger):
    accepted(ledger)
    said = {"message": f"GET {CRN} Authorization: Bearer s3cret"}
    ledger.finished(JOB.key, HardwareResult({"values": VALUES}, said))
    ledger.result_lost(JOB.key, said["message"])
    ledger.failed(JOB.key, f"apikey s3cret of {CRN}")
    files = [path for path in ledger.folder.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert not [path for path in files if b"s3cret" in path.read_bytes()]
    assert not [path for path in files if b"0123abc" in path.read_bytes()]
    with pytest.raises(ValueError, match="instance"):
        LedgerOwner(run="digits", instance=CRN, backend="ibm_fez")


@pytest.mark.parametrize("fault", ["part of a line", "no line", "no fsync"])
def test_after_a_line_that_could_not_be_written_nothing_is(ledger, monkeypatch, fault):
    ledger.intent(JOB, COST)
    ledger.looked_up(JOB.key, [])
    before = (ledger.folder / LEDGER).read_bytes()
    write = os.write

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if fault == "no fsync":
            patch.setattr(os, "fsync", full)
        else:
            part = {"part of a line": lambda file, line: write(file, line[:9])}.get(fault, full)
            patch.setattr(os, "write", part)
        with pytest.raises(LedgerError, match="No space left") as caught:
            ledger.submitting(JOB.key)
    assert "Free some space" in caught.value.fix
    assert ledger.records[JOB.key].state is JobState.LOOKED_UP
    with pytest.raises(LedgerError, match="earlier line"):
        ledger.submitting(JOB.key)
    ledger.close()
    if fault != "no fsync":
        assert (ledger.folder / LEDGER).read_bytes() == before
    with Ledger.open(ledger.folder, OWNER) as again:
        again.looked_up(JOB.key, [])


def test_the_lines_before_a_submission_come_to_the_disk_with_it(ledger, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    ledger.intent(JOB, COST)
    ledger.looked_up(JOB.key, [])
    assert not synced
    ledger.submitting(JOB.key)
    assert len(synced) == 1
    ledger.looked_up(JOB.key, ["job-0"])
    ledger.accepted(JOB.key, "job-0")
    assert len(synced) == 3


def test_a_folder_that_cannot_be_used_is_a_named_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be in this folder: Not a directory") as caught:
        Ledger.open(tmp_path / "file" / "ledger", OWNER)
    assert caught.value.fix


@pytest.mark.parametrize(
    "result",
    [
        HardwareResult({"values": np.array([object()])}, {}),
        HardwareResult({"values": VALUES}, {"when": object()}),
        HardwareResult({"values": VALUES}, {"error": float("nan")}),
    ],
)
def test_a_result_that_cannot_be_read_again_is_not_written(ledger, result):
    accepted(ledger)
    with pytest.raises(LedgerError):
        ledger.finished(JOB.key, result)
    assert record_of(ledger).state is JobState.ACCEPTED
    assert not (ledger.folder / RESULTS).exists()


def test_sessions_are_open_until_they_are_closed_also_after_a_replay(tmp_path):
    """And also if the job that was submitted in one is tried again in another."""
    with Ledger.open(tmp_path, OWNER) as ledger:
        wanted = job("x")
        for session in ("first", "second"):
            ledger.intent(wanted, HardwareCost())
            ledger.looked_up(wanted.key, [])
            ledger.submitting(wanted.key, session)
            ledger.failed(wanted.key, "refused")
        assert ledger.open_sessions == ("first", "second")
        ledger.session_closed("first")
        assert ledger.open_sessions == ("second",)
    with Ledger.open(tmp_path, OWNER) as ledger:
        assert ledger.open_sessions == ("second",)
        ledger.session_closed("second")
        assert ledger.open_sessions == ()


def test_ended_jobs_without_usage_are_unbilled(tmp_path):
    with Ledger.open(tmp_path, OWNER) as ledger:
        wanted = job("x")
        ledger.intent(wanted, HardwareCost())
        ledger.looked_up(wanted.key, ["a", "b"])
        ledger.accepted(wanted.key, "a")
        assert ledger.records[wanted.key].unbilled == ()
        ledger.duplicate(wanted.key, "b", "completed")
        assert ledger.records[wanted.key].unbilled == ("b",)
        ledger.failed(wanted.key, "ran too long")
        assert ledger.records[wanted.key].unbilled == ("a", "b")
        ledger.usage(wanted.key, "b", 2.0)
        assert ledger.records[wanted.key].unbilled == ("a",)
