"""Workers that do not exchange every gradient as it is, as Ray Train workers that are killed."""

from __future__ import annotations

import pytest

from qstore_ray.track.jsonl import read_records
from tests.ray import test_train_ray
from tests.ray.test_train_ray import Killer, _bits, _starts, _trainer

digits = test_train_ray.digits
WAYS = {
    "delay": {"averaging": {"period": 4, "delay": 2}},
    "top_k": {"compression": {"method": "top_k", "keep": 0.1}},
    "int8": {"compression": {"method": "int8"}},
}


@pytest.mark.parametrize(
    "way",
    [
        "delay",
        pytest.param("top_k", marks=pytest.mark.slow),  # `delay` is killed in every run of tests
        pytest.param("int8", marks=pytest.mark.slow),
    ],
)
def test_a_killed_worker_costs_no_bit(digits, ray_cluster, tmp_path, way):
    options = {"num_workers": 2, "checkpoint_every_seconds": 0.05, "epochs": 6, **WAYS[way]}
    whole = _bits(_trainer(tmp_path / "runs", "whole", **options).fit(digits))
    killer = Killer(tmp_path / "runs" / "killed", at=[15])
    killer.start()
    killed = _bits(_trainer(tmp_path / "runs", "killed", **options).fit(digits))
    killer.join(5)
    assert len(killer.killed) == 1
    assert killed == whole
    starts = _starts(tmp_path / "runs" / "killed")
    assert starts[-1]["resumed_from_step"] > 0


@pytest.mark.slow  # the measuring is tested without Ray, too
def test_the_period_is_measured_between_processes(digits, ray_cluster, tmp_path):
    options = {"num_workers": 2, "epochs": 3, "averaging": {"period": "auto", "overhead": 0.02}}
    _trainer(tmp_path, "auto", **options).fit(digits)
    records = read_records(tmp_path / "auto" / "metrics.jsonl")
    (note,) = [each for each in records if "sum_seconds" in each]
    assert note["period"] >= 1
    assert 0.0 < note["sum_seconds"] < 1.0
