"""Ray Tune's side of a study, driven by hand: what Ray Tune tells ends up in the study."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import ray.tune
from ray.tune.utils import flatten_dict

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BudgetReachedError
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.tune.driver.search import StudySearch
from qstore_ray.tune.driver.tracking import SearchTracking
from qstore_ray.tune.driver.watch import Watch
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.study.trial_result import Pruned, TrialFailure
from qstore_ray.tune.trial.messages import message_of
from tests.small_search import RATE, config_of, job_of, plan_of, study_of


class Ledger:
    """A watcher that writes everything down."""

    def __init__(self) -> None:
        self.events: list[tuple] = []

    def trial_started(self, trial) -> None:
        self.events.append(("started", trial.number))

    def trial_reported(self, trial, epochs) -> None:
        self.events.append(("reported", trial.number, [tuple(pair) for pair in epochs]))

    def trial_ended(self, trial, outcome, result) -> None:
        self.events.append(("ended", trial.number, outcome, result))

    def trials_left(self, running) -> None:
        self.events.append(("left", [trial.number for trial in running]))

    def last(self) -> tuple:
        return self.events[-1]


@pytest.fixture(scope="module")
def data():
    return DatasetLoader.load(job_of(Path("runs")).dataset)


@pytest.fixture(scope="module", autouse=True)
def trainable() -> str:
    """Ray Tune makes trials of trainables that it knows by name."""
    ray.tune.register_trainable("small-search", lambda config: None)
    return "small-search"


@pytest.fixture
def search(tmp_path, data, trainable):
    """Opens searches of the same study, one after another."""
    opened = []

    def start(watcher=None, *, at_a_time=2, existing="error", withdraw=print, **options):
        study = study_of(job_of(tmp_path), config_of(**options), data, existing=existing)
        opened.append(study)
        made = StudySearch(study, watcher or Ledger(), at_a_time=at_a_time, withdraw=withdraw)
        made.add_configurations([SimpleNamespace(spec={"run": trainable})])
        return made

    yield start
    for study in opened:
        study.close()


def _result(epoch: int, value: float, **more) -> dict:
    """A report as Ray Tune hands it on: flat, with much of its own."""
    told = {"epoch": epoch, "score": -value, "circuit_evaluations": 100 * epoch, "seconds": 1.0}
    return {**told, "progress": [(epoch - 1, value)], "done": False, "trial_id": "any", **more}


def _end(epoch: int, value: float) -> dict:
    return _result(epoch, value, done=True, values=[value], **{"metrics/val_loss": value})


def test_a_message_survives_the_way_that_ray_tune_sends_it():
    """Ray Tune flattens tables, adds keys, and sets `done` when a scheduler ends a trial."""
    score = {
        "epoch": 2,
        "score": -0.5,
        "progress": [(1, 0.5)],
        "circuit_evaluations": 40,
        "seconds": 0.25,
    }
    spread = {"std": 0.1, "low": None, "high": 0.75, "n": 2}
    sent = {**score, "done": True, "values": [0.5], "metrics": {"val_loss": 0.5}, "spread": spread}
    added = {"training_iteration": 3, "trial_id": "trial-0000", "config/values/a/b": 1}
    assert message_of(flatten_dict(sent | added)) == sent
    alone = sent | {"spread": None}
    assert message_of(flatten_dict(alone | added)) == alone
    assert message_of({**score, **added, "done": True}) == {**score, "done": False}
    failure = {"done": True, "failure": "RunError: it failed"}
    assert message_of(failure | added) == failure
    assert message_of(added) is None


def _trials(tmp_path):
    return read_result(tmp_path, "s").trials


# ---------------------------------------------------------------------------- asking and telling


def test_a_trial_is_named_after_its_run_folder_and_carries_its_values(search, tmp_path):
    made = search()
    trial = made.next_trial()
    assert trial.trial_id == "trial-0000"
    assert trial.config == {"values": _trials(tmp_path)[0].parameters}
    assert _trials(tmp_path)[0].status == "running"


def test_a_trial_that_ended_early_is_withdrawn_and_a_completed_one_is_not(search):
    withdrawn = []
    made = search(trials=4, at_a_time=4, withdraw=withdrawn.append)
    names = [made.next_trial().trial_id for _ in range(4)]
    made.on_trial_complete(names[0], _end(3, 0.5))
    made.on_trial_complete(names[1], _result(1, 0.5, done=True))
    made.on_trial_complete(names[2], {"done": True, "failure": "DataError: no"})
    made.on_trial_complete(names[3], error=True)
    assert withdrawn == names[1:], "pruned, failed, and its process given up"


def test_as_many_run_as_may_and_no_more_than_there_are(search):
    made = search(trials=3)
    first, second = made.next_trial(), made.next_trial()
    assert made.next_trial() is None
    assert not made.is_finished()
    made.on_trial_complete(first.trial_id, _end(3, 0.5))
    third = made.next_trial()
    assert third.trial_id == "trial-0002"
    for trial in (second, third):
        made.on_trial_complete(trial.trial_id, _end(3, 0.5))
    assert made.next_trial() is None
    assert made.is_finished()


def test_a_population_exists_as_a_whole(search):
    made = search(at_a_time=None, trials=5)
    assert len([made.next_trial() for _ in range(5)]) == 5
    assert made.next_trial() is None


def test_a_completed_trial_is_in_the_study_with_all_it_reported(search, tmp_path):
    ledger = Ledger()
    made = search(ledger)
    name = made.next_trial().trial_id
    made.on_trial_result(name, _result(1, 0.75, progress=[(0, 0.75)]))
    made.on_trial_complete(name, _end(3, 0.25) | {"progress": [(1, 0.5), (2, 0.25)]})
    (trial,) = _trials(tmp_path)
    assert (trial.status, trial.objectives) == ("completed", {"val_loss": 0.25})
    assert [epoch["val_loss"] for epoch in trial.epochs] == [0.75, 0.5, 0.25]
    assert trial.circuit_evaluations == 300
    assert [event[0] for event in ledger.events] == ["started", "reported", "reported", "ended"]
    assert ledger.last()[2:] == ([0.25], ledger.last()[3])
    assert ledger.last()[3]["metrics"] == {"val_loss": 0.25}


def test_a_trial_that_a_scheduler_ended_is_pruned_and_keeps_its_last_report(search, tmp_path):
    ledger = Ledger()
    made = search(ledger)
    name = made.next_trial().trial_id
    made.on_trial_result(name, _result(1, 0.75))
    made.on_trial_complete(name, _result(2, 0.5))  # Ray Tune tells of it here only
    (trial,) = _trials(tmp_path)
    assert trial.status == "pruned"
    assert [epoch["val_loss"] for epoch in trial.epochs] == [0.75, 0.5]
    assert isinstance(ledger.last()[2], Pruned)


def test_a_trial_that_failed_has_its_cause(search, tmp_path):
    made = search()
    name = made.next_trial().trial_id
    made.on_trial_complete(name, {"done": True, "failure": "DivergenceError: val_loss is nan"})
    (trial,) = _trials(tmp_path)
    assert (trial.status, trial.error) == ("failed", "DivergenceError: val_loss is nan")


def test_a_trial_whose_process_died_has_what_ray_says_of_it(search, tmp_path):
    ledger = Ledger()
    made = search(ledger)
    trial = made.next_trial()
    made.on_trial_result(trial.trial_id, _result(1, 0.75))
    made.on_trial_complete(trial.trial_id, error=True)
    (found,) = _trials(tmp_path)
    assert (found.status, found.error) == ("failed", "Ray gave it up: no message")
    assert ledger.last()[2] == TrialFailure("Ray gave it up: no message")
    other = made.next_trial()
    other.get_error = lambda: RuntimeError("line 1\nThe actor is dead.\n\n")
    made.on_trial_complete(other.trial_id, error=True)
    assert _trials(tmp_path)[1].error == "Ray gave it up: The actor is dead."


def test_an_objective_that_is_not_a_number_fails_the_trial(search, tmp_path):
    made = search()
    ended = _end(3, 0.5) | {"values": [float("nan")], "progress": []}
    made.on_trial_complete(made.next_trial().trial_id, ended)
    (trial,) = _trials(tmp_path)
    assert (trial.status, trial.error) == ("failed", "val_loss is nan")


def test_values_that_a_population_has_changed_are_those_of_the_trial(search, tmp_path):
    made = search(at_a_time=None)
    trial = made.next_trial()
    made.on_trial_result(trial.trial_id, _result(1, 0.75))
    trial.set_config({"values": {RATE: 0.123}})
    made.on_trial_result(trial.trial_id, _result(2, 0.5))
    assert _trials(tmp_path)[0].parameters == {RATE: 0.123}
    made.on_trial_complete(trial.trial_id, _end(3, 0.25))
    (found,) = _trials(tmp_path)
    assert (found.status, found.parameters) == ("completed", {RATE: 0.123})


def test_a_search_that_is_left_leaves_its_trials_as_they_are(search, tmp_path):
    ledger = Ledger()
    made = search(ledger)
    ended, running = made.next_trial(), made.next_trial()
    values = running.config["values"]
    made.leaving.set()
    assert made.next_trial() is None
    made.on_trial_complete(ended.trial_id, _end(3, 0.5))  # was at its end anyway
    made.on_trial_complete(running.trial_id, _result(1, 0.75))
    made.leave()
    assert [trial.status for trial in _trials(tmp_path)] == ["completed", "running"]
    assert ledger.last() == ("left", [1])
    made._study.close()
    again = search(existing="resume")
    repeated = again.next_trial()
    assert (repeated.trial_id, repeated.config["values"]) == ("trial-0001", values)


def test_what_is_told_of_a_trial_that_has_ended_changes_nothing(search, tmp_path):
    ledger = Ledger()
    made = search(ledger)
    name = made.next_trial().trial_id
    made.on_trial_complete(name, _end(3, 0.5))
    known = len(ledger.events)
    made.on_trial_result(name, _result(4, 0.1))
    made.on_trial_complete(name, error=True)
    assert len(ledger.events) == known
    assert _trials(tmp_path)[0].objectives == {"val_loss": 0.5}


# --------------------------------------------------------------------------------------- the watch


class Seen:
    """A display that writes everything down."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def __getattr__(self, name):
        return lambda *args, **more: self.calls.append((name, *args, *more.values()))


