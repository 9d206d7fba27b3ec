"""A search with Ray Tune whose storage is an object store, continued on another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from qstore_ray.storage.address import StorageAddress
from qstore_ray.storage.cloud import open_objects
from qstore_ray.tune.study.result import StudyResult
from qstore_ray.tune.tuner import Tuner
from tests.small_search import config_of, job_of
from tests.unit.storage.conftest import bucket, endpoint, stage
from tests.unit.storage.test_runs import on_another_machine

__all__ = ["bucket", "endpoint", "stage"]  # fixtures
pytestmark = pytest.mark.slow


def test_a_search_goes_on_on_another_machine(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = f"{bucket}/team"
    job = job_of(storage)
    assert Tuner(job, config_of(trials=2, refit=True)).fit().statuses == {"completed": 2}
    on_another_machine(monkeypatch, tmp_path)
    assert StudyResult.load(storage, "s").statuses == {"completed": 2}
    objects = open_objects(StorageAddress("s3", bucket.removeprefix("s3://"), "team/s"))
    runs = {key for key in objects.listing() if key.endswith("run.json")}
    assert runs == {"trial-0000/run.json", "trial-0001/run.json", "refit/run.json"}
    result = Tuner(job, config_of(trials=3, refit=True)).fit(existing="resume")
    assert [len(trial.epochs) for trial in result.trials] == [3, 3, 3]
