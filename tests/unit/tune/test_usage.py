"""What a search used of paid hardware follows its gateways, and is corrected when it is billed."""

from __future__ import annotations

import pytest

from qstore_ray.backends.paid import PaidUsage
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig
from qstore_ray.tune.driver.tracking import SearchTracking
from qstore_ray.tune.driver.usage import SearchUsage
from qstore_ray.tune.study.result import read_result
from tests.small_search import RATE, config_of, job_of, study_of

FORECAST = PaidUsage(jobs=1, executions=100, seconds=3.0, pending_seconds=3.0, money=6.0)
BILLED = PaidUsage(jobs=1, executions=100, seconds=2.0, money=4.0)


@pytest.fixture
def gateways(monkeypatch) -> dict[str, PaidUsage]:
    """What the gateways of the study say, by trial."""
    said: dict[str, PaidUsage] = {}
    monkeypatch.setattr("qstore_ray.tune.driver.usage.usage_by_trial", lambda *_, **__: said)
    return said


def opened(folder, study):
    return SearchUsage(study, job_of(folder).trainer, read_result(folder, "s"))


@pytest.fixture
def study(tmp_path):
    job = job_of(tmp_path)
    with study_of(job, config_of(), DatasetLoader.load(job.dataset)) as made:
        assert made.ask().values.keys() == {RATE}
        yield made


def test_the_study_keeps_what_was_read_last(tmp_path, study, gateways):
    usage = opened(tmp_path, study)
    assert usage.refresh() == []
    assert usage.metrics_of("trial-0000") == usage.metrics_of() == {}
    gateways |= {"": FORECAST, "trial-0000": FORECAST}
    assert usage.refresh("trial-0000", {}) == ["trial-0000"]
    assert usage.refresh() == [], "nothing has changed"
    gateways |= {"": BILLED, "trial-0000": BILLED}
    assert usage.refresh() == ["trial-0000"]
    result = read_result(tmp_path, "s")
    assert result.hardware == result.trials[0].hardware == BILLED.numbers()
    gateways.clear()  # closed
    again = opened(tmp_path, study)
    assert again.refresh() == []
    assert again.metrics_of() == BILLED.metrics()


def test_without_a_gateway_here_the_trials_say_what_they_used(tmp_path, study, gateways):
    usage = opened(tmp_path, study)
    usage.refresh("trial-0000", {"val_loss": 0.5, **BILLED.metrics()})
    usage.refresh("trial-0000", {"val_loss": 0.5, **BILLED.metrics()})
    usage.refresh("trial-0001", BILLED.metrics())
    usage.refresh("trial-0002", {"val_loss": 0.5})
    assert usage.metrics_of("trial-0002") == {}
    assert usage.metrics_of() == (BILLED + BILLED).metrics()


def test_a_late_bill_corrects_what_the_trackers_have(tmp_path):
    folder = tmp_path / "s" / "trial-0000"
    tracking = SearchTracking(
        tmp_path / "s", TrackConfig(mlflow=False), name="s", job_config={}, fingerprints={}
    )
    (tmp_path / "s").mkdir()
    tracking.start(False)
    tracking.begin(0, folder, {}, {})
    tracking.revise(folder, {"lost": 1})  # it runs: what it used comes with its end
    tracking.end(0, "finished", {"outcome": "completed", **FORECAST.metrics()})
    tracking.revise(folder, BILLED.metrics())
    assert tracking.close("finished") == []
    _, outcome = RunInfo.load(folder)
    assert outcome.summary == {"outcome": "completed", **BILLED.metrics()}
