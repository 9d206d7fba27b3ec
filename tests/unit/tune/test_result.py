"""The result of a search: the same numbers as JSON, as Parquet, and as a job to train."""

from __future__ import annotations

import errno
import json
import tomllib

import pytest
from pyarrow import parquet

from qstore_ray.errors import RunError
from qstore_ray.job import JobConfig
from qstore_ray.testing.search_spaces import SPACE
from qstore_ray.tune.driver.finalize import leave_files
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.result import StudyResult, read_result
from qstore_ray.tune.study.trial_result import TrialFailure
from tests.studies import opened
from tests.unit.tune.test_space import JOB
from tests.unit.tune.test_study import _cost, _open, _run

GOALS = [
    Objective(metric="val_accuracy"),
    Objective(metric="circuit_evaluations", mode="min"),
]


def _searched(storage, outcomes, **options):
    """A study whose trials end as told, read back."""
    search = {"space": SPACE, "sampler": "random", "trials": len(outcomes), **options}
    with opened(storage, **search) as study:
        for outcome in outcomes:
            interval = (outcome[0] - 0.1, outcome[0] + 0.1) if isinstance(outcome, list) else None
            number = study.ask().number
            study.tell(number, outcome, circuit_evaluations=7, interval=interval)
    return read_result(storage, "s")


def test_the_best_job_can_be_trained_and_is_what_was_tried(tmp_path):
    result = _searched(tmp_path, [[0.2], [0.9], [0.4]], objectives=GOALS[:1])
    (best,) = result.best_trials()
    assert best.number == 1
    assert len(repr(result)) < 400
    assert "3 completed, best [1]" in repr(result)
    job = JobConfig.from_dict(tomllib.loads(result.best_toml()))
    assert job.name == "s-0001"
    expected = Space.from_dict(SPACE).apply(JOB, best.parameters).to_dict()
    assert job.to_dict() == {**expected, "name": "s-0001"}
    assert JobConfig.from_dict(tomllib.loads(result.best_toml(2))) != job
    with pytest.raises(RunError) as caught:
        result.best_toml(9)
    assert caught.value.value == 9


def test_several_objectives_have_a_front(tmp_path):
    outcomes = [[0.5, 10.0], [0.9, 50.0], [0.4, 20.0], [0.5, 10.0], [0.7, 5.0], TrialFailure("x")]
    result = _searched(tmp_path, outcomes, objectives=GOALS)
    assert result.objectives == {"val_accuracy": "maximize", "circuit_evaluations": "minimize"}
    assert result.best == [1, 4]
    assert result.trials[1].objectives == {"val_accuracy": 0.9, "circuit_evaluations": 50.0}


def test_json_and_parquet_say_the_same(tmp_path):
    result = _searched(
        tmp_path, [[0.2], TrialFailure("out of memory"), [0.9]], objectives=GOALS[:1]
    )
    files = result.write(str(tmp_path))
    read = json.loads(files["json"].read_bytes())
    assert read == json.loads(json.dumps(result.to_dict()))
    assert read["schema"] == 1
    assert read["statuses"] == {"completed": 2, "failed": 1}
    rows = parquet.read_table(files["parquet"]).to_pylist()
    for row, trial in zip(rows, read["trials"], strict=True):
        same = ("number", "status", "seconds", "circuit_evaluations", "error", "run", "interval")
        for name in same:
            assert row[name] == trial[name]
        assert row["objectives.val_accuracy"] == trial["objectives"].get("val_accuracy")
        for field, value in trial["parameters"].items():
            kept = row[f"parameters.{field}"]
            assert (json.loads(kept) if isinstance(value, list) else kept) == value
    assert rows[0]["interval"] == pytest.approx([0.1, 0.3])
    assert rows[1]["interval"] is None
    assert JobConfig.from_toml(files["best"]).name == "s-0002"


def test_causes_of_failures_are_counted_and_there_is_no_best(tmp_path):
    causes = ["out of memory", "diverged", "out of memory"]
    result = _searched(tmp_path, [TrialFailure(c) for c in causes], objectives=GOALS[:1])
    assert result.failures() == [
        {"cause": "out of memory", "count": 2, "trials": [0, 2]},
        {"cause": "diverged", "count": 1, "trials": [1]},
    ]
    assert result.best == []
    with pytest.raises(RunError) as caught:
        result.best_toml()
    assert "2 × out of memory; 1 × diverged" in caught.value.fix
    assert "best" not in result.write(tmp_path)


def test_epochs_come_from_the_run_folder_where_there_is_one(tmp_path):
    with _open(tmp_path) as study:
        first, second = study.ask(), study.ask()
        for trial in (first, second):
            study.report(trial.number, 0, 0.5)
    run = tmp_path / "s" / second.name
    run.mkdir()
    records = [{"event": "start"}, {"event": "epoch", "epoch": 0, "val_loss": 0.5, "train_loss": 1}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    trials = read_result(tmp_path, "s").trials
    assert trials[0].epochs == [{"epoch": 0, "val_loss": 0.5}]
    assert trials[1].epochs == records[1:]


def test_a_study_is_loaded_by_the_earlier_name_too(tmp_path):
    with _open(tmp_path) as study:
        _run(study, 2)
    assert StudyResult.load(tmp_path, "s") == read_result(tmp_path, "s")


def test_a_search_at_work_can_be_read(tmp_path):
    with _open(tmp_path) as study:
        _run(study, 2)
        running = study.ask()
        result = read_result(tmp_path, "s")
        assert result.statuses == {"completed": 2, "running": 1}
        assert result.trials[2].parameters == running.values
        assert result.best_trials()[0].objectives["val_loss"] == min(
            _cost(trial.parameters) for trial in result.trials[:2]
        )


def test_there_is_no_study_where_there_is_none(tmp_path):
    with pytest.raises(RunError) as caught:
        read_result(tmp_path, "s")
    assert caught.value.field == "study"
    assert caught.value.fix


@pytest.mark.parametrize(
    ("number", "fix"),
    [(errno.ENOSPC, "Free some space"), (errno.EACCES, "may write to"), (errno.EIO, "Check the")],
)
def test_files_that_cannot_be_written_say_what_to_do(tmp_path, number, fix):
    class Unwritable:
        def write(self, folder):
            raise OSError(number, "the system's reason")

    with pytest.raises(RunError, match="the system's reason") as caught:
        leave_files(Unwritable(), tmp_path, figures=False)
    assert fix in caught.value.fix
