"""Reading a ledger: cut anywhere it is an earlier ledger, damaged it is refused by line."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.ledger import entries
from qstore_ray.backends.ibm.ledger.entries import LedgerOwner, encode_line
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER, _contents, replay
from qstore_ray.errors import LedgerError
from tests.unit.backends.ibm.ledger.gateway import OWNER, Service, run_job
from tests.unit.backends.ibm.made import job, key_of

FIRST, SECOND = job("x"), job("y")
KEY = FIRST.key


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """A ledger of a job that made three, and one that was accepted."""
    folder = tmp_path_factory.mktemp("ledger")
    with Ledger.open(folder, OWNER) as ledger:
        run_job(ledger, Service(folder, 3, answers=False), FIRST)
        ledger.usage(FIRST.key, "job-0", 2.5)
        ledger.intent(SECOND, HardwareCost(billed_seconds=2.0), price_per_second=1.6)
        ledger.looked_up(SECOND.key, [])
        ledger.submitting(SECOND.key, session_id="s1")
        ledger.accepted(SECOND.key, "job-9")
    return (folder / LEDGER).read_bytes()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> bytes:
    """A ledger of a job of which nobody knows whether it was accepted."""
    folder = tmp_path_factory.mktemp("small")
    with Ledger.open(folder, OWNER) as ledger:
        ledger.intent(FIRST, HardwareCost(billed_seconds=2.0))
        ledger.looked_up(KEY, [])
        ledger.submitting(KEY)
        ledger.looked_up(KEY, ["job-0"])
    return (folder / LEDGER).read_bytes()


def written(folder: Path, data: bytes) -> Path:
    """A folder with this ledger."""
    (folder / LEDGER).write_bytes(data)
    return folder


def test_a_ledger_cut_at_any_byte_is_an_earlier_ledger(small):
    """With the rest missing, or filled with zeros as after a loss of power."""
    lines = small.splitlines(keepends=True)
    earlier = [
        dict(_contents(b"".join(lines[:n]), Path(LEDGER)).records) for n in range(len(lines) + 1)
    ]
    states = [record.state.value for records in earlier for record in records.values()]
    assert states == ["intent", "looked_up", "submitting", "looked_up"]
    for cut in range(len(small)):
        done = small[:cut].count(b"\n")
        found = _contents(small[:cut], Path(LEDGER))
        assert (dict(found.records), found.lines) == (earlier[done], done)
        assert found.length == sum(map(len, lines[:done]))
        assert bool(found.notice) == (found.length < cut)
        if cut % 16 == 0:
            zeros = bytes(len(small) - cut)
            assert dict(_contents(small[:cut] + zeros, Path(LEDGER)).records) == earlier[done]


def test_a_cut_ledger_is_continued_and_says_what_it_dropped(whole, tmp_path, caplog):
    with Ledger.open(written(tmp_path, whole[:-10]), OWNER) as ledger:
        assert "the unfinished line 14" in ledger.notice
        assert ledger.notice in caplog.text
        assert ledger.records[SECOND.key].state is JobState.SUBMITTING
        ledger.looked_up(SECOND.key, ["job-9"])
        ledger.accepted(SECOND.key, "job-9")
    contents = replay(tmp_path)
    assert contents.notice == ""
    assert contents.records[SECOND.key].job_id == "job-9"


def test_a_byte_that_changed_is_found_with_its_line(small):
    last = small.rindex(b"\n", 0, -1) + 1
    drawn = random.Random(0)
    for at in range(0, last, 3):
        changed = bytearray(small)
        changed[at] ^= 1 << drawn.randrange(8)
        with pytest.raises(LedgerError) as caught:
            _contents(bytes(changed), Path(LEDGER))
        number = small[:at].count(b"\n") + 1
        assert caught.value.message.startswith(f"line {number} of the ledger is damaged")
        assert caught.value.fix


@pytest.mark.parametrize(
    ("order", "line"),
    [([0, 2, 3], 2), ([0, 1, 1, 2], 3), ([0, 2, 1, 3], 2), ([1, 2, 3], 1), ([0, 1, 0, 2], 3)],
    ids=["removed", "repeated", "swapped", "no first line", "a second first line"],
)
def test_lines_out_of_place_are_found(whole, tmp_path, order, line):
    lines = whole.splitlines(keepends=True)
    with pytest.raises(LedgerError, match=f"line {line} of the ledger"):
        replay(written(tmp_path, b"".join(lines[i] for i in order)))


def test_a_line_of_another_ledger_does_not_fit(whole, tmp_path):
    """Even at the same place: the checksums are a chain."""
    other = LedgerOwner(run="iris", instance=OWNER.instance, backend=OWNER.backend)
    at = json.loads(whole.splitlines()[0])["at"]
    lines = [encode_line(0, at, other, "")[0], *whole.splitlines(keepends=True)[1:]]
    with pytest.raises(LedgerError, match="line 2"):
        replay(written(tmp_path, b"".join(lines)))


def test_a_step_that_is_not_allowed_is_damage(tmp_path):
    first, checksum = encode_line(0, "now", OWNER, "")
    bad = entries.AcceptedEntry(key=key_of("x"), job_id="job-1")
    second, _ = encode_line(1, "now", bad, checksum)
    with pytest.raises(LedgerError, match="line 2") as caught:
        replay(written(tmp_path, first + second))
    assert "no intent" in str(caught.value.__cause__)


def test_a_newer_format_and_a_missing_ledger_are_refused(tmp_path):
    newer = OWNER.model_copy(update={"version": 99})
    with pytest.raises(LedgerError, match="format 99"):
        replay(written(tmp_path, encode_line(0, "now", newer, "")[0]))
    with pytest.raises(LedgerError, match="No such file") as caught:
        replay(tmp_path / "absent")
    assert caught.value.fix
