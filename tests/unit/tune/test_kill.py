"""A real driver, killed with SIGKILL again and again in the middle of its trials."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from qstore_ray.tune.study.result import read_result
from tests.unit.tune.test_study import _journal, _whole

DRIVER = """
import sys, time
from pathlib import Path
from tests.unit.tune.test_study import _cost, _open

storage = Path(sys.argv[1])
existing = "resume" if (storage / "s" / "study.journal").exists() else "error"
with _open(storage, existing=existing) as study:
    with open(storage / "ledger", "a") as ledger:
        while trial := study.ask():
            for epoch in range(4):
                time.sleep(float(sys.argv[2]))
                study.report(trial.number, epoch, 9.0 - epoch)
            ledger.write(f"{_cost(trial.values)} {trial.name}\\n")
            ledger.flush()
            study.tell(trial.number, [_cost(trial.values)])
"""
LONGEST = 60.0


def _start(repository: Path, storage: Path, pause: float) -> subprocess.Popen:
    command = [sys.executable, "-c", DRIVER, str(storage), str(pause)]
    return subprocess.Popen(command, cwd=repository)


def _reports(journal: Path) -> int:
    return journal.read_bytes().count(b'{"op_code":7,') if journal.exists() else 0


def _wait_for(journal: Path, reports: int, driver: subprocess.Popen) -> None:
    end = time.monotonic() + LONGEST
    while _reports(journal) < reports:
        assert time.monotonic() < end
        assert driver.poll() is None, "it ended before it was killed"
        time.sleep(0.005)


def test_a_search_whose_driver_is_killed_loses_no_trial_and_counts_none_twice(tmp_path, repository):
    journal = _journal(tmp_path)
    best, left = 9.0, 0
    for epochs in (1, 6, 5):  # after the first or second epoch of its first or second trial
        reports = _reports(journal) + epochs
        driver = _start(repository, tmp_path, 0.15)
        try:
            _wait_for(journal, reports, driver)
        finally:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        result = read_result(tmp_path, "s")
        left += result.statuses.get("running", 0)
        reached = min((t.objectives["val_loss"] for t in result.trials if t.objectives), default=9)
        assert reached <= best, "the best so far is not lost"
        best = reached
    assert left >= 1
    assert _start(repository, tmp_path, 0.0).wait(LONGEST) == os.EX_OK
    _whole(tmp_path)
    result = read_result(tmp_path, "s")
    assert result.statuses == {"completed": 6, "interrupted": left}
    # A trial that was run twice, because it was killed, found its own run folder again.
    rows = [line.split() for line in (tmp_path / "ledger").read_text().splitlines()]
    assert len({name for _, name in rows}) == len({cost for cost, _ in rows}) == 6
