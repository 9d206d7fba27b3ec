"""Where studies are kept: what is locked, damaged, out of reach, or learned from."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.errors import (
    ConfigError,
    MissingDependencyError,
    QStoreError,
    RunExistsError,
    StudyError,
)
from qstore_ray.testing.search_spaces import spaces
from qstore_ray.train.run.lock import LOCK
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.attributes import enqueue
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.study.warm_start import values_of
from tests.unit.tune.test_study import COMBINATIONS, TABLE, _journal, _open, _run, _whole


def _left(storage: Path, **options) -> Path:
    """A study of two ended trials and one left running; its journal."""
    with _open(storage, **options) as study:
        _run(study, 2)
        study.ask()
    return _journal(storage)


# ------------------------------------------------------------------------------------- the journal


@pytest.mark.parametrize(
    ("line", "number"), [(b"\0\0\0\n", 4), (b"[1]\n", 4), (b'{"op_code":"x"}\n', 4)]
)
def test_a_damaged_line_is_named_and_nothing_is_changed(tmp_path, line, number):
    journal = _left(tmp_path)
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[number - 1] = line
    journal.write_bytes(b"".join(lines))
    for action in (lambda: _open(tmp_path, existing="resume"), lambda: read_result(tmp_path, "s")):
        with pytest.raises(StudyError) as caught:
            action()
        assert caught.value.field == "storage"
        assert f"line {number}" in caught.value.message
        assert str(journal) == caught.value.value
        assert "existing='replace'" in caught.value.fix
    assert journal.read_bytes() == b"".join(lines)


@pytest.mark.parametrize(("gone", "words"), [(0, "no study of this name"), (1, "not ours")])
def test_a_lost_beginning_is_noticed(tmp_path, gone, words):
    journal = _left(tmp_path)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    with pytest.raises(RunExistsError, match=words):
        _open(tmp_path, existing="resume")


@pytest.mark.parametrize("record", [{"op_code": 4}, {"op_code": 99}, {"op_code": 0, "study": 1}])
def test_a_record_that_lacks_something_is_damage(tmp_path, record):
    journal = _left(tmp_path)
    with journal.open("a") as file:
        file.write(json.dumps(record) + "\n")
    with pytest.raises(StudyError) as caught:
        _open(tmp_path, existing="resume")
    assert "do not fit together" in caught.value.message
    assert "existing='replace'" in caught.value.fix


def test_a_torn_last_line_is_cut_off_by_the_writer_alone(tmp_path):
    journal = _left(tmp_path)
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"wor')
    assert len(read_result(tmp_path, "s").trials) == 3
    assert journal.read_bytes() != whole, "a reader changes nothing"
    with _open(tmp_path, existing="resume") as study:
        assert journal.read_bytes().startswith(whole)
        _run(study)
    _whole(tmp_path)


def test_a_lock_that_a_killed_writer_left_is_taken_away_after_seconds(tmp_path):
    journal = _left(tmp_path)
    journal.with_name("study.journal.lock").symlink_to(journal)
    assert len(read_result(tmp_path, "s").trials) == 3, "a reader does not wait"
    begin = time.monotonic()
    with _open(tmp_path, existing="resume") as study:
        _run(study)
    assert time.monotonic() - begin > 4.0
    _whole(tmp_path)


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "s" / LOCK).mkdir(parents=True)
    with pytest.raises(StudyError) as caught:
        _open(tmp_path)
    assert caught.value.field == "storage"
    assert "storage folder" in caught.value.fix


@pytest.mark.parametrize(("file", "field"), [("runs", "storage"), ("runs/s", "name")])
def test_a_file_in_the_place_of_a_folder_is_a_wrong_configuration(file, field, tmp_path):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("not a folder")
    with pytest.raises(ConfigError, match="a folder is needed") as caught:
        _open(tmp_path / "runs")
    assert (caught.value.field, caught.value.value) == (field, str(tmp_path / file))


def test_a_journal_that_is_a_folder(tmp_path):
    (tmp_path / "s" / "study.journal").mkdir(parents=True)
    with pytest.raises(StudyError, match="cannot use the storage"):
        _open(tmp_path, existing="resume")


# ------------------------------------------------------------------------------------- a database


def test_a_database_keeps_the_study_and_the_folder_the_runs(tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    with _open(tmp_path, storage_url=url) as study:
        _run(study, 2)
        study.ask()
    assert not _journal(tmp_path).exists()
    with pytest.raises(RunExistsError):
        _open(tmp_path, storage_url=url)
    with _open(tmp_path, storage_url=url, existing="resume") as study:
        assert study.ask().name == "trial-0002"
    with _open(tmp_path, storage_url=url, existing="resume") as study:
        assert _run(study) == 4
    result = read_result(tmp_path, "s", storage_url=url)
    assert result.statuses == {"completed": COMBINATIONS, "interrupted": 2}
    with _open(tmp_path, storage_url=url, existing="replace") as study:
        assert study.asked == 0


def test_a_locked_database_is_named(tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db?timeout=0.2"
    with _open(tmp_path, storage_url=url) as study:
        other = sqlite3.connect(tmp_path / "studies.db")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StudyError) as caught:
            study.ask()
        other.rollback()
        assert "locked by another process" in caught.value.message
        assert "existing='resume'" in caught.value.fix
        assert study.ask() is not None


@pytest.mark.parametrize("query", ["password=planted", "user=ann", "bogus=1", "timeout=5&mode=ro"])
def test_an_argument_that_sqlite_does_not_know_is_refused_before_anything_is_written(
    query, tmp_path, recwarn
):
    with pytest.raises(ConfigError, match="SQLite does not know") as caught:
        _open(tmp_path / "runs", storage_url=f"sqlite:///{tmp_path}/studies.db?{query}")
    assert caught.value.field == "tune.storage_url"
    assert "planted" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert not recwarn


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "studies.db").write_text("hello, " * 1000)
    with pytest.raises(StudyError) as caught:
        _open(tmp_path, storage_url=f"sqlite:///{tmp_path}/studies.db")
    assert "damaged" in caught.value.message


@pytest.mark.parametrize(
    ("url", "error", "field"),
    [
        ("studies.db", ConfigError, "tune.storage_url"),
        ("sqlite://host:planted/x", ConfigError, "tune.storage_url"),
        ("nonsense://u:planted@host/db", ConfigError, "tune.storage_url"),
        ("postgresql://u:planted@127.0.0.1:1/db", MissingDependencyError, "tune.storage_url"),
        ("sqlite:////no/such/folder/planted/x.db", StudyError, "storage"),
    ],
)
def test_an_address_that_cannot_be_used(tmp_path, url, error, field):
    with pytest.raises(error) as caught:
        _open(tmp_path, storage_url=url)
    assert caught.value.field == field
    assert caught.value.fix
    assert "planted" not in str(caught.value).replace("/planted/", "")


def test_a_study_of_somebody_else_is_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    foreign = optuna.create_study(study_name="s", storage=url)
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(RunExistsError, match="not ours"):
        _open(tmp_path, storage_url=url, existing="resume")


# ------------------------------------------------------------------ points to try first, warm start


def test_points_are_tried_first_and_once(tmp_path):
    points = [{"model.layers": 3, "trainer.optimizer": "sgd"}, {"model.layers": 2}]
    options = {"sampler": "tpe", "points": points}
    with _open(tmp_path, **options) as study:
        first = study.ask()
    with _open(tmp_path, **options, existing="resume") as study:
        second, again, other = study.ask(), study.ask(), study.ask()
    assert (first.values["model.layers"], first.values["trainer.optimizer"]) == (3, "sgd")
    assert second.values["model.layers"] == 2
    assert (again.values, again.repeats) == (first.values, 0)
    assert other.repeats is None


@pytest.mark.filterwarnings("error::UserWarning")  # Optuna warns of a value it will not take
@given(space=spaces(), shares=st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=6))
def test_a_point_in_the_queue_is_tried_as_it_was_given_and_read_back(space, shares):
    point = space.at(shares[: len(space.order)])
    study = optuna.create_study()
    enqueue(study, space, point, {})
    trial = study.ask()
    assert space.suggest(trial) == point
    assert values_of(space, trial.params) == point


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"points": [{"model.layers": 9}]}, "tune.points.0.model.layers"),
        ({"points": [{}, {"model.layer": 1}]}, "tune.points.1.model.layer"),
        ({"points": [{}] * 7}, "tune.trials"),
        ({"trials": 0}, "trials"),
        ({"trials": 5}, "tune.trials"),  # the grid has 6
        ({"objectives": []}, "objectives"),
        ({"warm_start": ["nowhere"]}, "tune.warm_start"),
        ({"warm_start": ["sqlite://#nothing"]}, "tune.warm_start"),
    ],
)
def test_wrong_beginnings(tmp_path, options, field):
    with pytest.raises(ConfigError) as caught:
        _open(tmp_path, **options)
    assert caught.value.field == field
    assert caught.value.fix
    assert list(tmp_path.iterdir()) == [], "nothing is left that would be in the way"


def test_a_study_is_not_deleted_for_one_that_cannot_begin(tmp_path):
    with _open(tmp_path) as study:
        _run(study)
    kept = _journal(tmp_path).read_bytes()
    with pytest.raises(ConfigError):
        _open(tmp_path, warm_start=["nowhere"], existing="replace")
    assert _journal(tmp_path).read_bytes() == kept


def test_an_earlier_study_is_learned_from_and_does_not_count(tmp_path):
    with _open(tmp_path / "earlier") as study:
        _run(study)
    wider = {**TABLE, "model.layers": {"type": "int", "low": 2, "high": 8}}
    options = {
        "space": Space.from_dict(wider),
        "sampler": "tpe",
        "sampler_options": {"startup": 4},
        "warm_start": [str(tmp_path / "earlier" / "s")],
    }
    with _open(tmp_path, **options) as study:
        assert study.asked == 0
        kept = _journal(tmp_path).stat().st_size
    with _open(tmp_path, **options, existing="resume") as study:
        assert _journal(tmp_path).stat().st_size == kept, "copied once"
        assert study.ask().number == 4  # of the earlier six, the two of one layer do not fit
        _run(study)
    assert len(read_result(tmp_path, "s").trials) == COMBINATIONS
    other = Space.from_dict({"trainer.seed": {"type": "int", "low": 0, "high": 3}})
    with pytest.raises(ConfigError, match="no completed trial"):
        _open(tmp_path / "new", **{**options, "space": other})


@pytest.mark.parametrize(
    "url", ["nonsense://host/db#s", "sqlite://?bogus=1#s", "mysql://host/db#s"]
)
def test_an_error_about_an_earlier_study_names_its_field(url, tmp_path):
    with pytest.raises(QStoreError) as caught:
        _open(tmp_path / "runs", warm_start=[url])
    assert caught.value.field == "tune.warm_start"