@pytest.fixture
def watched(search, data, tmp_path):
    """A search with a real watch; (search, plan, tracking, display)."""

    def start(**options):
        job = job_of(tmp_path)
        plan = plan_of(job, config_of(), data)
        made = search(Ledger(), **options)
        tracking = SearchTracking(
            plan.folder, TrackConfig(mlflow=False), name="s", job_config=job.to_dict(),
            fingerprints={},
        )  # fmt: skip
        tracking.start(options.get("existing") == "resume")
        seen = Seen()
        made._watcher = Watch(plan, tracking, seen, read_result(tmp_path, "s"))
        return made, tracking, seen

    return start


def _records(tmp_path) -> list[dict]:
    records = epoch_records(read_records(tmp_path / "s" / "metrics.jsonl"))
    return [{k: v for k, v in r.items() if k not in ("event", "epoch")} for r in records]


def test_every_trial_that_ended_has_a_record_with_the_best_so_far(watched, tmp_path):
    made, tracking, seen = watched(at_a_time=1, trials=4)
    for ending in (_end(3, 0.5), {"failure": "x", "done": True}, _end(3, 0.75), _result(1, 0.1)):
        made.on_trial_complete(made.next_trial().trial_id, ending)
    tracking.close("finished")
    best = {"best_value": 0.5}
    assert _records(tmp_path) == [
        {"trial": 0, "status": "finished", "value": 0.5, "val_loss": 0.5, **best},
        {"trial": 1, "status": "failed", **best},
        {"trial": 2, "status": "finished", "value": 0.75, "val_loss": 0.75, **best},
        {"trial": 3, "status": "finished", **best},
    ]
    assert seen.calls[0][:3] == ("start", "s", 3)
    endings = [call[1:] for call in seen.calls if call[0] == "trial_ended"]
    assert endings == [
        (0, "completed", 0.5, None),
        (1, "failed", None, "x"),
        (2, "completed", 0.75, None),
        (3, "pruned", None, None),
    ]


