"""What the errors of databases mean, and a search whose database is away for a while."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from qstore_ray.errors import MissingDependencyError, StudyError
from qstore_ray.tune.study import storage_errors
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.study.storage_errors import translated, while_away
from qstore_ray.tune.study.study import Study
from qstore_ray.tune.study.trouble import Trouble, trouble_of
from tests.unit.tune.test_study import _open

FAILED = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


class DriverError(Exception):
    """As a database's driver raises it: a text, and maybe a SQLSTATE or a number."""

    def __init__(self, *args: object, sqlstate: str | None = None) -> None:
        super().__init__(*args)
        self.sqlstate = sqlstate


def _raised(error: Exception) -> OperationalError:
    return OperationalError("SELECT 1", {}, error)


# What psycopg 3.3 with PostgreSQL 15, PyMySQL and sqlite3 have raised.
SEEN = [
    (DriverError(f'{FAILED}FATAL:  password authentication failed for user "ann"'), Trouble.LOGIN),
    (DriverError(f"{FAILED}fe_sendauth: no password supplied"), Trouble.LOGIN),
    (DriverError(f'{FAILED}FATAL:  no pg_hba.conf entry for host "10.0.0.1"'), Trouble.LOGIN),
    (DriverError(f'{FAILED}FATAL:  database "nope" does not exist'), Trouble.NO_DATABASE),
    (DriverError(f"{FAILED}Connection refused\n\tIs the server running?"), Trouble.AWAY),
    (DriverError("failed to resolve host 'db': [Errno -2] Name not known"), Trouble.AWAY),
    (DriverError("the connection is closed"), Trouble.AWAY),
    (DriverError("consuming input failed: server closed the connection"), Trouble.AWAY),
    (DriverError("la base de données s'arrête", sqlstate="57P01"), Trouble.AWAY),
    (DriverError("trop de clients", sqlstate="53300"), Trouble.AWAY),
    (DriverError("permission denied for schema public", sqlstate="42501"), Trouble.RIGHTS),
    (DriverError("droit refusé pour le schéma public", sqlstate="42501"), Trouble.RIGHTS),
    (DriverError("no room", sqlstate="53100"), Trouble.FULL),
    (DriverError(1045, "Access denied for user 'ann'@'host' (using password: YES)"), Trouble.LOGIN),
    (DriverError(1049, "Unknown database 'nope'"), Trouble.NO_DATABASE),
    (DriverError(1142, "CREATE command denied to user 'ann'@'host'"), Trouble.RIGHTS),
    (DriverError(2003, "Can't connect to MySQL server on 'db' (111)"), Trouble.AWAY),
    (DriverError(2013, "Lost connection to MySQL server during query"), Trouble.AWAY),
    (DriverError("database is locked"), Trouble.LOCKED),
    (DriverError("unable to open database file"), Trouble.NO_FILE),
    (DriverError("attempt to write a readonly database"), Trouble.READ_ONLY),
    (DriverError("database or disk is full"), Trouble.FULL),
    (DriverError("file is not a database"), Trouble.DAMAGED),
    (DriverError("value too long for type character varying(512)"), Trouble.OTHER),
]


@pytest.mark.parametrize(("error", "trouble"), SEEN, ids=lambda value: str(value)[-40:])
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "by Optuna"])
def test_each_kind_of_error_of_a_database_reads_differently(error, trouble, wrapped):
    raised: Exception = _raised(error)
    if wrapped:
        inner, raised = raised, StorageInternalError("An exception is raised during the commit.")
        raised.__cause__ = inner
    assert trouble_of(raised) is trouble
    with pytest.raises(StudyError) as caught, translated("postgresql://db/studies"):
        raise raised
    assert caught.value.value == "postgresql://db/studies"
    assert caught.value.fix
    assert "--" not in caught.value.fix


def test_every_kind_has_a_message_of_its_own():
    messages = set()
    for error, _ in SEEN:
        with pytest.raises(StudyError) as caught, translated("x"):
            raise _raised(error)
        messages.add(caught.value.message)
    assert len(messages) == len(Trouble)


