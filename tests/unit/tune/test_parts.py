"""The parts of a trial, their combination, and the final training on train and val."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, DivergenceError, RunError
from qstore_ray.job import JobConfig, run_job
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.driver.refit import refit_job
from qstore_ray.tune.metrics import COSTS
from qstore_ray.tune.trial.parts import Part, check_parts, combine, part_job, parts_of

RATE = {"trainer.learning_rate": {"type": "float", "low": 0.01, "high": 0.1}}
THREE = {"train": 0.6, "val": 0.2, "test": 0.2}


def _job(split: dict[str, Any] | None = None, **trainer: Any) -> JobConfig:
    return JobConfig.from_dict(
        {
            "name": "iris",
            "dataset": {
                "name": "iris", "params": {"dataset": "iris"}, "split": split or THREE,
                "preprocessing": [{"name": "standard"}],
            },
            "model": {"n_qubits": 4, "layers": 1},
            "trainer": {"epochs": 2, **trainer},
            "track": {"mlflow": False, "figures": False},
        }
    )  # fmt: skip


def _config(**fields: Any) -> TuneConfig:
    return TuneConfig.from_dict({"space": RATE, **fields})


# ------------------------------------------------------------------------------------------- parts


def test_one_training_is_one_part_without_a_name():
    job = _job(seed=5)
    (part,) = parts_of(_config(), job)
    assert part == Part(None, 5, "")
    assert part_job(job, part, None) == job


@given(
    seeds=st.integers(1, 4),
    folds=st.none() | st.integers(2, 5),
    first=st.integers(0, 99),
    test=st.none() | st.sampled_from([0.1, 0.25]),
    method=st.sampled_from(["seed", "hash"]),
)
def test_parts_are_seeds_times_folds(seeds, folds, first, test, method):
    rest = 1.0 - (test or 0.0)
    split = {"train": rest - 0.1, "val": 0.1, "method": method} | ({"test": test} if test else {})
    job, config = _job(split, seed=first), _config(seeds=seeds, folds=folds)
    check_parts(config, job)
    parts = parts_of(config, job)
    assert len(parts) == config.parts == len({(p.fold, p.seed) for p in parts})
    assert len({part.name for part in parts}) == len(parts)
    assert {part.seed for part in parts} == set(range(first, first + seeds))
    for part in parts:
        made = part_job(job, part, folds)
        assert isinstance(made, JobConfig)
        assert JobConfig.from_dict(made.to_dict()) == made
        assert made.trainer.seed == part.seed
        cut = made.dataset.split
        assert (cut.folds, cut.fold, cut.test, cut.method) == (folds, part.fold, test, method)
        back = made.dataset.model_copy(update={"split": job.dataset.split})
        seed = made.trainer.model_copy(update={"seed": first})
        assert made.model_copy(update={"dataset": back, "trainer": seed}) == job


def test_names_tell_the_parts_apart():
    names = [part.name for part in parts_of(_config(seeds=2, folds=2), _job(seed=7))]
    assert names == ["fold-0-seed-7", "fold-0-seed-8", "fold-1-seed-7", "fold-1-seed-8"]
    assert [part.name for part in parts_of(_config(seeds=2), _job())] == ["seed-0", "seed-1"]


@pytest.mark.parametrize("method", ["seed", "hash"])
def test_all_folds_judge_by_the_same_test_rows_and_validate_every_other(method: str):
    job, config = _job({**THREE, "method": method}), _config(folds=3)
    loaded = [DatasetLoader.load(part_job(job, part, 3).dataset) for part in parts_of(config, job)]
    held = np.concatenate([dataset.rows("val") for dataset in loaded])
    for dataset in loaded:
        np.testing.assert_array_equal(dataset.rows("test"), loaded[0].rows("test"))
    everything = np.concatenate([held, loaded[0].rows("test")])
    np.testing.assert_array_equal(np.sort(everything), np.arange(150))


SEED = {"trainer.seed": {"type": "int", "low": 0, "high": 9}}
MERGE = {"dataset.split.merge_val": {"type": "categorical", "choices": [True, False]}}
TEST = {"dataset.split.test": {"type": "float", "low": 0.1, "high": 0.3}}
WRONG = [
    ({"folds": 2}, {"folds": 3, "fold": 0}, "dataset.split.folds", 3, "tune.folds out"),
    ({"folds": 2}, {**THREE, "merge_val": True}, "dataset.split.merge_val", True, "tune.refit"),
    ({"refit": True}, {**THREE, "merge_val": True}, "dataset.split.merge_val", True, "Leave it"),
    ({"folds": 2}, {**THREE, "method": "time"}, "dataset.split.method", "time", "tune.folds out"),
    ({"space": MERGE}, THREE, "tune.space.dataset.split.merge_val", {}, "tune.refit"),
    ({"seeds": 2, "space": SEED}, THREE, "tune.space.trainer.seed", {}, "tune.seeds out"),
    ({"folds": 2, "space": TEST}, THREE, "tune.space.dataset.split.test", {}, "tune.folds out"),
]


@pytest.mark.parametrize(("tune", "split", "field", "value", "fix"), WRONG)
def test_what_cannot_be_is_said_before_anything_starts(tune, split, field, value, fix):
    with pytest.raises(ConfigError) as caught:
        check_parts(_config(**tune), _job(split))
    assert caught.value.field == field
    assert caught.value.value == (value or caught.value.value)
    assert fix in caught.value.fix


def test_what_does_not_collide_is_allowed():
    check_parts(_config(space={**SEED, **TEST}), _job())
    check_parts(_config(folds=2, space=SEED), _job())
    check_parts(_config(seeds=3, refit=True), _job({"folds": 3, "fold": 1, "test": 0.2}))


def test_folds_of_a_source_with_its_own_val_are_refused_when_it_is_loaded():
    x, y = np.random.default_rng(0).random((20, 2)), np.arange(20) % 2
    split = part_job(_job(), Part(0, 0, "x"), 2).dataset.split
    with pytest.raises(ConfigError, match="its own validation rows") as caught:
        DatasetLoader.from_arrays(x, y, val=(x, y), split=split)
    assert caught.value.field == "split.folds"


# ------------------------------------------------------------------------------------- combination


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
def test_a_metric_is_its_mean_with_students_interval_and_a_cost_is_the_sum(values):
    parts = [Part(None, seed, f"seed-{seed}") for seed in range(len(values))]
    combined = combine(parts, [{"val_loss": v, "shots": abs(v)} for v in values])
    found, n = combined.metrics["val_loss"], len(values)
    assert found.n == n
    assert found.value == pytest.approx(np.mean(values), abs=1e-6)
    assert combined.values["shots"] == math.fsum(map(abs, values))
    assert combined.metrics["shots"][1:] == (n, None, None, None)
    if n == 1:
        assert found[2:] == (None, None, None)
        return
    assert found.std == pytest.approx(np.std(values, ddof=1))
    if found.std > 1e-3:
        low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


def test_a_combination_by_hand():
    # t(0.975, 2) = 4.302653, s = 0.1
    parts = parts_of(_config(folds=3), _job())
    results = [
        {"val_accuracy": v, "train_seconds": 2.0, "parameters": 9.0} for v in (0.7, 0.8, 0.9)
    ]
    metrics = combine(parts, results).metrics
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert metrics["val_accuracy"] == pytest.approx((0.8, 3, 0.1, 0.8 - half, 0.8 + half), rel=1e-6)
    assert metrics["train_seconds"].value == 6.0
    assert metrics["parameters"].value == 9.0
    assert set(COSTS) == {"circuit_evaluations", "shots", "train_seconds"}


def test_a_part_without_the_number_is_named():
    parts = parts_of(_config(seeds=2), _job())
    with pytest.raises(DivergenceError) as diverged:
        combine(parts, [{"val_loss": 1.0}, {"val_loss": math.nan}])
    assert diverged.value.field == "seed-1.val_loss"
    assert "the part seed-1" in diverged.value.message
    assert math.isnan(diverged.value.value)
    assert "learning rates" in diverged.value.fix
    with pytest.raises(RunError, match="the part seed-0 has no such metric") as missing:
        combine(parts, [{"val_loss": 1.0}, {"val_loss": 1.0, "val_accuracy": 0.5}])
    assert missing.value.field == "seed-0.val_accuracy"
    assert missing.value.value == ["val_loss"]
    for wrong in ([], [{"val_loss": 1.0}]):
        with pytest.raises(RunError, match="results of 2 parts") as few:
            combine(parts, wrong)
        assert (few.value.field, few.value.value) == ("results", len(wrong))


# ------------------------------------------------------------------------------------------- refit

STOPPING = {"name": "early_stopping", "patience": 3}


def test_nothing_watches_val_in_the_final_training():
    callbacks = [
        STOPPING,
        {**STOPPING, "monitor": "train_loss"},
        {"name": "model_checkpoint", "monitor": "val_accuracy", "best": 2},
        {"name": "convergence_monitor", "monitor": "val_loss", "end_on": ["converged"]},
        {"name": "timer"},
    ]
    best = _job(epochs=100, monitor="val_accuracy", callbacks=callbacks, schedule="plateau")
    job, notes = refit_job(best, 12)
    assert job.dataset.split.to_dict() == {**THREE, "method": "seed", "merge_val": True}
    assert (job.trainer.epochs, job.trainer.monitor) == (12, "train_accuracy")
    kept = {table["name"]: table for table in job.trainer.callbacks}
    assert list(kept) == [
        "early_stopping", "model_checkpoint", "convergence_monitor", "timer"
    ]  # fmt: skip
    assert kept["early_stopping"]["monitor"] == "train_loss"
    assert (kept["model_checkpoint"]["best"], kept["model_checkpoint"]["last"]) == (0, True)
    assert kept["convergence_monitor"]["monitor"] == "train_loss"
    assert not kept["convergence_monitor"]["end_on"]
    assert "val_" not in job.trainer.to_toml()
    said = "\n".join(notes)
    for words in (
        "merge_val = true", "epochs = 12", "early_stopping removed", "keeps the last model",
        "train_loss instead of val_loss", "no longer ends", "monitor = train_accuracy",
    ):  # fmt: skip
        assert words in said


def test_what_watched_nothing_stays_as_it_was():
    best = _job(callbacks=[{"name": "timer"}])
    job, notes = refit_job(best)
    assert job.trainer == best.trainer
    assert (job.model, job.name, job.cluster) == (best.model, best.name, best.cluster)
    assert notes == ("dataset.split.merge_val = true: the rows of val are part of train",)
    assert (
        refit_job(_job(schedule="plateau")).notes[1].startswith("the schedule follows train_loss")
    )


def test_after_folds_the_final_training_has_all_of_them():
    best = _job({**THREE, "method": "hash"})
    job, notes = refit_job(best, folds=3)
    part = DatasetLoader.load(part_job(best, Part(2, 0, ""), 3).dataset)
    final = DatasetLoader.load(job.dataset)
    np.testing.assert_array_equal(final.rows("test"), part.rows("test"))
    both = np.concatenate([part.rows("train"), part.rows("val")])
    np.testing.assert_array_equal(final.rows("train"), np.sort(both))
    assert "all 3 folds" in notes[0]


def test_it_cannot_be_done_twice():
    with pytest.raises(ConfigError, match="val is in train already") as caught:
        refit_job(refit_job(_job()).job)
    assert caught.value.field == "dataset.split.merge_val"
    assert "as it is" in caught.value.fix


@pytest.mark.parametrize("folds", [None, 2])
def test_the_job_of_the_final_training_is_repeated_from_its_toml(folds, tmp_path: Path):
    best = _job(callbacks=[STOPPING, {"name": "model_checkpoint"}], num_workers=0)
    job = refit_job(best, 2, folds=folds).job
    path = tmp_path / "refit.toml"
    path.write_text(job.to_toml())
    results = []
    for name in ("one", "two"):
        again = JobConfig.from_toml(path, [f"storage={tmp_path}/{name}"])
        assert again.dataset == job.dataset
        results.append(run_job(again).metrics)
    for metric in ("train_loss", "test_loss", "test_accuracy"):
        assert results[0][metric] == results[1][metric]
    assert "val_loss" not in results[0]
