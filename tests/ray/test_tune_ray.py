"""Searches on a real cluster: however trials are run, the study tells what became of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from qstore_ray.cli.shared.study_text import summary_of
from qstore_ray.errors import ResourceError, RunError
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.result import StudyResult
from qstore_ray.tune.trial.trial import TrialRunner
from qstore_ray.tune.tuner import Tuner
from tests.small_search import RATE, SPACE, Listener, config_of, job_of, plan_of

pytestmark = pytest.mark.usefixtures("ray_cluster")


class Onlooker:
    """A display that notes which processes run trials.

    Args:
        kills: kill the process of the first trial that has reported two epochs, once.
    """

    def __init__(self, *, kills: bool = False) -> None:
        self.pids: set[int] = set()
        self.most = 0
        self._running: set[int] = set()
        self._kills = kills

    def start(self, *_: Any, **__: Any) -> None: ...

    def note(self, text: str) -> None: ...

    def trial_started(self, number: int, values: dict[str, Any]) -> None:
        self._running.add(number)
        self.most = max(self.most, len(self._running))

    def epoch(self, number: int, epoch: int, value: float) -> None:
        pids = _trial_processes()
        self.pids |= set(pids)
        if self._kills and epoch >= 2:
            self._kills = False
            os.kill(pids[0], signal.SIGKILL)

    def trial_ended(self, number: int, status: str, value: float | None, error: str | None) -> None:
        self._running.discard(number)

    def close(self) -> None: ...


def _trial_processes() -> list[int]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "TrialActor" in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def _search(
    storage: Path, onlooker: Onlooker | None = None, trainer: dict | None = None, **options: Any
) -> StudyResult:
    """A search with room for two trials at a time."""
    config = config_of(**{"cpus_per_trial": 1.0, **options})
    job = job_of(storage, **(trainer or {}))
    result = Tuner(job, config, display=onlooker).fit()
    assert not (storage / "s" / ".ray").exists(), "Ray Tune's scratch is gone"
    return result


def _trained_here(storage: Path, points: list[dict], **trainer: Any) -> list[float]:
    """The first objective of the same trainings in this process."""
    trials = TrialRunner(plan_of(job_of(storage, **trainer), config_of()))
    names = [f"trial-{number}" for number in range(len(points))]
    ends = [trials.run(n, p, Listener()) for n, p in zip(names, points, strict=True)]
    return [end["values"][0] for end in ends]


def _found(result: StudyResult) -> list[tuple]:
    """All that does not depend on the clock."""
    return [
        (t.number, t.status, t.parameters, t.objectives, t.circuit_evaluations, _untimed(t.epochs))
        for t in result.trials
    ]


def _untimed(epochs: list[dict]) -> list[dict]:
    return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in epochs]


def _epochs(folder: Path) -> list[int]:
    return [int(r["epoch"]) for r in epoch_records(read_records(folder / "metrics.jsonl"))]


def test_trial_by_trial_a_search_is_the_same_to_the_bit_in_a_process_that_is_used_again(tmp_path):
    options = {"concurrency": 1, "trials": 4, "sampler": "tpe", "sampler_options": {"startup": 2}}
    onlooker = Onlooker()
    first = _search(tmp_path / "a", onlooker, **options)
    assert first.statuses == {"completed": 4}
    assert len(onlooker.pids) == onlooker.most == 1
    assert [_epochs(tmp_path / "a" / "s" / trial.run) for trial in first.trials] == [[0, 1, 2]] * 4
    for name in ("result.json", "trials.parquet", "best.toml", "metrics.jsonl", "config.toml"):
        assert (tmp_path / "a" / "s" / name).exists()
    second = _search(tmp_path / "b", **options)
    assert _found(first) == _found(second)


def test_asha_ends_trials_early_and_the_better_ones_go_on(tmp_path):
    onlooker = Onlooker()
    points = [{RATE: rate} for rate in (0.4, 0.3, 0.2, 0.02, 0.015, 0.01)]
    result = _search(
        tmp_path,
        onlooker,
        {"epochs": 6},
        trials=6,
        points=points,
        scheduler="asha",
        scheduler_options={"grace_period": 1, "reduction_factor": 3},
    )
    assert set(result.statuses) == {"completed", "pruned"}
    assert onlooker.most == 2
    assert len(onlooker.pids) <= 2
    for trial in result.trials:
        epochs = _epochs(tmp_path / "s" / trial.run)
        assert epochs == list(range(len(epochs)))
        assert (len(epochs) == 6) == (trial.status == "completed")
        status = {"completed": "finished", "pruned": "interrupted"}[trial.status]
        assert read_run_record(tmp_path / "s" / trial.run)["status"] == status
    assert result.best_trials()[0].parameters[RATE] >= 0.2


def test_a_population_takes_over_what_works(tmp_path):
    points = [{RATE: rate} for rate in (0.3, 0.2, 0.011, 0.01)]
    result = _search(
        tmp_path,
        None,
        {"epochs": 6},
        trials=4,
        points=points,
        scheduler="pbt",
        scheduler_options={"interval": 1, "quantile_fraction": 0.5},
    )
    assert result.statuses == {"completed": 4}
    space = Space.from_dict(SPACE)
    assert all(space.contains(trial.parameters) for trial in result.trials)
    changed = [t.number for t in result.trials if t.parameters != points[t.number]]
    assert changed
    for trial in result.trials:
        run = tmp_path / "s" / trial.run
        starts = [r for r in read_records(run / "metrics.jsonl") if r["event"] == "start"]
        assert _epochs(run)[-1] == 5
        assert not (run / "adopted").exists()
        if trial.number in changed:
            assert len(starts) > 1, "it went on from another's checkpoint"


def test_folds_and_seeds_are_trained_beside_each_other(tmp_path):
    result = _search(tmp_path, trials=1, folds=2, seeds=2, parts_at_once=2, concurrency=1)
    (trial,) = result.trials
    assert trial.status == "completed"
    names = sorted(path.parent.name for path in (tmp_path / "s" / trial.run).glob("*/run.json"))
    assert names == ["fold-0-seed-0", "fold-0-seed-1", "fold-1-seed-0", "fold-1-seed-1"]
    last = [
        epoch_records(read_records(tmp_path / "s" / trial.run / name / "metrics.jsonl"))[-1]
        for name in names
    ]
    mean = sum(record["val_loss"] for record in last) / 4
    assert trial.objectives["val_loss"] == pytest.approx(mean)
    low, high = trial.interval
    assert low < mean < high
    assert f"({low:.4g} to {high:.4g})" in dict(summary_of(result))["best"]
    assert trial.circuit_evaluations == sum(record["circuit_evaluations"] for record in last)


@pytest.mark.slow
def test_a_trial_of_two_workers_finds_what_a_trial_in_one_process_finds(tmp_path):
    points = [{RATE: 0.1}]
    cluster = ClusterConfig(cpus_per_worker=0.9)
    job = job_of(tmp_path).model_copy(update={"cluster": cluster})
    result = Tuner(job, config_of(trials=1, points=points, workers_per_trial=2)).fit()
    (expected,) = _trained_here(tmp_path / "one", points)
    assert result.trials[0].objectives["val_loss"] == pytest.approx(expected, rel=1e-9)
    assert _epochs(tmp_path / "s" / "trial-0000") == [0, 1, 2]


def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(tmp_path):
    onlooker = Onlooker(kills=True)
    every = {"epochs": 6, "checkpoint_every_epochs": 1}
    points = [{RATE: 0.1}, {RATE: 0.2}]
    asha = {"scheduler": "asha", "scheduler_options": {"grace_period": 2, "reduction_factor": 4}}
    result = _search(tmp_path, onlooker, every, trials=2, concurrency=1, points=points, **asha)
    assert result.statuses == {"completed": 2}
    found = [trial.objectives["val_loss"] for trial in result.trials]
    assert found == _trained_here(tmp_path / "here", points, **every)
    for trial in result.trials:
        assert _epochs(tmp_path / "s" / trial.run) == list(range(6))
    starts = [
        record
        for record in read_records(tmp_path / "s" / "trial-0000" / "metrics.jsonl")
        if record["event"] == "start"
    ]
    assert [record.get("resumed_from_step", 0) > 0 for record in starts] == [False, True]
    assert len(onlooker.pids) == 2


def test_trials_that_diverge_are_failed_and_counted_by_their_cause(tmp_path):
    rate = {"type": "categorical", "choices": [0.1, 1e308]}
    points = [{RATE: 1e308}, {RATE: 0.1}]
    config = {"space": {RATE: rate}, "trials": 2, "points": points, "concurrency": 1}
    result = _search(tmp_path / "one", **config)
    assert [trial.status for trial in result.trials] == ["failed", "completed"]
    assert result.trials[0].error.startswith("DivergenceError: ")
    assert result.best == [1]
    rates = [1e307, 1e308]  # two, as no point is tried twice
    space = {RATE: {"type": "categorical", "choices": rates}}
    points = [{RATE: value} for value in rates]
    with pytest.raises(RunError) as caught:
        _search(tmp_path / "none", **{**config, "space": space, "points": points})
    assert caught.value.message == "no trial of the study was completed"
    assert "2 × DivergenceError: " in caught.value.fix
    assert (tmp_path / "none" / "s" / "result.json").exists()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"cpus_per_trial": 3.0}, "tune.cpus_per_trial"),
        ({"gpus_per_trial": 3.0}, "tune.gpus_per_trial"),
        ({"resources": {"qpu": 1.0}}, "tune.resources.qpu"),
        ({"concurrency": 3}, "tune.concurrency"),
        ({"workers_per_trial": 3}, "tune.workers_per_trial"),
    ],
)
def test_a_cluster_without_room_is_said_before_anything_is_written(tmp_path, options, field):
    with pytest.raises(ResourceError) as caught:
        _search(tmp_path, **options)
    assert caught.value.field == field
    assert not (tmp_path / "s").exists()