@pytest.mark.parametrize(
    ("url", "install"),
    [
        ("postgresql://ann@db/studies", "pip install 'psycopg[binary]'"),
        ("postgresql+psycopg2://ann@db/studies", "postgresql+psycopg://"),
        ("mysql://ann@db/studies", "mysql+pymysql://"),
        ("mysql+pymysql://ann@db/studies", "pip install PyMySQL"),
    ],
)
def test_the_driver_that_is_missing_is_named(tmp_path, url, install):
    with pytest.raises(MissingDependencyError) as caught:
        _open(tmp_path / "runs", storage_url=url)
    assert install in caught.value.fix
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------- a database that is away


def _away() -> OperationalError:
    return _raised(DriverError("server closed the connection unexpectedly"))


def test_a_database_that_is_away_for_a_while_is_waited_for_and_it_is_said_once(capsys):
    answers = [_away(), _away(), 7]

    def call() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert while_away(call, "postgresql://db/studies", threading.Event()) == 7
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["warning", "note"]
    assert "postgresql://db/studies cannot be reached" in said[0]


@pytest.mark.parametrize("trouble", ["database is locked", "no such table: trials", "odd"])
def test_only_a_lost_connection_is_waited_for(trouble):
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise _raised(DriverError(trouble))

    with pytest.raises(OperationalError):
        while_away(call, "x", threading.Event())
    assert len(calls) == 1


def test_a_search_that_is_to_stop_or_has_waited_long_enough_waits_no_longer(monkeypatch, capsys):
    leave = threading.Event()

    def call() -> None:
        leave.set()
        raise _away()

    with pytest.raises(OperationalError):
        while_away(call, "x", leave)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(storage_errors, "AWAY_SECONDS", 0)
    with pytest.raises(OperationalError):
        while_away(call, "x", threading.Event())


class Outage:
    """The connection of a study's engine is lost once, at the n-th statement or commit.

    After a commit, what was written is there, and only the answer is lost.
    """

    def __init__(self, study: Study, kind: str, at: int) -> None:
        engine = study._study._storage._backend.engine
        self.count, self._at, self._commit = 0, at, engine.dialect.do_commit
        if kind == "statement":
            event.listen(engine, "before_cursor_execute", self._lose)
        else:
            engine.dialect.do_commit = self._commit_and_lose

    def _commit_and_lose(self, connection: sqlite3.Connection) -> None:
        self._commit(connection)
        self._lose()

    def _lose(self, *_: object) -> None:
        self.count += 1
        if self.count == self._at:
            raise sqlite3.OperationalError("server closed the connection unexpectedly")


def _searched(folder: Path, kind: str, at: int, tune: Callable[[Study], None]) -> int:
    """How many statements or commits a search of three trials has; it is whole at the end."""
    url = f"sqlite:///{folder}/studies.db"
    with _open(folder, storage_url=url, sampler="tpe", trials=3) as study:
        outage = Outage(study, kind, at)
        tune(study)
    result = read_result(folder, "s")
    done = {"completed": 3}
    assert result.statuses in (done, {**done, "interrupted": 1}), (kind, at)
    trials = [trial for trial in result.trials if trial.status == "completed"]
    assert [len(trial.epochs) for trial in trials] == [1, 1, 1]
    assert len({str(trial.parameters) for trial in trials}) == 3
    with sqlalchemy.create_engine(url).connect() as database:
        rows = database.execute(sqlalchemy.text("select state from trials")).all()
    assert {state for (state,) in rows} <= {"COMPLETE", "FAIL"}, (
        "nothing is left running or waiting"
    )
    return outage.count


def _tune(study: Study) -> None:
    while trial := study.ask():
        study.report(trial.number, 0, float(trial.number))
        study.change(trial.number, trial.values)
        study.tell(trial.number, [float(trial.number)], circuit_evaluations=3)


@pytest.mark.parametrize("kind", ["statement", "commit"])
def test_a_connection_lost_anywhere_loses_no_trial_and_makes_none_twice(tmp_path, kind, capsys):
    (tmp_path / "whole").mkdir()
    events = _searched(tmp_path / "whole", kind, 0, _tune)
    assert events > 20
    for at in range(1, events + 1, events // 8):
        folder = tmp_path / str(at)
        folder.mkdir()
        _searched(folder, kind, at, _tune)
    assert "answers again" in capsys.readouterr().err