def test_what_a_killed_driver_had_told_the_study_alone_is_recorded_by_the_next_one(
    watched, tmp_path
):
    made, tracking, _ = watched(at_a_time=1)
    made.on_trial_complete(made.next_trial().trial_id, _end(3, 0.5))
    second = made.next_trial()
    made._study.tell(1, [0.25])  # killed before the watch is told
    assert second.trial_id == "trial-0001"
    tracking.close("failed")
    made._study.close()
    again, tracking, seen = watched(at_a_time=1, existing="resume")
    assert [record["trial"] for record in _records(tmp_path)] == [0, 1]
    assert _records(tmp_path)[1]["best_value"] == 0.25
    assert seen.calls[0][4] == 2, "trials that have ended"
    assert seen.calls[0][-1].number == 1, "the best trial"
    again.leave()
    tracking.close("finished")


# --------------------------------------------------------------------------------------- budgets


def _limit(field: str) -> dict:
    return {"done": True, "limit": field, "reason": "the run may use 1 jobs", "trial_id": "any"}


def test_a_budget_of_the_study_leaves_the_trials_that_run_to_be_continued(search, tmp_path):
    ledger = Ledger()
    first = search(ledger)
    names = [first.next_trial().trial_id for _ in range(2)]
    first.on_trial_complete(names[0], _end(1, 0.5))
    third = first.next_trial().trial_id
    first.on_trial_complete(names[1], _limit("budget.jobs"))
    first.on_trial_complete(third, _limit("budget.jobs"))
    assert first.leaving.is_set()
    assert isinstance(first.error, BudgetReachedError)
    assert first.error.field == "budget.jobs"
    assert first.next_trial() is None
    first.leave()
    assert ledger.last() == ("left", [1, 2])
    assert [trial.status for trial in _trials(tmp_path)] == ["completed", "running", "running"]


def test_a_budget_of_a_trial_ends_that_trial_and_says_why(search, tmp_path):
    ledger, withdrawn = Ledger(), []
    first = search(ledger, withdraw=withdrawn.append)
    name = first.next_trial().trial_id
    first.on_trial_result(name, _result(1, 0.5))
    first.on_trial_complete(name, _limit("trial_budget.jobs"))
    assert ledger.last() == ("ended", 0, Pruned("the run may use 1 jobs"), None)
    assert not first.leaving.is_set()
    assert withdrawn == [name]
    (trial,) = _trials(tmp_path)
    assert (trial.status, trial.error) == ("pruned", None)
    assert first.next_trial() is not None
