"""`qstore hardware`: jobs and their cost, from a ledger that a gateway may be writing."""

from __future__ import annotations

import json

import pytest

from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.replay import LEDGER
from qstore_ray.cli.app import main
from qstore_ray.cli.shared.ledgers import ledger_of
from qstore_ray.errors import UsageError
from tests.unit.backends.ibm.ledger.gateway import OWNER, Service, run_job
from tests.unit.backends.ibm.made import job

FIRST, SECOND = job("x", "y"), job("z", trial="b")


@pytest.fixture
def folder(tmp_path):
    """A ledger that is open: a job that made three, and one that failed."""
    with Ledger.open(tmp_path / "ledger", OWNER) as ledger:
        run_job(ledger, Service(tmp_path, 3, answers=False), FIRST)
        ledger.usage(FIRST.key, "job-0", 2.5)
        ledger.usage(FIRST.key, "job-1", 0.0)
        ledger.intent(SECOND, HardwareCost(billed_seconds=3.0), price_per_second=2.0)
        ledger.looked_up(SECOND.key, [])
        ledger.submitting(SECOND.key)
        ledger.accepted(SECOND.key, "job-9")
        ledger.failed(SECOND.key, "code 1305: ran too long")
        yield ledger.folder


def test_jobs_are_listed_with_their_states(folder, capsys):
    assert main(["hardware", "jobs", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 80
    header, first, second = out.splitlines()
    assert header.split()[:3] == ["tag", "state", "job"]
    assert first.split() == [FIRST.key[:12], "finished", "job-0", "200", "2.5", "2"]
    assert second.split() == [SECOND.key[:12], "failed", "job-9", "100", "-", "0"]
    assert "ran too long" in err


def test_jobs_are_records_as_json(folder, capsys):
    assert main(["hardware", "jobs", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["run"], found["backend"]) == (OWNER.run, OWNER.backend)
    first, second = found["jobs"]
    assert (first["key"], first["state"], first["job_id"]) == (FIRST.key, "finished", "job-0")
    assert first["duplicates"] == {"job-1": "cancelled", "job-2": "cancelled"}
    assert (second["reason"], second["trials"]) == ("code 1305: ran too long", ["b"])


def test_usage_is_shown_for_each_trial_and_in_all(folder, capsys):
    """A cancelled duplicate and a failed job count with their forecast: no bill is known."""
    forecast = 2.0 + 200 * 0.00035
    assert main(["hardware", "usage", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[:4] for line in out.splitlines()[1:]] == [
        ["a", "3", "600", f"{2.5 + forecast:.1f}"],
        ["b", "1", "100", "3.0"],
        ["all", "4", "700", f"{5.5 + forecast:.1f}"],
    ]
    assert f"{3.0 + forecast:.1f} of the seconds are a forecast" in err
    assert main(["hardware", "usage", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pending_seconds"] == pytest.approx(3.0 + forecast)
    assert found["trials"]["b"]["money"] == 6.0
    assert found["total"]["jobs"] == 4


def test_a_ledger_without_jobs_and_one_cut_off_are_shown(tmp_path, capsys):
    Ledger.open(tmp_path, OWNER).close()
    assert main(["hardware", "jobs", str(tmp_path)]) == 0
    assert "There are no jobs" in capsys.readouterr().err
    with (tmp_path / LEDGER).open("a") as file:
        file.write('{"seq":1')
    assert main(["hardware", "usage", str(tmp_path)]) == 0
    assert "unfinished line 2" in capsys.readouterr().err
    assert (tmp_path / LEDGER).read_text().endswith('{"seq":1')  # a reader changes nothing


def test_a_folder_above_ledgers_shows_all_of_them(folder, tmp_path, capsys):
    assert main(["hardware", "usage", str(tmp_path)]) == 0
    alone = capsys.readouterr().out
    other = tmp_path / "other"
    Ledger.open(other, OWNER.model_copy(update={"run": "other"})).close()
    assert main(["hardware", "usage", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[: 1 + len(alone.splitlines())] == [f"{folder}:", *alone.splitlines()]
    assert f"{other}:" in out
    assert main(["hardware", "jobs", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["ledgers"]
    assert [(each["run"], len(each["jobs"])) for each in found] == [("digits", 2), ("other", 0)]


@pytest.mark.parametrize("name", ["digits", "digits-0a1b2c3d"])
def test_a_run_is_found_by_its_name(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    root = tmp_path / "qstore_ray" / "ibm" / "0123456789abcdef" / "ibm_fez"
    for each in ("digits-0a1b2c3d", "digits-ibm-0a1b2c3d"):
        Ledger.open(root / each, OWNER).close()
    assert main(["hardware", "jobs", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ledger"] == str(root / "digits-0a1b2c3d")


def test_what_was_measured_with_a_run_is_found_by_its_name(tmp_path, monkeypatch, capsys):
    """And is not in the way of what takes one ledger."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    root = tmp_path / "qstore_ray" / "ibm" / "0123456789abcdef" / "ibm_fez"
    names = [
        "digits-0a1b2c3d",
        "predict-digits-0123456789abcdef",
        "predict-digits-ibm-0123456789ab",
    ]
    for each in names:
        Ledger.open(root / each, OWNER).close()
    assert main(["hardware", "jobs", "digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["ledgers"]
    assert [each["ledger"] for each in found] == [str(root / name) for name in names[:2]]
    assert ledger_of("digits") == root / names[0]
    assert ledger_of("digits-ibm") == root / names[2]
    with Ledger.open(root / "digits-00112233", OWNER) as second:
        second.intent(job("x"), HardwareCost())
    assert ledger_of("digits") == root / "digits-00112233", "the other one has no job"
    with Ledger.open(root / names[0], OWNER) as first:
        first.intent(job("x"), HardwareCost())
    with pytest.raises(UsageError, match="there are 2 ledgers"):
        ledger_of("digits")


def test_the_jobs_that_ran_the_parts_of_a_failed_one_are_named(tmp_path, capsys):
    folder, shared = tmp_path / "shared", job("y", "z")
    with Ledger.open(folder, OWNER) as ledger:
        ledger.intent(shared, HardwareCost())
        ledger.failed(shared.key, "code 3211")
        for part in (job("z"), job("y")):
            ledger.intent(part, HardwareCost())
    assert main(["hardware", "jobs", str(folder), "--json"]) == 0
    found = [each["run_again_in"] for each in json.loads(capsys.readouterr().out)["jobs"]]
    assert found == [[job("z").key, job("y").key], [], []]
    assert main(["hardware", "jobs", str(folder)]) == 0
    parts = ", ".join(job(name).key[:12] for name in "zy")
    assert f"{shared.key[:12]}: run again in {parts}" in capsys.readouterr().err


def test_what_is_no_ledger_is_a_named_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for command in ("jobs", "usage", "reattach", "cancel"):
        assert main(["hardware", command, str(tmp_path / "absent")]) == 2
        assert "no run of this name has one" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["reattach", "cancel"])
def test_one_ledger_is_changed_at_a_time(folder, tmp_path, capsys, command):
    with Ledger.open(tmp_path / "other", OWNER) as other:
        other.intent(job("x"), HardwareCost())
    assert main(["hardware", command, str(tmp_path)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"Give one of: {folder}, {tmp_path / 'other'}." in said


@pytest.mark.parametrize("command", ["reattach", "cancel"])
def test_a_ledger_that_is_open_is_not_changed(folder, capsys, command):
    """A gateway has it; nothing is signed in to."""
    assert main(["hardware", command, str(folder), "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == "LedgerError"
    assert "has this ledger open" in err


@pytest.mark.parametrize("command", ["jobs", "usage", "reattach", "cancel"])
def test_a_damaged_ledger_is_a_named_error(folder, capsys, command):
    (folder / LEDGER).write_bytes(b"x" + (folder / LEDGER).read_bytes())
    assert main(["hardware", command, str(folder), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["error"], found["field"]) == ("LedgerError", "ledger")
    assert "line 1" in found["message"]
