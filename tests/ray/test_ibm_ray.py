"""A search on a quantum computer: all trials use one actor, which ends with the search."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.tune.tuner import Tuner
from tests.ibm.launch import ROOT, in_thread
from tests.small_search import config_of, job_of


def search(storage: Path) -> None:
    """A search of two trials, one after another, on a Ray of its own."""
    options = {
        "device": "fake_manila",
        "shots": 16,
        "level": 1,
        "mode": "batch",
        "ledger": str(storage / "ledgers"),
        "policy": {"first_poll": 0.05, "longest_poll": 0.2},
    }
    job = job_of(
        storage, epochs=1, batch_size=90, optimizer="spsa", backend="ibm", backend_options=options
    )
    statuses = Tuner(job, config_of(trials=2, concurrency=1)).fit().statuses
    (storage / "statuses.json").write_text(json.dumps(dict(statuses)))


def test_trials_share_the_gateway_of_their_study(tmp_path):
    """In a process of its own: the actor has the variables of the process that started Ray."""
    with in_thread() as ibm:
        subprocess.run(
            [sys.executable, "-m", "tests.ray.test_ibm_ray", str(tmp_path)],
            cwd=ROOT, env={**os.environ, **ibm.environment(tmp_path)}, check=True, timeout=120,
        )  # fmt: skip
        accepted, requests = len(ibm.accepted()), ibm.requests()
    assert json.loads((tmp_path / "statuses.json").read_text()) == {"completed": 2}
    (path,) = (tmp_path / "ledgers").rglob(LEDGER)
    assert path.parent.name.startswith("s-")
    records = replay(path.parent).records.values()
    trials = {share.trial for record in records for share in record.requests}
    assert trials == {"trial-0000", "trial-0001"}
    assert len(records) == accepted
    assert requests["open_session"] == requests["close_session"] == 1, "closed by the driver"


if __name__ == "__main__":
    search(Path(sys.argv[1]))
