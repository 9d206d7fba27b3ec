"""Where MLflow keeps runs: what is taken, what is refused with the way out."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from qstore_ray.errors import ConfigError
from qstore_ray.track.config import (
    TrackConfig,
    artifact_folder,
    default_uri,
    sqlite_file,
    sqlite_uri,
)
from qstore_ray.track.follow import open_trackers
from qstore_ray.track.mlflow.store import open_client


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "sqlite:////data/mlflow.db",
        "sqlite:///mlflow.db?timeout=1",
        "postgresql://db.local/runs",
        "postgresql+psycopg2://me:secret@db.local/runs",
        "mysql+pymysql://db/runs",
        "http://127.0.0.1:5000",
        "https://mlflow.local",
    ],
)
def test_databases_and_servers_are_taken(uri: str | None):
    config = TrackConfig(mlflow_uri=uri)
    assert TrackConfig.from_dict(config.to_dict()) == config
    assert config.mlflow_uri == (uri and uri.replace(":secret@", "@"))


@pytest.mark.parametrize(
    "uri",
    ["file:///data/mlruns", "file:mlruns", "mlruns", "./mlruns", "/data/mlruns", "oracle://x/y"],
)
def test_folders_of_files_are_refused_with_what_to_write(uri: str):
    with pytest.raises(ConfigError) as caught:
        TrackConfig(mlflow_uri=uri)
    assert caught.value.field == "mlflow_uri"
    assert "sqlite:////data/mlflow.db" in caught.value.fix


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(uri: str):
    with pytest.raises(ConfigError, match="lost when the run ends"):
        TrackConfig(mlflow_uri=uri)


def test_an_experiment_has_a_name():
    with pytest.raises(ConfigError):
        TrackConfig(experiment="")


def test_the_default_store_lies_beside_the_run_folders(tmp_path: Path):
    uri = default_uri(tmp_path)
    assert TrackConfig(mlflow_uri=uri).mlflow_uri == uri
    assert Path(uri.removeprefix("sqlite:///")) == tmp_path.resolve() / "mlflow.db"


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("sqlite:////data/of mine/mlflow.db?timeout=1", "/data/of mine/mlflow-artifacts"),
        ("postgresql://db/runs", "/storage/mlflow-artifacts"),
    ],
)
def test_files_lie_beside_the_database_or_the_run_folders(uri: str, folder: str):
    found = artifact_folder(uri, Path("/storage"))
    assert found is not None
    assert unquote(urlparse(found).path) == folder


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "https://mlflow.local"])
def test_a_server_decides_where_files_lie(uri: str):
    assert artifact_folder(uri, Path("/storage")) is None


def test_trackers_are_opened_as_configured():
    assert [tracker.name for tracker in open_trackers(TrackConfig())] == ["mlflow"]
    assert open_trackers(TrackConfig(mlflow=False)) == ()


@pytest.mark.parametrize("name", ["plain", "a?b", "a#b", "a%20b", "a?b#c%d ü"])
def test_a_store_in_a_folder_of_any_name_is_made_there_and_nowhere_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here, storage = tmp_path / "here", tmp_path / name
    here.mkdir()
    storage.mkdir()
    monkeypatch.chdir(here)
    uri = sqlite_uri(storage / "mlflow.db")
    assert sqlite_file(uri) == storage / "mlflow.db"
    assert TrackConfig(mlflow_uri=uri).mlflow_uri == uri
    open_client(uri).search_experiments()
    assert list(here.iterdir()) == []
    assert [path.name for path in storage.iterdir()] == ["mlflow.db"]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that declares a tracker, installed as pip would leave it."""
    (tmp_path / "ledgers.py").write_text(
        "class Ledger:\n"
        "    name = 'ledger'\n"
        "    def __init__(self, config, file='ledger.txt'):\n"
        "        self.file = file\n"
        "    def start(self, run): ...\n"
        "    def epoch(self, record): ...\n"
        "    def finish(self, status, summary, artifacts): ...\n"
    )
    info = tmp_path / "ledgers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ledgers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[qstore_ray.trackers]\nledger = ledgers:Ledger\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("ledger")
def test_a_tracker_that_another_package_declares_is_opened_with_its_options():
    config = TrackConfig(mlflow=False, trackers={"ledger": {"file": "all.txt"}})
    (opened,) = open_trackers(config)
    assert (opened.name, opened.file) == ("ledger", "all.txt")
    assert TrackConfig.from_dict(config.to_dict()) == config


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("trackers", "field", "words"),
    [
        ({"leger": {}}, "trackers", "Did you mean 'ledger'"),
        ({"mlflow": {}}, "trackers", "Set track.mlflow"),
        ({"ledger": {"fil": "x"}}, "trackers.ledger", "Did you mean 'file'"),
    ],
)
def test_a_wrong_tracker_or_option_is_refused_where_it_is_written(trackers, field, words):
    with pytest.raises(ConfigError) as caught:
        TrackConfig(trackers=trackers)
    assert caught.value.field == field
    assert words in caught.value.fix
