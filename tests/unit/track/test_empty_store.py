"""The tables of MLflow are made once on a machine, and copied into each store that is created."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import mlflow.store.db.utils
import pytest

from qstore_ray.track.config import sqlite_uri
from qstore_ray.track.mlflow.store import open_client


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "qstore_ray" / "mlflow"


@pytest.fixture
def migrated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stores for which MLflow made the tables."""
    made: list[str] = []
    real = mlflow.store.db.utils._initialize_tables

    def noted(engine):
        made.append(str(engine.url))
        real(engine)

    monkeypatch.setattr(mlflow.store.db.utils, "_initialize_tables", noted)
    return made


def _opened(folder: Path, name: str) -> Path:
    """A store that was created, with an experiment of ours."""
    (folder / name).mkdir()
    file = folder / name / "mlflow.db"
    client = open_client(sqlite_uri(file))
    number = client.create_experiment("ours")
    assert client.get_experiment(number).name == "ours"
    assert client.get_experiment("0").name == "Default"
    return file


def _read(file: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(file)) as store:
        return store.execute(query).fetchall()


def _tables(file: Path) -> list[tuple]:
    rows = "SELECT version_num FROM alembic_version"
    return _read(file, "SELECT type, name, sql FROM sqlite_master ORDER BY 2") + _read(file, rows)


def test_a_second_store_has_what_the_first_has_without_a_migration(
    tmp_path, cache, migrated, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first = _opened(tmp_path, "first-folder")
    assert len(migrated) == 1
    (kept,) = cache.iterdir()
    assert kept.name == f"empty-{mlflow.__version__}.db"
    assert _read(kept, "SELECT * FROM experiments") == []
    assert str(tmp_path).encode() not in kept.read_bytes(), "the path of another store is kept"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    second = _opened(tmp_path, "second-folder")
    assert len(migrated) == 1
    assert _tables(second) == _tables(first)
    where = "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
    assert _read(second, where) == [(f"{tmp_path}/elsewhere/mlruns/0",)]
    assert [path.name for path in second.parent.iterdir()] == ["mlflow.db"]
    assert [path.name for path in cache.iterdir()] == [kept.name]


@pytest.mark.parametrize("damage", [b"", b"no database", None], ids=["empty", "text", "cut"])
def test_a_damaged_file_is_made_again(tmp_path, cache, migrated, damage):
    _opened(tmp_path, "first")
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    _opened(tmp_path, "second")
    _opened(tmp_path, "third")
    assert len(migrated) == 2
    assert _read(kept, "SELECT name FROM workspaces") == [("default",)]


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, cache, migrated):
    (tmp_path / "cache").write_text("a file")
    _opened(tmp_path, "first")
    _opened(tmp_path, "second")
    assert len(migrated) == 2


def test_without_a_home_nothing_is_kept(tmp_path, migrated, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr("qstore_ray.files.os.path.expanduser", lambda path: path)
    monkeypatch.chdir(tmp_path)
    _opened(tmp_path, "first")
    assert {path.name for path in tmp_path.iterdir()} == {"first"}
    assert len(migrated) == 1
