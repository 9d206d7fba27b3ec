"""Trials in one process: parts, run folders that are resumed, checkpoints that are passed on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import CheckpointError, ConfigError, InterruptedRunError, RunExistsError
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.lock import lock_folder
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.tune.trial import checkpoint_transfer
from qstore_ray.tune.trial import training as trainings
from qstore_ray.tune.trial.attempt import Attempt
from qstore_ray.tune.trial.training import PartTrainer
from qstore_ray.tune.trial.trial import TrialRunner
from tests.small_search import RATE, Listener, config_of, job_of, plan_of, progress_of, stopped

VALUES = {RATE: 0.1}


def _untimed(metrics):
    return {k: v for k, v in metrics.items() if not k.endswith(("seconds", "per_second"))}


def _epochs(folder: Path) -> list[int]:
    return [int(r["epoch"]) for r in epoch_records(read_records(folder / "metrics.jsonl"))]


def _bits(folder: Path) -> bytes:
    found, problems = latest_checkpoint(folder / "checkpoints")
    assert found is not None
    assert problems == []
    return b"".join(found.arrays[name].tobytes() for name in sorted(found.arrays))


class StopsAtOnce(Listener):
    """Stops a training at its first report."""

    def report(self, message):
        super().report(message)
        self.stopping.set()


@pytest.fixture(scope="module")
def data():
    return DatasetLoader.load(job_of(Path("runs")).dataset)


@pytest.fixture
def plan(data, tmp_path):
    """Makes plans of searches below `tmp_path`."""

    def make(trainer=None, **options):
        return plan_of(job_of(tmp_path, **(trainer or {})), config_of(**options), data)

    return make


# ------------------------------------------------------------------------------ the job of a trial


def test_the_job_of_a_trial_has_its_values_and_leaves_the_rest(plan, tmp_path):
    made = plan({"num_workers": 2})
    job = made.trial_job("trial-0004", VALUES)
    assert (job.name, job.storage) == ("trial-0004", str(tmp_path / "s"))
    assert job.trainer.learning_rate == 0.1
    assert job.trainer.num_workers == 0, "workers of a trial are tune.workers_per_trial"
    assert job.trainer.checkpoint_every_epochs == made.job.trainer.checkpoint_every_epochs
    assert (job.baseline, job.track.mlflow, job.track.figures) == (False, False, False)
    assert (job.model, job.dataset) == (made.job.model, made.job.dataset)
    assert plan(workers_per_trial=2).trial_job("t", VALUES).trainer.num_workers == 2


def test_trials_that_wait_for_each_other_write_a_checkpoint_every_epoch(plan):
    made = plan({"checkpoint_every_epochs": 3}, scheduler="hyperband")
    assert made.trial_job("t", VALUES).trainer.checkpoint_every_epochs == 1


def test_values_that_the_job_refuses_are_refused(plan):
    with pytest.raises(ConfigError) as caught:
        plan().trial_job("t", {RATE: -1.0})
    assert "learning_rate" in caught.value.field


def test_no_trial_sees_the_test_rows(plan, data):
    assert "test" in data.plans
    assert set(plan().dataset.plans) == {"train", "val"}


def test_threads_follow_the_cpus_of_a_trial(plan):
    assert [plan(cpus_per_trial=c).threads for c in (0.5, 1.0, 2.5)] == [1, 1, 2]


# ------------------------------------------------------------------------------------- trainings


def test_a_training_that_has_finished_is_read_and_not_done_again(plan):
    made = plan()
    job = made.trial_job("trial-0000", VALUES)
    first = PartTrainer(made).train(job, threading.Event())
    folder = made.folder / "trial-0000"
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    assert PartTrainer(made).train(job, stopped()) == first
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before
    assert first["epochs"] == 3
    assert "val_loss" in first
    assert first["circuit_evaluations"] > 0
    assert not any(name.startswith("test_") for name in first)


def test_a_training_that_was_stopped_goes_on_and_ends_with_the_same_bits(plan):
    made = plan()
    whole = PartTrainer(made).train(made.trial_job("whole", VALUES), threading.Event())
    trials = TrialRunner(made)
    made_often = plan(scheduler="asha", scheduler_options={"grace_period": 1})
    with pytest.raises(InterruptedRunError):
        TrialRunner(made_often).run("trial-0000", VALUES, StopsAtOnce())
    folder = made.folder / "trial-0000"
    assert read_run_record(folder)["status"] == "interrupted"
    assert 0 < len(_epochs(folder)) < 3
    again = Listener()
    ending = trials.run("trial-0000", VALUES, again)
    assert _untimed(ending["metrics"]) == _untimed(
        {k: v for k, v in whole.items() if k in ending["metrics"]}
    )
    assert _epochs(folder) == [0, 1, 2]
    assert _bits(folder) == _bits(made.folder / "whole")


def test_a_run_folder_that_a_dying_process_holds_is_waited_for(plan, monkeypatch):
    made = plan()
    job = made.trial_job("trial-0000", VALUES)
    folder = made.folder / "trial-0000"
    folder.mkdir(parents=True)
    lock = lock_folder(folder)
    ended = threading.Event()

    def end() -> None:
        ended.set()
        lock.close()

    timer = threading.Timer(0.5, end)
    timer.start()
    assert PartTrainer(made).train(job, threading.Event())["epochs"] == 3
    assert ended.is_set(), "it began while another process held the folder"
    timer.join()
    monkeypatch.setattr(trainings, "_LOCK_SECONDS", 0.3)
    held = folder.with_name("trial-0001")
    held.mkdir()
    with lock_folder(held), pytest.raises(RunExistsError, match="this process itself"):
        PartTrainer(made).train(made.trial_job("trial-0001", VALUES), threading.Event())


# ---------------------------------------------------------------------------------------- trials


def test_a_trial_of_one_training_reports_each_epoch_once_and_ends_with_its_values(plan):
    goals = [{"metric": "val_loss"}, {"metric": "parameters", "mode": "min"}]
    link = Listener()
    ending = TrialRunner(plan(objectives=goals)).run("trial-0000", VALUES, link)
    told = progress_of([*link.messages, ending])
    assert [epoch for epoch, _ in told] == [0, 1, 2]
    assert ending["values"] == [ending["metrics"]["val_loss"], ending["metrics"]["parameters"]]
    assert told[-1][1] == ending["values"][0] == -ending["score"]
    assert ending["epoch"] == 3
    assert ending["circuit_evaluations"] > 0
    assert ending["seconds"] > 0


def test_a_trial_of_several_trainings_reports_the_mean_after_each(plan):
    made = plan(folds=2, seeds=2)
    link = Listener()
    ending = TrialRunner(made).run("trial-0000", VALUES, link)
    names = ["fold-0-seed-0", "fold-0-seed-1", "fold-1-seed-0", "fold-1-seed-1"]
    folder = made.folder / "trial-0000"
    assert sorted(p.name for p in folder.iterdir()) == names
    values = [
        epoch_records(read_records(folder / n / "metrics.jsonl"))[-1]["val_loss"] for n in names
    ]
    means = [sum(values[: k + 1]) / (k + 1) for k in range(4)]
    assert progress_of([*link.messages, ending]) == [(k, pytest.approx(means[k])) for k in range(4)]
    assert [m["epoch"] for m in (*link.messages, ending)] == [1, 2, 3, 4]
    assert ending["values"] == [pytest.approx(means[-1])]
    assert ending["spread"]["n"] == 4
    assert ending["spread"]["low"] < means[-1] < ending["spread"]["high"]
    assert len(set(values)) == 4, "folds and seeds differ"


def test_of_a_trial_of_several_trainings_only_what_is_missing_is_trained_again(plan):
    made = plan(seeds=3)
    with pytest.raises(InterruptedRunError):
        TrialRunner(made).run("trial-0000", VALUES, StopsAtOnce())
    folder = made.folder / "trial-0000"
    first = (folder / "seed-0" / "run.json").stat().st_mtime_ns
    ending = TrialRunner(made).run("trial-0000", VALUES, Listener())
    assert (folder / "seed-0" / "run.json").stat().st_mtime_ns == first
    assert ending["spread"]["n"] == 3
    assert [_epochs(folder / f"seed-{n}") for n in range(3)] == [[0, 1, 2]] * 3


def test_an_attempt_at_a_real_trial_can_be_left_at_every_report(plan):
    made = plan(scheduler="asha", scheduler_options={"grace_period": 1})
    trials = TrialRunner(made)
    attempt = Attempt(lambda link: trials.run("t", VALUES, link), made.folder / "error.txt")
    assert attempt.next()["epoch"] == 1
    found, _ = latest_checkpoint(made.folder / "t" / "checkpoints")
    assert found is not None, "what is reported can be handed over"
    attempt.stop()
    assert read_run_record(made.folder / "t")["status"] == "interrupted"


# -------------------------------------------------------------------------------------- handover


@pytest.fixture
def two_runs(plan):
    """The run folders of two trials that have an epoch, and the plan."""
    made = plan(scheduler="pbt", scheduler_options={"interval": 1})
    for name, rate in (("trial-0000", 0.02), ("trial-0001", 0.3)):
        with pytest.raises(InterruptedRunError):
            TrialRunner(made).run(name, {RATE: rate}, StopsAtOnce())
    return made, made.folder / "trial-0000", made.folder / "trial-0001"


def test_a_trial_goes_on_from_the_checkpoint_of_another(two_runs, tmp_path):
    made, worse, better = two_runs
    theirs = _bits(better)
    checkpoint_transfer.pack(better, tmp_path / "packed")
    checkpoint_transfer.unpack(tmp_path / "packed", worse)
    checkpoint_transfer.adopt(worse)
    assert _bits(worse) == theirs == _bits(better)
    ending = TrialRunner(made).run("trial-0000", {RATE: 0.25}, Listener())
    assert ending["epoch"] == 3
    assert _epochs(worse) == [0, 1, 2]


def test_a_paused_trial_keeps_its_own_checkpoint(two_runs, tmp_path):
    _, mine, _ = two_runs
    checkpoint_transfer.pack(mine, tmp_path / "packed")
    checkpoint_transfer.unpack(tmp_path / "packed", mine)
    assert not (mine / "adopted").exists()
    before = _bits(mine)
    checkpoint_transfer.adopt(mine)
    assert _bits(mine) == before


def test_without_a_checkpoint_there_is_nothing_to_hand_over(tmp_path):
    (tmp_path / "trial-0000" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError) as caught:
        checkpoint_transfer.pack(tmp_path / "trial-0000", tmp_path / "packed")
    assert caught.value.value == str(tmp_path / "trial-0000")
