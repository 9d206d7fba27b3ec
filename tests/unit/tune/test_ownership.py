"""A study in a database belongs to one folder, which knows where it is; nobody writes the login."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import traceback
from pathlib import Path

import optuna
import pytest

from qstore_ray.credentials import PublicUrl
from qstore_ray.errors import ConfigError, QStoreError, RunExistsError, StudyError
from qstore_ray.job import JobConfig
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.driver.tracking import SearchTracking
from qstore_ray.tune.study import address
from qstore_ray.tune.study.ownership import recorded_url, study_folders
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.tuner import Tuner
from tests.small_search import SPACE as RATES
from tests.small_search import job_of
from tests.unit.tune.test_study import GOAL, SPACE, _open, _run


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


def _attributes(url: str) -> dict:
    return optuna.load_study(study_name="s", storage=url).user_attrs


# -------------------------------------------------------------------------- one folder owns a study


@pytest.mark.parametrize("flags", [{"existing": "replace"}, {"existing": "resume"}, {}], ids=str)
def test_another_folder_neither_deletes_nor_continues_a_study(tmp_path, url, flags):
    with _open(tmp_path / "ann", storage_url=url) as study:
        _run(study, 2)
    with pytest.raises(RunExistsError) as caught:
        _open(tmp_path / "bob", storage_url=url, **flags)
    assert str(tmp_path / "ann" / "s") in caught.value.message
    assert caught.value.field == "name"
    assert "another name" in caught.value.fix
    assert not (tmp_path / "bob").exists()
    assert len(read_result(tmp_path / "ann", "s").trials) == 2
    with _open(tmp_path / "bob", storage_url=url, name="t") as study:
        _run(study, 1)
    with _open(tmp_path / "ann", storage_url=url, existing="resume") as study:
        assert _run(study) == 4


def test_a_folder_that_was_moved_owns_its_study_and_a_copy_does_not(tmp_path, url):
    with _open(tmp_path / "a", storage_url=url) as study:
        _run(study, 2)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    with pytest.raises(RunExistsError, match="belongs to the folder"):
        _open(tmp_path / "copy", storage_url=url, existing="resume")
    (tmp_path / "a").rename(tmp_path / "b")
    with _open(tmp_path / "b", storage_url=url, existing="resume") as study:
        _run(study, 1)
    assert _attributes(url)["qstore_owner"]["folder"] == str(tmp_path / "b" / "s")
    with pytest.raises(RunExistsError, match="belongs to the folder"):
        _open(tmp_path / "copy", storage_url=url, existing="resume")
    shutil.rmtree(tmp_path / "b")
    with _open(tmp_path / "copy", storage_url=url, existing="resume") as study:
        assert _run(study) == 3


def test_a_folder_that_was_deleted_can_be_begun_again_in_its_place(tmp_path, url):
    with _open(tmp_path, storage_url=url) as study:
        _run(study, 2)
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(RunExistsError, match="a study of this name exists"):
        _open(tmp_path, storage_url=url)
    with _open(tmp_path, storage_url=url, existing="replace") as study:
        assert study.asked == 0


def _of_an_earlier_version(storage: Path, url: str) -> None:
    """A study without an owner, and the job that its driver left in the folder."""
    with _open(storage, storage_url=url) as study:
        _run(study, 2)
    (storage / "s" / "study.json").unlink()
    (storage / "s" / "config.toml").write_text(f'[tune]\nstorage_url = "{url}"\n')
    with sqlite3.connect(address.file_of(url)) as database:
        database.execute("delete from study_user_attributes where key = 'qstore_owner'")


def test_a_study_without_an_owner_is_that_of_the_folder_with_its_job(tmp_path, url):
    _of_an_earlier_version(tmp_path / "ann", url)
    for flags in ({"existing": "resume"}, {"existing": "replace"}):
        with pytest.raises(RunExistsError, match="not begun from this folder"):
            _open(tmp_path / "bob", storage_url=url, **flags)
    assert len(read_result(tmp_path / "ann", "s").trials) == 2
    with _open(tmp_path / "ann", storage_url=url, existing="resume") as study:
        assert _run(study) == 4
    assert _attributes(url)["qstore_owner"]["folder"] == str(tmp_path / "ann" / "s")


def test_a_driver_killed_before_it_had_claimed_its_study_begins_it_again(tmp_path, url):
    with _open(tmp_path, storage_url=url):
        pass
    with sqlite3.connect(tmp_path / "studies.db") as database:
        database.execute("delete from study_user_attributes")
    with pytest.raises(RunExistsError, match="not begun from this folder"):
        _open(tmp_path / "bob", storage_url=url)
    with _open(tmp_path, storage_url=url, existing="resume") as study:
        assert _run(study) == 6


@pytest.mark.parametrize("place", ["journal", "database"])
def test_runs_of_a_study_that_is_kept_elsewhere_are_not_taken_for_ones_own(tmp_path, url, place):
    options = {"storage_url": url} if place == "database" else {}
    other = {} if options else {"storage_url": url}
    with _open(tmp_path, **options) as study:
        _run(study, 2)
    (tmp_path / "s" / "trial-0000").mkdir()
    for flags in ({}, {"existing": "resume"}):
        with pytest.raises(RunExistsError, match="kept in") as caught:
            _open(tmp_path, **other, **flags)
        assert caught.value.field == "tune.storage_url"
    with _open(tmp_path, **other, existing="replace") as study:
        assert study.asked == 0
        assert not (tmp_path / "s" / "trial-0000").exists()
    with _open(tmp_path, **other, existing="resume") as study:
        assert _run(study) == 6


def test_a_study_can_be_learned_from_whoever_owns_it(tmp_path, url):
    with _open(tmp_path / "ann", storage_url=url) as study:
        _run(study)
    with _open(tmp_path / "bob", sampler="tpe", warm_start=[f"{url}#s"]) as study:
        assert study.asked == 0
        _run(study, 1)
    assert _attributes(url)["qstore_owner"]["folder"] == str(tmp_path / "ann" / "s")


@pytest.mark.parametrize("name", ["größe", "a/b", "研究", "x" * 300, "..", ""])
def test_a_name_that_is_no_folder_is_refused_before_the_database_is_touched(tmp_path, url, name):
    with pytest.raises(ConfigError) as caught:
        _open(tmp_path / "runs", storage_url=url, name=name)
    assert caught.value.field == "name"
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------- the folder knows where it is


def test_a_folder_is_enough_to_find_its_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with _open(tmp_path / "runs", storage_url="sqlite:///studies.db") as study:
        _run(study, 2)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(read_result(tmp_path / "runs", "s").trials) == 2
    assert study_folders(tmp_path / "runs") == ["s"]
    (tmp_path / "runs" / "s").rename(tmp_path / "runs" / "renamed")
    assert read_result(tmp_path / "runs", "renamed").study == "s"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_damaged_record_is_named(tmp_path, url):
    with _open(tmp_path, storage_url=url):
        pass
    (tmp_path / "s" / "study.json").write_text("{")
    with pytest.raises(StudyError) as caught:
        read_result(tmp_path, "s")
    assert caught.value.value == str(tmp_path / "s" / "study.json")


def test_the_short_name_of_postgresql_is_spelt_out(tmp_path):
    with pytest.raises(ConfigError, match="no such kind of database") as caught:
        _open(tmp_path, storage_url="postgres://ann:planted@db/studies")
    assert "postgresql://" in caught.value.fix
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(tmp_path, url):
    with pytest.raises(ConfigError, match="in memory") as caught:
        _open(tmp_path, storage_url=url)
    assert caught.value.field == "tune.storage_url"
    assert list(tmp_path.iterdir()) == []


def test_no_folder_stays_behind_a_study_that_could_not_be_opened(tmp_path):
    for url in ("sqlite:////no/such/folder/x.db", f"sqlite:///{tmp_path}"):
        with pytest.raises(StudyError):
            _open(tmp_path / "runs", storage_url=url)
    assert list(tmp_path.iterdir()) == []
    with sqlite3.connect(tmp_path / "studies.db") as database:
        database.execute("create table trials (number integer)")  # not Optuna's
    with pytest.raises(StudyError):
        _open(tmp_path / "runs", storage_url=f"sqlite:///{tmp_path}/studies.db")
    assert not (tmp_path / "runs").exists()


# ------------------------------------------------------------------------------------- the login

LOGINS = [
    "postgresql://ann:planted@127.0.0.1:1/studies",
    "postgresql+psycopg://ann:plan%74ed@127.0.0.1:1/studies?sslpassword=planted",
    "mysql+pymysql://:planted@127.0.0.1:1/studies",
]


@pytest.mark.parametrize("url", LOGINS)
def test_a_login_is_in_no_file_and_no_text(tmp_path, url, capsys):
    """A folder and a study as a search leaves them, whose job has a login in both places."""
    tune = {"space": RATES, "storage_url": url, "warm_start": [f"{url}#earlier"]}
    config = TuneConfig.from_dict(tune)
    job = JobConfig.from_dict({**job_of(tmp_path).to_dict(), "tune": tune})
    with _open(tmp_path, job=job) as study:
        _run(study, 2)
    tracking = SearchTracking(
        tmp_path / "s", job.track, name="s", fingerprints={},
        job_config={**job.to_dict(), "tune": config.to_dict()},
    )  # fmt: skip
    tracking.start(False)
    tracking.close("finished")
    result = read_result(tmp_path, "s")
    result.write(tmp_path / "s")
    texts = [path.read_bytes().decode("utf-8", "replace") for path in (tmp_path / "s").rglob("*")]
    texts += [repr(config), str(job), job.to_toml(), job.fingerprint(), repr(Tuner(job, config))]
    assert len(texts) > 8
    for text in texts:
        assert "planted" not in text
        assert "plan%74ed" not in text
    tuner = Tuner(job, config, trials=7)
    assert isinstance(tuner.config.storage_url, PublicUrl)
    assert tuner.config.storage_url.whole == url


@pytest.mark.parametrize("url", LOGINS)
@pytest.mark.parametrize(
    "wrong", [{"trails": 3}, {"sampler": "tpee"}, {"points": [{"a": 1}]}], ids=str
)
def test_a_login_is_in_no_traceback(tmp_path, url, wrong):
    fields = {"space": SPACE, "objectives": GOAL, "storage_url": url, "warm_start": [f"{url}#x"]}
    with pytest.raises(QStoreError) as caught:
        _open(tmp_path, **{**fields, **wrong})
    said = "".join(traceback.format_exception(caught.value)) + json.dumps(caught.value.as_dict())
    assert "planted" not in said
    assert "plan%74ed" not in said


def test_a_login_that_an_earlier_version_kept_is_not_passed_on(tmp_path, url):
    login = "postgresql://ann:planted@db/studies"
    with _open(tmp_path, storage_url=url) as study:
        _run(study, 2)
    kept = optuna.load_study(study_name="s", storage=url)
    recipe = kept.user_attrs["qstore"]
    job = {**recipe["job"], "tune": {"storage_url": login, "warm_start": [f"{login}#earlier"]}}
    kept.set_user_attr("qstore", {**recipe, "job": {**job, "track": {"mlflow_uri": login}}})
    result = read_result(tmp_path, "s")
    assert "planted" not in str(result)
    assert result.job["tune"]["storage_url"] == "postgresql://ann@db/studies"
    with _open(tmp_path, storage_url=url, existing="resume"):
        assert "planted" not in str(_attributes(url))


def test_the_login_comes_from_the_url_or_the_environment(monkeypatch):
    for name in ("URI", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"QSTORE_STORAGE_{name}", raising=False)
    kept = str(PublicUrl("postgresql://ann:pw@db/studies"))
    assert kept == "postgresql://ann@db/studies"
    assert address.with_login(PublicUrl("postgresql://ann:pw@db/studies")).password == "pw"
    assert address.with_login(kept).password is None
    monkeypatch.setenv("QSTORE_STORAGE_PASSWORD", "p@ss/word")
    found = address.with_login(kept)
    assert (found.username, found.password) == ("ann", "p@ss/word")
    assert address.with_login("sqlite:///x.db").password is None
    monkeypatch.setenv("QSTORE_STORAGE_USERNAME", "bob")
    assert address.with_login("postgresql://db/studies").username == "bob"
    assert address.with_login(kept).username == "ann"


def test_urls_name_one_database_whoever_logs_in():
    url = "postgresql://ann:pw@db:5432/studies"
    assert address.same_database(url, "postgresql+psycopg://bob@db:5432/studies?sslmode=require")
    assert not address.same_database(url, "postgresql://ann@db:5432/other")
    assert not address.same_database(url, "mysql://ann@db:5432/studies")
    relative = os.path.relpath("/data/studies.db")
    assert address.same_database(f"sqlite:///{relative}", "sqlite:////data/studies.db?timeout=3")


def test_the_record_of_a_folder_has_no_login(tmp_path):
    (tmp_path / "config.toml").write_text('[tune]\nstorage_url = "sqlite:///x.db"\n')
    assert recorded_url(tmp_path) == "sqlite:///x.db"
    (tmp_path / "run.json").write_text("{}")
    assert recorded_url(tmp_path) is None
    assert "pw" not in address.absolute("postgresql://ann:pw@db/studies?password=pw")
