"""Where a study cannot be kept: links that lead nowhere, folders, files of other programs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import optuna
import pytest

from qstore_ray.cli.app import main
from qstore_ray.errors import ConfigError, RunExistsError, StudyError
from qstore_ray.files import real_path
from qstore_ray.train.run.place import make_folder
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.study.admission import check_study
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.study.warm_start import trials_to_copy
from tests.unit.tune.test_space import JOB
from tests.unit.tune.test_study import GOAL, SPACE, _journal, _open, _run

every_way = pytest.mark.parametrize("existing", ["error", "resume", "replace"])


def _link(path: Path, target: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def _optunas(storage: optuna.storages.BaseStorage, name: str = "s") -> optuna.Study:
    """A study that Optuna alone has made."""
    study = optuna.create_study(storage=storage, study_name=name)
    study.add_trial(optuna.create_trial(value=1.0))
    return study


def _journal_of_optuna(file: Path, name: str = "s") -> optuna.Study:
    file.parent.mkdir(parents=True)
    backend = optuna.storages.journal.JournalFileBackend(str(file))
    return _optunas(optuna.storages.JournalStorage(backend), name)


def test_the_real_path_follows_links_and_stops_at_one_that_leads_to_itself(tmp_path):
    itself = _link(tmp_path / "itself", "itself")
    assert real_path(itself) == itself
    assert real_path(itself / "inside") == itself / "inside"
    (tmp_path / "folder").mkdir()
    assert real_path(_link(tmp_path / "link", "folder")) == tmp_path / "folder"


@every_way
def test_a_storage_that_is_a_link_to_itself_is_named(tmp_path, existing):
    itself = _link(tmp_path / "itself", "itself")
    with pytest.raises(StudyError, match="symbolic links") as caught:
        _open(itself, existing=existing)
    assert caught.value.value == str(itself / "s")
    assert "storage" in caught.value.fix


def test_no_command_meets_a_bare_error_at_a_link_to_itself(tmp_path, capsys):
    itself = _link(tmp_path / "itself", "itself")
    with pytest.raises(StudyError, match="symbolic links"):
        read_result(itself, "s")
    with pytest.raises(ConfigError, match="no such study"):
        trials_to_copy(str(itself), SPACE, GOAL)
    with pytest.raises(ConfigError, match="symbolic link that leads to no folder"):
        make_folder(itself)
    for command in (["tune", "show", "s"], ["ui", "s"], ["ui"], ["runs", "list"]):
        main([*command, "--storage", str(itself)])
        assert "Traceback" not in capsys.readouterr().err, command


@pytest.mark.parametrize("target", ["study.journal", "/no/such/folder/study.journal"])
@pytest.mark.parametrize("existing", ["error", "resume"])
def test_a_journal_that_is_a_link_to_no_file_is_refused(tmp_path, target, existing):
    link = _link(_journal(tmp_path), target)
    for action in (lambda: _open(tmp_path, existing=existing), lambda: read_result(tmp_path, "s")):
        with pytest.raises(StudyError, match="leads to no file") as caught:
            action()
        assert (caught.value.field, caught.value.value) == ("storage", str(link))
    assert link.is_symlink()


def test_a_link_that_leads_nowhere_is_replaced_as_asked(tmp_path):
    _link(_journal(tmp_path), "study.journal")
    with _open(tmp_path, existing="replace") as study:
        assert _run(study, 1) == 1


def test_a_journal_behind_a_link_is_resumed(tmp_path):
    with _open(tmp_path) as study:
        _run(study, 2)
    kept = tmp_path / "elsewhere"
    _journal(tmp_path).rename(kept)
    _journal(tmp_path).symlink_to(kept)
    with _open(tmp_path, existing="resume") as study:
        assert _run(study) == 4


@every_way
@pytest.mark.parametrize("target", ["a.db", "/no/such/folder/a.db"])
def test_a_database_that_is_a_link_to_no_file_is_refused(tmp_path, target, existing):
    link = _link(tmp_path / "a.db", target)
    with pytest.raises(StudyError, match="leads to no file") as caught:
        _open(tmp_path / "runs", existing=existing, storage_url=f"sqlite:///{link}")
    assert caught.value.value == str(link)
    assert link.is_symlink()
    assert not (tmp_path / "runs").exists()


@every_way
def test_a_folder_is_neither_a_journal_nor_a_database(tmp_path, existing):
    _journal(tmp_path).mkdir(parents=True)
    with pytest.raises(StudyError, match="directory"):
        _open(tmp_path, existing=existing)
    with pytest.raises(StudyError, match="cannot open the file"):
        _open(tmp_path / "runs", existing=existing, storage_url=f"sqlite:///{tmp_path}")


@every_way
@pytest.mark.parametrize("table", [None, "studies (a int)", "studies (study_name text)"])
def test_a_file_of_another_program_is_not_blamed_on_a_server(tmp_path, table, existing):
    file = tmp_path / "other.db"
    if table is None:
        file.write_text("no database " * 99)
    else:
        connection = sqlite3.connect(file)
        connection.execute(f"create table {table}")
        connection.close()
    with pytest.raises(StudyError, match="not one of Optuna's") as caught:
        _open(tmp_path / "runs", existing=existing, storage_url=f"sqlite:///{file}")
    assert "another database in tune.storage_url" in caught.value.fix


def test_a_database_that_may_only_be_read_is_named(tmp_path):
    sqlite3.connect(tmp_path / "a.db").close()
    url = f"sqlite:///file:{tmp_path}/a.db?mode=ro&uri=true"
    with pytest.raises(StudyError, match="read-only") as caught:
        _open(tmp_path / "runs", storage_url=url)
    assert "GRANT" not in caught.value.fix


@every_way
@pytest.mark.parametrize("database", [True, False])
def test_a_study_of_plain_optuna_is_neither_resumed_nor_deleted(tmp_path, database, existing):
    url = f"sqlite:///{tmp_path}/a.db" if database else None
    if url:
        study = _optunas(optuna.storages.RDBStorage(url))
    else:
        study = _journal_of_optuna(_journal(tmp_path))
    with pytest.raises(RunExistsError) as caught:
        _open(tmp_path, existing=existing, storage_url=url)
    assert caught.value.fix
    assert len(study.get_trials()) == 1


def test_a_journal_with_another_study_of_plain_optuna_is_not_deleted(tmp_path):
    study = _journal_of_optuna(_journal(tmp_path), "theirs")
    with pytest.raises(RunExistsError, match="not ours"):
        _open(tmp_path, existing="replace")
    assert len(study.get_trials()) == 1


@every_way
@pytest.mark.parametrize("inside", ["", "runs/deep"])
def test_a_file_in_the_way_is_refused_before_anything_is_started(tmp_path, existing, inside):
    (tmp_path / "F").write_text("")
    config = TuneConfig(space=SPACE, objectives=GOAL, trials=1)
    with pytest.raises(ConfigError, match="this is a file") as caught:
        check_study(tmp_path / "F" / inside, "s", config, job=JOB, existing=existing)
    assert caught.value.value == str(tmp_path / "F")
