"""Searches in an object store keep the laws of a study's folder."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.cli.app import main
from qstore_ray.cli.tune.end import as_dict, as_facts
from qstore_ray.errors import ConfigError, RunExistsError, StorageError
from qstore_ray.storage import cloud, lease
from qstore_ray.storage.address import StorageAddress, storage_folder
from qstore_ray.storage.cloud import open_objects
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.find import find_run
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.tune.driver.finalize import leave_files, summary_of
from qstore_ray.tune.driver.tracking import SearchTracking
from qstore_ray.tune.driver.watch import Watch, artifacts_of
from qstore_ray.tune.study.result import StudyResult
from qstore_ray.tune.study.study import Study
from qstore_ray.tune.trial.plan import Plan
from qstore_ray.tune.trial.trial import TrialRunner
from tests.object_store import FailingObjects, ObjectsBelow, in_memory
from tests.search_kill_points import CONFIG, DATA, TRAINER, Reports, completed, end
from tests.small_search import Listener, config_of, job_of, plan_of, study_of
from tests.unit.storage.test_runs import on_another_machine

ROOT = "s3://memory/team"


class Store:
    """An object store in memory; its writers may die before a write."""

    def __init__(self) -> None:
        self.begin(None)

    def begin(self, fails_at: int | None) -> None:
        """Empty it; the writer will die before this write."""
        self.whole = in_memory()
        self.writer = FailingObjects(self.whole, fails_at)

    def live(self) -> None:
        """The next writer does not die."""
        self.writer = FailingObjects(self.whole)

    def open(self, address: StorageAddress) -> ObjectsBelow:
        return ObjectsBelow(self.writer, address.prefix)


@pytest.fixture
def store(stage: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    found = Store()
    monkeypatch.setattr(cloud, "open_objects", found.open)
    monkeypatch.setattr("qstore_ray.train.run.lock.open_objects", found.open)
    monkeypatch.setattr(lease, "SECONDS", 0.0)  # the dead are known at once
    return found


def search(storage: str, existing: Existing = "error", stops_after: int | None = None) -> None:
    """The command: a search of two trials, in this process."""
    job = job_of(storage, **TRAINER)
    with study_of(job, CONFIG, DATA, existing=existing) as study:
        plan = plan_of(job, CONFIG, DATA)
        tracking = SearchTracking(
            study.folder, job.track, name="s", job_config=job.to_dict(), fingerprints={}
        )
        tracking.start(existing == "resume")
        watch = Watch(plan, tracking, None, StudyResult.load(storage, "s"))
        trials, number = TrialRunner(plan), 0
        while number != stops_after and (trial := study.ask()):
            number += 1
            watch.trial_started(trial)
            reports = Reports(study, trial, watch)
            ending = trials.run(trial.name, trial.values, reports)
            reports.report(ending)
            study.tell(trial.number, ending["values"])
            watch.trial_ended(trial, ending["values"], ending)
        result = StudyResult.load(storage, "s")
        leave_files(result, study.folder, figures=False)
        tracking.close("finished", summary_of(result), artifacts_of(study.folder))


def go_on(storage: str) -> None:
    """What a user does after a crash."""
    try:
        search(storage, "resume")
    except RunExistsError as exc:
        if "Leave out existing='resume'" not in exc.fix:
            raise
        search(storage)


def end_of(storage: str) -> dict[str, Any]:
    """What a search ends with, as another machine sees it."""
    folder = storage_folder(storage)
    for trial in StudyResult.load(storage, "s").trials:
        find_run(f"{storage}/s/{trial.run}", "runs")
    found = end(folder)
    del found["files"]  # leases and copies
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("plain")
    search(str(folder))
    found = end(folder)
    del found["files"]
    return found


def test_a_search_is_the_same_as_in_a_folder_and_seen_by_all_commands(
    bucket: str, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    storage = f"{bucket}/team"
    search(storage)
    result, job = StudyResult.load(storage, "s"), job_of(storage, **TRAINER)
    said = [value for _, value in as_facts(result, job)]
    assert said[0] == f"{storage}/s"
    assert f"qstore tune show {storage}/s" in said
    best = as_dict(result, job)["best_config"]
    assert best is not None
    assert Path(best).is_file()
    assert f"qstore train {best}" in said
    on_another_machine(monkeypatch, tmp_path)
    assert main(["tune", "show", "s", "--storage", storage, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["trials"]) == 2
    assert main(["tune", "best", f"{storage}/s"]) == 0
    assert "learning_rate" in capsys.readouterr().out
    assert main(["runs", "--storage", storage, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["studies"], listed["runs"]) == (["s"], [])
    assert end_of(storage) == undisturbed
    assert TrainedModel.load(f"{storage}/s/trial-0001").theta.size
    with pytest.raises(RunExistsError, match="a study of this name"):
        search(storage)


def test_a_search_that_dies_before_any_write_is_resumed_to_the_same_end(
    store: Store, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each death is followed by the same command on another machine, which has no stage of it."""
    search(ROOT)
    writes = list(store.writer.written)
    assert len(writes) > 40
    for dies_at in range(0, len(writes), 1 if "TEST_ALL" in os.environ else 23):
        store.begin(dies_at)
        on_another_machine(monkeypatch, tmp_path)
        try:
            search(ROOT)
        except StorageError as error:
            assert "dead before" in str(error)  # noqa: PT017 - it may die after the end
        died = store.writer.written[-1:]
        store.live()
        on_another_machine(monkeypatch, tmp_path)
        before = seen(ROOT)
        on_another_machine(monkeypatch, tmp_path)
        go_on(ROOT)
        on_another_machine(monkeypatch, tmp_path)
        after = completed(StudyResult.load(ROOT, "s"))
        assert {number: after.get(number) for number in before} == before, f"dead after {died}"
        assert end_of(ROOT) == undisturbed, f"dead after {died}"


