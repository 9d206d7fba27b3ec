"""A study: every crash leaves it whole, and what does not belong to it is refused."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import pytest

from qstore_ray.errors import ConfigError, DivergenceError, RunError, RunExistsError
from qstore_ray.job import JobConfig
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.study.study import Study
from qstore_ray.tune.study.trial_result import Pruned, TrialFailure
from tests.studies import opened
from tests.unit.tune.test_space import JOB

TABLE = {
    "model.layers": {"type": "int", "low": 1, "high": 3},
    "trainer.optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
    "trainer.epochs": {"type": "fixed", "value": 2},
}
SPACE = Space.from_dict(TABLE)
GOAL = [Objective(metric="val_loss")]
COMBINATIONS = 6


def _open(storage: Path, **options) -> Study:
    search = {"space": SPACE, "objectives": GOAL, "trials": 6, "sampler": "grid"}
    return opened(storage, **{**search, **options})


def _cost(values) -> float:
    return values["model.layers"] + (0.5 if values["trainer.optimizer"] == "sgd" else 0.0)


def _run(study: Study, most: int = 99) -> int:
    done = 0
    while done < most and (trial := study.ask()):
        study.report(trial.number, 0, 9.0)
        study.tell(trial.number, [_cost(trial.values)], circuit_evaluations=10)
        done += 1
    return done


def _journal(storage: Path) -> Path:
    return storage / "s" / "study.journal"


# ------------------------------------------------------------------------------ ask, report, tell


def test_every_trial_has_a_number_a_run_folder_and_its_values(tmp_path):
    with _open(tmp_path) as study:
        trials = [study.ask() for _ in range(7)]
        assert trials.pop() is None
    assert [trial.number for trial in trials] == list(range(6))
    assert [trial.name for trial in trials] == [f"trial-{n:04d}" for n in range(6)]
    assert all(trial.values["trainer.epochs"] == 2 for trial in trials)
    assert len({json.dumps(trial.values) for trial in trials}) == COMBINATIONS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_objective_that_is_not_finite_fails_the_trial_and_the_search_goes_on(tmp_path, value):
    with _open(tmp_path) as study:
        trial = study.ask()
        with pytest.raises(DivergenceError) as caught:
            study.report(trial.number, 3, value)
        assert caught.value.field == "val_loss"
        assert study.tell(trial.number, [value])
        _run(study)
    result = read_result(tmp_path, "s")
    assert result.statuses == {"completed": 5, "failed": 1}
    assert result.failures() == [{"cause": f"val_loss is {value}", "count": 1, "trials": [0]}]


def test_what_is_told_late_changes_nothing(tmp_path):
    with _open(tmp_path) as study:
        number = study.ask().number
        assert study.tell(number, [0.5])
        assert not study.tell(number, [0.1])
        assert not study.tell(number, TrialFailure("late"))
        with pytest.raises(RunError) as caught:
            study.tell(77, [0.5])
        assert caught.value.value == 77
        with pytest.raises(RunError):
            study.report(number, 1, 0.5)
    assert read_result(tmp_path, "s").trials[0].objectives == {"val_loss": 0.5}


def test_a_pruned_trial_keeps_its_last_report_and_is_not_the_best(tmp_path):
    with _open(tmp_path) as study:
        first = study.ask().number
        for epoch, value in enumerate((0.5, 0.25, 0.125)):
            study.report(first, epoch, value)
        study.report(first, 1, 77.0)  # the epoch again, after a worker died
        assert study.tell(first, Pruned())
        study.tell(study.ask().number, [3.0])
        with pytest.raises(ConfigError) as caught:
            study.tell(study.ask().number, [1.0, 2.0])
        assert caught.value.value == [1.0, 2.0]
    result = read_result(tmp_path, "s")
    assert result.trials[0].status == "pruned"
    assert result.trials[0].epochs == [
        {"epoch": e, "val_loss": v} for e, v in enumerate((0.5, 0.25, 0.125))
    ]
    assert result.best == [1]


# ----------------------------------------------------------------------------------------- resume


def test_trials_left_running_are_tried_once_more_in_their_folders(tmp_path):
    with _open(tmp_path) as study:
        _run(study, 2)
        left = [study.ask(), study.ask()]
    with _open(tmp_path, existing="resume") as study:
        again = [study.ask(), study.ask()]
    assert [trial.values for trial in again] == [trial.values for trial in left]
    assert [trial.name for trial in again] == ["trial-0002", "trial-0003"]
    assert [trial.repeats for trial in again] == [2, 3]
    with _open(tmp_path, existing="resume") as study:
        third = study.ask()
        assert (third.name, third.repeats) == ("trial-0002", 4)
        study.tell(third.number, [_cost(third.values)])
        assert _run(study) == 3
    _whole(tmp_path)


def _whole(storage: Path) -> None:
    """Every combination was completed once, and the best one is the best."""
    result = read_result(storage, "s")
    done = [trial for trial in result.trials if trial.status == "completed"]
    assert sorted(_cost(trial.parameters) for trial in done) == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert {trial.status for trial in result.trials} <= {"completed", "interrupted"}
    repeated = [trial.repeats for trial in result.trials if trial.repeats is not None]
    assert len(repeated) == len(set(repeated)) == len(result.trials) - COMBINATIONS
    (best,) = result.best_trials()
    assert best.objectives == {"val_loss": 1.0}


def test_a_crash_after_any_write_loses_no_trial_and_counts_none_twice(tmp_path):
    """Each prefix of the journal is what a driver leaves that is killed there, torn lines too."""
    with _open(tmp_path / "whole") as study:
        running = study.ask()
        _run(study, 2)
        study.tell(running.number, [_cost(running.values)])
        study.ask(), study.ask()
    with _open(
        tmp_path / "whole", existing="resume"
    ) as study:  # killed in the middle of resuming, too
        _run(study)
    lines = _journal(tmp_path / "whole").read_bytes().splitlines(keepends=True)
    assert len(lines) > 50
    for cut in range(2, len(lines)):
        storage = tmp_path / str(cut)
        (storage / "s").mkdir(parents=True)
        torn = lines[cut][: len(lines[cut]) * (cut % 4) // 4]
        _journal(storage).write_bytes(b"".join(lines[:cut]) + torn)
        with _open(storage, existing="resume") as study:
            _run(study)
        _whole(storage)


def test_a_finished_search_can_be_given_more_trials(tmp_path):
    with _open(tmp_path, sampler="random", trials=3) as study:
        assert _run(study) == 3
    with _open(tmp_path, sampler="tpe", trials=5, existing="resume") as study:
        assert study.asked == 3
        assert _run(study) == 2


def _other_space() -> Space:
    return Space.from_dict({**TABLE, "model.layers": {"type": "int", "low": 1, "high": 4}})


def _other_job() -> JobConfig:
    return JobConfig.from_dict({**JOB.to_dict(), "model": {"n_qubits": 5}})


def _without(field: str) -> Space:
    return Space.from_dict({name: table for name, table in TABLE.items() if name != field})


def _with_dataset(**fields) -> JobConfig:
    table = JOB.to_dict()
    return JobConfig.from_dict({**table, "dataset": {**table["dataset"], **fields}})


_LAYERS = "model.layers"


@pytest.mark.parametrize(
    ("change", "field", "was", "value"),
    [
        ({"space": _other_space()}, f"tune.space.{_LAYERS}.high", "3", 4),
        ({"space": _without(_LAYERS)}, f"tune.space.{_LAYERS}", "'type': 'int'", "nothing"),
        (
            {"space": Space.from_dict({**TABLE, _LAYERS: {"type": "fixed", "value": 2}})},
            f"tune.space.{_LAYERS}",
            "'type': 'int'",
            {"type": "fixed", "value": 2},
        ),
        (
            {"space": Space.from_dict({**TABLE, "trainer.seed": {"type": "fixed", "value": 2}})},
            "tune.space.trainer.seed",
            "without it",
            {"type": "fixed", "value": 2},
        ),
        ({"job": _other_job()}, "model.n_qubits", "4", 5),
        (
            {"objectives": [Objective(metric="val_accuracy")]},
            "tune.objectives",
            "'val_loss, minimize'",
            "val_accuracy, maximize",
        ),
        (
            {"objectives": [Objective(metric="val_loss", mode="max")]},
            "tune.objectives",
            "'val_loss, minimize'",
            "val_loss, maximize",
        ),
        (
            {"data_fingerprint": "d" * 64, "job": _with_dataset(seed=9)},
            "dataset.seed",
            "0",
            9,
        ),
        (
            {"data_fingerprint": "d" * 64},
            "dataset",
            "fingerprint",
            f"other data, fingerprint {'d' * 16}",
        ),
    ],
)
def test_another_recipe_is_refused_with_both_values_and_nothing_is_changed(
    tmp_path, change, field, was, value
):
    with _open(tmp_path) as study:
        _run(study, 1)
    before = _journal(tmp_path).read_bytes()
    with pytest.raises(RunExistsError) as caught:
        _open(tmp_path, existing="resume", trials=8, **change)
    assert (caught.value.field, caught.value.value) == (field, value)
    assert was in caught.value.message
    assert "existing='replace'" in caught.value.fix
    assert _journal(tmp_path).read_bytes() == before


def test_every_changed_field_is_named(tmp_path):
    with _open(tmp_path) as study:
        _run(study, 1)
    with pytest.raises(RunExistsError, match=r"also changed: tune\.objectives, model\.n_qubits"):
        _open(
            tmp_path,
            existing="resume",
            trials=8,
            space=_other_space(),
            objectives=[Objective(metric="val_accuracy")],
            job=_other_job(),
        )


def test_where_a_job_runs_may_change(tmp_path):
    with _open(tmp_path) as study:
        _run(study, 1)
    elsewhere = {"trainer": {"num_workers": 2}, "cluster": {"cpus_per_worker": 2.0}, "storage": "x"}
    with _open(
        tmp_path, existing="resume", job=JobConfig.from_dict({**JOB.to_dict(), **elsewhere})
    ) as s:
        assert _run(s) == 5


def test_a_study_that_is_there_is_neither_overwritten_nor_mixed_up(tmp_path):
    with pytest.raises(RunExistsError, match="no study of this name to resume"):
        _open(tmp_path, existing="resume")
    with _open(tmp_path) as study:
        _run(study, 2)
        with pytest.raises(
            RunExistsError, match=r"this process itself, .* has this study open"
        ) as caught:
            _open(tmp_path, existing="resume")
        assert pickle.loads(pickle.dumps(caught.value)).locked
    with pytest.raises(RunExistsError) as caught:
        _open(tmp_path)
    assert "existing='resume'" in caught.value.fix
    assert not caught.value.locked
    (tmp_path / "s" / "trial-0001").mkdir()
    (tmp_path / "s" / "notes.txt").write_text("mine")
    with _open(tmp_path, existing="replace") as study:
        assert study.asked == 0
    assert not (tmp_path / "s" / "trial-0001").exists()
    assert (tmp_path / "s" / "notes.txt").exists()


def test_a_run_is_no_study(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "run.json").write_text("{}")
    for options in ({}, {"existing": "replace"}, {"existing": "resume"}):
        with pytest.raises(RunExistsError, match="there is a run of this name"):
            _open(tmp_path, **options)
    with pytest.raises(ConfigError):
        opened(tmp_path, "../up", space=SPACE, objectives=GOAL, trials=1)
