"""Time and memory against the record: what is slower or larger by a quarter fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.gates import record
from tools.gates.record import Cost, Record

WORK = "total = 0\nfor i in range(600000):\n    total += i\n"


def _record(loops: float, mib: float) -> Record:
    return Record(commit="abc", loop_seconds=1.0, work={"job": Cost(loops=loops, mib=mib)})


@pytest.mark.parametrize(
    ("loops", "mib", "fails"),
    [(10.0, 100.0, 0), (12.5, 125.0, 0), (12.6, 100.0, 1), (10.0, 126.0, 1), (1.0, 1.0, 0)],
)
def test_a_ratio_over_a_quarter_more_fails(
    tmp_path: Path, capsys, loops: float, mib: float, fails: int
) -> None:
    file = tmp_path / "record.json"
    record.write_record(_record(10.0, 100.0), file)
    assert record.check_record(_record(loops, mib), file) == fails
    printed = capsys.readouterr().out
    assert f"time of job, in loops: 10.0 → {loops}, ratio {loops / 10:.2f}" in printed
    assert ("make record" in printed) == bool(fails)


def test_without_a_record_the_check_fails_with_the_command(tmp_path: Path, capsys) -> None:
    assert record.check_record(_record(1.0, 1.0), tmp_path / "record.json") == 1
    assert "make record" in capsys.readouterr().out


def test_work_that_is_planted_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the work takes more CPU time, and a list of 80 MB more memory."""
    monkeypatch.setattr(record, "CALIBRATION", "for i in range(400000): pass")
    python = (sys.executable, "-S", "-c")
    work = {
        "once": (*python, WORK),
        "eight times": (*python, WORK * 8),
        "large": (*python, f"x = [0] * 10_000_000\n{WORK}"),
    }
    found = record.measure(work, repeats=2)["work"]
    assert found["eight times"]["loops"] > 2 * found["once"]["loops"]
    assert found["large"]["mib"] > found["once"]["mib"] + 60


def test_a_program_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"ended with 3: .*no such job"):
        record.run_once((sys.executable, "-c", "print('no such job'); raise SystemExit(3)"))