def seen(storage: str) -> dict[int, Any]:
    """The trials that a reader finds completed."""
    try:
        return completed(StudyResult.load(storage, "s"))
    except Exception as exc:  # gate: QS104 because there is no study yet
        assert "no study of this name" in str(exc)  # noqa: PT017
        return {}


def test_a_second_driver_is_refused_and_one_that_was_taken_over_from_writes_no_more(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease, "_PAUSE_SECONDS", 0.05)
    first = opened(bucket)
    on_another_machine(monkeypatch, tmp_path)
    for existing in ("resume", "replace"):
        with pytest.raises(RunExistsError, match="has this study open"):
            opened(bucket, existing)  # type: ignore[arg-type]
    monkeypatch.setattr(lease, "SECONDS", 0.0)
    assert first._origin is not None
    first._origin.lease._done.set()  # it is not heard of any more
    first._origin.lease._thread.join()
    second = opened(bucket, "resume")
    with pytest.raises(StorageError, match="taken this run over"):
        first.ask()
    trial = second.ask()
    assert trial is not None
    second.close()
    with pytest.raises(StorageError):
        first.upload()
    first.close()
    on_another_machine(monkeypatch, tmp_path)
    assert [trial.status for trial in StudyResult.load(bucket, "s").trials] == [
        "running",
        "waiting",
    ]


def opened(storage: str, existing: Existing = "error") -> Study:
    return study_of(job_of(storage), CONFIG, DATA, existing=existing)


def test_a_study_is_replaced_with_all_its_trials(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(bucket)
    objects = open_objects(StorageAddress("s3", bucket.removeprefix("s3://"), "s"))
    objects.put("notes.txt", b"a user's")
    assert any(key.startswith("trial-0001/") for key in objects.listing())
    on_another_machine(monkeypatch, tmp_path)
    opened(bucket, "replace").close()
    kept = list(objects.listing())
    assert not [key for key in kept if key.startswith("trial-")]
    assert "notes.txt" in kept
    assert {trial.status for trial in StudyResult.load(bucket, "s").trials} == {"waiting"}


def test_a_run_and_a_study_do_not_take_each_others_place(bucket: str) -> None:
    objects = open_objects(StorageAddress("s3", bucket.removeprefix("s3://"), "s"))
    objects.put("run.json", b"{}")
    for existing in ("error", "replace"):
        with pytest.raises(RunExistsError, match="there is a run of this name"):
            opened(bucket, existing)  # type: ignore[arg-type]
    assert set(objects.listing()) == {"run.json"}


def test_a_plan_has_the_stage_of_the_machine_that_it_comes_to(
    stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(job_of("s3://memory/team", **TRAINER), CONFIG, DATA)
    sent = pickle.dumps(plan)
    on_another_machine(monkeypatch, tmp_path)
    there: Plan = pickle.loads(sent)
    assert there.folder == storage_folder("s3://memory/team") / "s" != plan.folder
    assert there.trial_job("trial-0000", {}).storage == "s3://memory/team/s"


@pytest.mark.parametrize("options", [{}, {"seeds": 2}])
def test_trials_on_another_node_are_seen_by_the_driver(
    options: dict[str, Any], bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver has the epochs of a trial that another machine has trained, all of its parts."""
    job, config = job_of(bucket, **TRAINER), config_of(trials=1, **options)
    here = str(tmp_path / "cache")
    with study_of(job, config, DATA) as study:
        plan = plan_of(job, config, DATA)
        tracking = SearchTracking(
            study.folder, job.track, name="s", job_config=job.to_dict(), fingerprints={}
        )
        tracking.start(resumed=False)
        watch = Watch(plan, tracking, None, StudyResult.load(bucket, "s"))
        trial = study.ask()
        assert trial is not None
        watch.trial_started(trial)
        sent = pickle.dumps(plan)
        on_another_machine(monkeypatch, tmp_path)
        ending = TrialRunner(pickle.loads(sent)).run(trial.name, trial.values, Listener())
        monkeypatch.setenv("XDG_CACHE_HOME", here)
        assert not list((study.folder / trial.name).rglob("metrics.jsonl"))
        study.tell(trial.number, ending["values"])
        watch.trial_ended(trial, ending["values"], ending)
        tracking.close("finished", {})
        assert len(epoch_records(read_records(study.folder / trial.name / "metrics.jsonl"))) == 2


def test_a_study_learns_from_one_in_an_object_store(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(bucket)
    on_another_machine(monkeypatch, tmp_path)
    config = config_of(warm_start=[f"{bucket}/s"])
    with study_of(job_of(tmp_path), config, DATA) as study:
        copied = study.reach(study._study.get_trials)
    assert [trial.user_attrs["copied_from"] for trial in copied] == [
        f"{bucket}/s#{number}" for number in range(2)
    ]
    with pytest.raises(ConfigError, match="no such study to learn from"):
        study_of(job_of(tmp_path / "other"), config_of(warm_start=[f"{bucket}/t"]), DATA)
