"""`qstore hardware`: jobs and their cost, from a ledger that a gateway may be writing."""

from __future__ import annotations

import json

import pytest

from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.replay import LEDGER
from qstore_ray.cli.app import main
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
    header, first, second = out.splitlines()
    assert header.split()[:3] == ["tag", "state", "job"]
    assert first.split()[:7] == [FIRST.key[:12], "finished", "job-0", "a", "200", "2.5", "2"]
    assert second.split()[:7] == [SECOND.key[:12], "failed", "job-9", "b", "100", "-", "0"]
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


def test_a_folder_without_a_ledger_names_those_below_it(folder, tmp_path, capsys):
    assert main(["hardware", "usage", str(tmp_path)]) == 2
    assert f"Give one of: {folder}." in capsys.readouterr().err
    assert main(["hardware", "usage", str(tmp_path / "absent")]) == 2
    assert "Give the folder of a ledger" in capsys.readouterr().err


def test_a_damaged_ledger_is_a_named_error(folder, capsys):
    (folder / LEDGER).write_bytes(b"x" + (folder / LEDGER).read_bytes())
    assert main(["hardware", "jobs", str(folder), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["error"], found["field"]) == ("LedgerError", "ledger")
    assert "line 1" in found["message"]
