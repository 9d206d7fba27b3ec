"""A search on a quantum computer: all trials use one actor, which ends with the search."""

from __future__ import annotations

import pytest
import ray

from qstore_ray.backends.ibm.gateway.actor import NAMESPACE
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.tune.tuner import Tuner
from tests.ibm.launch import in_thread
from tests.small_search import config_of, job_of

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_trials_share_the_gateway_of_their_study(tmp_path, monkeypatch):
    options = {
        "device": "fake_manila",
        "shots": 16,
        "level": 1,
        "ledger": str(tmp_path / "ledgers"),
        "policy": {"first_poll": 0.05, "longest_poll": 0.2},
    }
    job = job_of(tmp_path, epochs=1, batch_size=90, backend="ibm", backend_options=options)
    with in_thread() as ibm:
        for name, value in ibm.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        result = Tuner(job, config_of(trials=2, cpus_per_trial=1.0)).fit()
        accepted = len(ibm.accepted())
    assert result.statuses["complete"] == 2
    (path,) = (tmp_path / "ledgers").rglob(LEDGER)
    assert path.parent.name.startswith("s-")
    records = replay(path.parent).records.values()
    trials = {share.trial for record in records for share in record.requests}
    assert trials == {"trial-0000", "trial-0001"}
    assert len(records) == accepted
    named = ray.util.list_named_actors(all_namespaces=True)
    assert [each for each in named if each["namespace"] == NAMESPACE] == []
