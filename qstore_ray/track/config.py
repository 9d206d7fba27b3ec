"""Configuration of the trackers: the `track` part of a job."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

from pydantic import Field, field_validator

from qstore_ray.config import Config
from qstore_ray.credentials import PublicUrl
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.files import real_path
from qstore_ray.track.base import TRACKERS
from qstore_ray.types import Table

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https", "databricks")


class AlertsConfig(Config):
    """Where a run's alerts are sent, beside the log in the folder of the runs.

    Args:
        webhook: a URL that gets each alert; None is the variable QSTORE_WEBHOOK, or none. The URL
            is kept with the run, so one that is itself a secret belongs into the variable.
        secret_file: a file of mode 0600 with the secret that signs the messages; None is the
            variable QSTORE_WEBHOOK_SECRET, or no signature.
    """

    webhook: str | None = Field(default=None, min_length=1)
    secret_file: str | None = Field(default=None, min_length=1)


class TrackConfig(Config):
    """The trackers that record a run, beside the metrics file that is always written.

    Args:
        mlflow: record in MLflow.
        mlflow_uri: a database (`sqlite:////data/mlflow.db`, `postgresql://…`) or a server
            (`http://127.0.0.1:5000`). None is MLFLOW_TRACKING_URI, or else the file
            `mlflow.db` beside the run folders. A login in it is used to connect and is never
            written to a file; see `qstore_ray.credentials`.
        experiment: the MLflow experiment of the runs; created if missing. None is
            MLFLOW_EXPERIMENT_NAME, or else `qstore_ray`.
        mlflow_system_metrics: record processor and memory use of the driver process every epoch,
            as `system/cpu_percent` and `system/peak_memory_mib`.
        tensorboard: write TensorBoard's event files into `<run folder>/tensorboard/`.
        wandb: record in Weights & Biases: "offline" keeps a copy in the run folder, which
            `wandb sync` uploads later and which opens no connection; "online" sends it at once,
            with the user's own login.
        wandb_project: the W&B project that runs are listed under.
        wandb_entity: the W&B user or team; None is the one of the login.
        alerts: watch the run for faults, such as a loss that jumps, and log and send alerts; a
            table, which may be empty. None watches nothing.
        trackers: trackers of other packages by name, each with a table of its options:
            `[track.trackers.mine]`. A package declares one in the entry-point group
            `qstore_ray.trackers`.
        figures: draw the figures and write `report.html` when a run ends, which takes a second or
            two.
        tags: tags for every run.

    Examples:
        config = TrackConfig(mlflow=False, tensorboard=True, tags={"team": "botany"})
        assert config.wandb == "off"
    """

    mlflow: bool = True
    mlflow_uri: str | None = None
    experiment: str | None = Field(default=None, min_length=1, max_length=256)
    mlflow_system_metrics: bool = False
    tensorboard: bool = False
    wandb: Literal["off", "offline", "online"] = "off"
    wandb_project: str = Field(default="qstore_ray", min_length=1, max_length=128)
    wandb_entity: str | None = Field(default=None, min_length=1)
    alerts: AlertsConfig | None = None
    trackers: dict[str, Table] = Field(default_factory=dict)
    figures: bool = True
    tags: dict[str, str] = Field(default_factory=dict)

    # Pydantic makes a plain text of a PublicUrl, so what it was given is looked at, too.
    @field_validator("mlflow_uri", mode="wrap")
    @classmethod
    def _database_or_server(cls, given: Any, check: Callable[[Any], str | None]) -> str | None:
        uri = check(given)
        if uri is None:
            return None
        _checked(uri)
        return given if isinstance(given, PublicUrl) else PublicUrl(uri)

    @field_validator("trackers")
    @classmethod
    def _are_known(cls, trackers: dict[str, Table]) -> dict[str, Table]:
        for name, options in trackers.items():
            _check_tracker(name, options)
        return trackers

    def wanted(self) -> dict[str, Table]:
        """The names of the trackers that are switched on, each with its options."""
        asked = {
            "mlflow": self.mlflow,
            "tensorboard": self.tensorboard,
            "wandb": self.wandb != "off",
            "alerts": self.alerts is not None,
        }
        return {name: {} for name, on in asked.items() if on} | self.trackers


def _check_tracker(name: str, options: Table) -> None:
    if name not in TRACKERS:
        raise unknown_name_error("tracker", name, TRACKERS)
    if name in TRACKERS.built_in():
        raise ConfigError(
            f"the tracker {name} has fields of its own",
            value=name,
            fix=f"Set track.{name} and leave it out of here.",
        )
    if not options:
        return  # and so the tracker's module is not imported for this
    known = inspect.signature(TRACKERS[name]).parameters
    for option in options:
        if option not in known:
            raise unknown_name_error("option", option, list(known)[1:], field=name)


def _checked(uri: str) -> str:
    scheme, colon, rest = uri.partition("://")
    kind = scheme.partition("+")[0].lower()
    if kind == "sqlite" and rest.partition("?")[0] in {"", "/", "/:memory:"}:
        raise ConfigError(
            "a database in memory is lost when the run ends",
            value=uri,
            fix="Name a file: sqlite:////data/mlflow.db.",
        )
    if not colon or kind not in (*_DATABASES, *_SERVERS):
        raise ConfigError(
            "MLflow keeps runs in a database or on a server, no longer in a folder of files",
            value=scheme if colon else uri,
            fix="Write sqlite:////data/mlflow.db (four slashes before an absolute path) or "
            "http://127.0.0.1:5000, or leave it out for mlflow.db beside the run folders.",
        )
    return uri


def default_uri(storage: Path) -> str:
    """The store of runs whose configuration names none: MLFLOW_TRACKING_URI, else a sqlite file in
    the folder that holds the run folders.

    Raises:
        ConfigError: the variable names no store that MLflow has.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI")
    if not named:
        return sqlite_uri(storage / "mlflow.db")
    try:
        return PublicUrl(_checked(named))
    except ConfigError as exc:
        exc.field = "MLFLOW_TRACKING_URI"
        raise


def default_experiment() -> str:
    """The default experiment of a run: MLFLOW_EXPERIMENT_NAME, else qstore_ray."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or "qstore_ray"


def sqlite_uri(file: Path) -> str:
    """The URI of a sqlite file; `sqlite_file` takes it back.

    MLflow hands it to SQLAlchemy, which reads a path up to `?` and as it is written: a `?` needs
    sqlite's own kind of URI, in which `?`, `#` and `%` are escaped. With the driver named, MLflow
    does not take `file:…` for the path of a folder that it has to make.
    """
    path = real_path(file).as_posix()
    if not set(path) & set("?#%"):
        return f"sqlite:///{path}"
    return f"sqlite+pysqlite:///file:{quote(quote(path), safe='/')}?uri=true"


def sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite URI; None for any other."""
    scheme, _, rest = uri.partition("://")
    if scheme.partition("+")[0].lower() != "sqlite":
        return None
    path, _, options = rest.partition("?")
    path = path.removeprefix("/")
    if "uri=true" in options.split("&"):
        path = unquote(unquote(path.removeprefix("file:")))
    return Path(path)


def is_server(uri: str) -> bool:
    """Whether the store is a server, not a database."""
    return uri.partition("://")[0].lower() in _SERVERS


def artifact_folder(uri: str, storage: Path) -> str | None:
    """URI of MLflow's artifact folder: beside the sqlite file, else beside the run folders.

    None for a server, which has its own artifact store.
    """
    if is_server(uri):
        return None
    file = sqlite_file(uri)
    folder = storage if file is None else file.parent
    return (real_path(folder) / "mlflow-artifacts").as_uri()
