"""Opening an MLflow store, and what its errors mean; shared by tracker and model registry.

MLflow is imported when it is first used (it takes seconds). Unless the environment says otherwise,
its telemetry stays off, it prints nothing, and a server that does not answer is given up after
seconds rather than MLflow's own minutes.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qstore_ray.credentials import login_url, redact_text
from qstore_ray.errors import MissingDependencyError, RunError, first_line
from qstore_ray.track.config import (
    TrackConfig,
    default_experiment,
    default_uri,
    sqlite_file,
    sqlite_uri,
)
from qstore_ray.track.logs.text import cut
from qstore_ray.track.mlflow.empty_store import copy_empty, keep_empty

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

RUN_ID_FILE: Final = "mlflow_run_id"
"""The file of a run folder that names the run in MLflow."""

_LOGGERS: Final[Mapping[str, int]] = {
    "mlflow": logging.WARNING,
    "alembic": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
}
_ENVIRONMENT: Final[Mapping[str, str]] = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def load_mlflow() -> None:
    """Import MLflow, which reads its environment first, and keep its own loggers to warnings.

    The database logger goes silent: it prints the traceback of an error that is raised here too.

    Raises:
        MissingDependencyError: MLflow cannot be imported.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow.tracking  # noqa: F401  (the seconds it takes are spent here)
    except ImportError as exc:
        raise MissingDependencyError(
            f"MLflow cannot be imported: {exc}",
            field="track.mlflow",
            fix="Install it with `pip install mlflow`, or set track.mlflow=false.",
        ) from exc
    for logger, level in _LOGGERS.items():
        logging.getLogger(logger).setLevel(level)


def open_client(uri: str) -> MlflowClient:
    """A client of one store, for runs and models; MLflow's own global store stays as it is."""
    load_mlflow()
    from mlflow.tracking import MlflowClient

    uri = login_url(uri, "MLFLOW_TRACKING")
    file = sqlite_file(uri)
    if file is not None:
        # MLflow keeps connections for the whole process: those to a file that the disk had no room
        # for, or that was moved, would fail every later run. The variable holds for the whole
        # process: MLflow reads it when it makes an engine, for tracking here, for the registry at
        # the first request, which may be in another thread, and takes no argument instead.
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
        # MLflow would try for minutes to open a file that cannot be opened.
        sqlite3.connect(file).close()
        if not file.stat().st_size:
            _create(file)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _create(file: Path) -> None:
    """Create a new sqlite store atomically.

    If MLflow is killed while it makes its tables, it leaves a file that it does not open again.
    """
    from mlflow import __version__
    from mlflow.tracking import MlflowClient

    # A new name each time: MLflow keeps an engine for each, and never tries one again that failed.
    part = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        copied = copy_empty(part, __version__)
        MlflowClient(tracking_uri=sqlite_uri(part)).search_experiments(max_results=1)
        if not copied:
            keep_empty(part, __version__)
        if not file.stat().st_size:  # no other process was faster
            part.replace(file)
    finally:
        for left in file.parent.glob(f"{part.name}*"):  # a full disk needs the room
            left.unlink(missing_ok=True)


def original_of(tags: Mapping[str, str], run_dir: Path, storage: Path, uri: str) -> Path | None:
    """The run folder that an MLflow run belongs to, if `run_dir` is a copy of it.

    A folder that was moved has no original any more, and neither has one that was copied together
    with the store beside it.

    Args:
        tags: of the MLflow run that `run_dir` names. uri: of the store that has it.
        storage: the folder with the store of `run_dir`, if the configuration names no store.
    """
    original = Path(tags.get("run_dir") or run_dir)
    own, other = (folder / RUN_ID_FILE for folder in (run_dir, original))
    if not other.is_file() or other.samefile(own) or other.read_bytes() != own.read_bytes():
        return None
    beside = (original / os.path.relpath(storage, run_dir)).resolve()
    own_store = uri == sqlite_uri(storage / "mlflow.db")
    return None if own_store and uri != sqlite_uri(beside / "mlflow.db") else original


def recorded_at(run_dir: Path, config: TrackConfig) -> str:
    """Store and experiment of this folder's run in MLflow; empty if MLflow does not have it."""
    if not (run_dir / RUN_ID_FILE).exists():
        return ""
    uri = redact_text(config.mlflow_uri or default_uri(run_dir.parent))
    return f"{uri}, experiment {config.experiment or default_experiment()!r}"


@contextmanager
def translated(uri: str, doing: str) -> Iterator[None]:
    """Turn the errors of MLflow, its database driver and its HTTP client into `RunError`."""
    load_mlflow()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as exc:
        _hide_logins(exc)
        raise RunError(
            f"MLflow could not {doing}: {_reason(exc)}",
            field="track.mlflow_uri",
            value=redact_text(uri),
            fix="The run folder keeps all of it; sync_run('RUN') copies it later.",
        ) from exc


def experiment_id(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """The id of the experiment of this name; created if missing, safe for concurrent callers."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # another run was faster
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def _hide_logins(exc: BaseException | None) -> None:
    """Some of these errors quote the URL; a traceback shows what they say."""
    while exc is not None:
        exc.args = tuple(redact_text(a) if isinstance(a, str) else a for a in exc.args)
        exc = exc.__cause__ or exc.__context__


def _reason(exc: BaseException) -> str:
    """The first line of the error at the root (connection refused, database is locked), if any."""
    chain: list[BaseException] = [exc]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    roots = [error for error in chain if isinstance(error, OSError | sqlite3.Error)]
    return redact_text(cut(first_line((roots or chain[:1])[-1]), 300))
