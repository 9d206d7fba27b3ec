"""Runs in MLflow: parameters, one point an epoch of every metric, tags, figures, the way it ended.

Only `MlflowClient` is used, with the run's id in every call: MLflow's global active run and global
store stay as the user's own program left them. The id is kept in the run folder, so that a resumed
attempt continues the same MLflow run, and before anything is logged again the store is asked what
it has: no point is logged twice, and `finish` fills every gap from the metrics file.

MLflow is imported when a run starts (it takes seconds), by the tracker's thread. Unless the
environment says otherwise, its telemetry stays off, it prints nothing, and a server that does not
answer is given up after seconds rather than MLflow's own minutes.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from qstore_ray.errors import MissingDependencyError, RunError
from qstore_ray.track.base import Outcome, Record, RunInfo, Status, write_atomically
from qstore_ray.track.config import TrackConfig, artifact_folder, default_uri
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.track.text import (
    as_text,
    cut,
    flatten,
    is_number,
    leaves,
    metrics_of,
    redact,
    redact_text,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

T = TypeVar("T")
Point: TypeAlias = tuple[str, int, float]
"""A metric's name, the epoch, the value."""
RUN_ID_FILE: Final = "mlflow_run_id"
_STATUS: Final[Mapping[str, str]] = {
    "finished": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
_ATTEMPT_TAGS: Final = ("generation", "workers", "rows", "parameters")
_LONGEST_PARAM: Final = 6000
_LONGEST_TAG: Final = 5000
_MOST_PARAMS: Final = 100  # in one request; so many tags too
_MOST_METRICS: Final = 1000
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


class MLflowTracker:
    """Records one run in MLflow.

    Args:
        config: where; `TrackConfig.mlflow_uri` None means `mlflow.db` beside the run folders.
    """

    name = "mlflow"

    def __init__(self, config: TrackConfig) -> None:
        self._config = config
        self._logged: set[tuple[str, int]] | None = None
        self._attempt: Record = {}

    def start(self, run: RunInfo) -> None:
        """Open the store and create the MLflow run, or continue the one named in the run folder."""
        _load_mlflow()
        from mlflow.tracking import MlflowClient

        self._run = run
        self._uri = self._config.mlflow_uri or default_uri(run.run_dir.parent)
        with self._translated("open the run"):
            self._client = MlflowClient(tracking_uri=self._uri)
            self._run_id = self._continued() or self._created(run)
            self._describe()

    def epoch(self, record: Record) -> None:
        """Log every number of an epoch record, with the epoch as MLflow's step."""
        with self._translated("log an epoch"):
            self._log_epochs([record])

    def finish(self, status: Status, summary: Mapping[str, Any], artifacts: Sequence[Path]) -> None:
        """Fill gaps from the metrics file, log summary and files; the run is RUNNING no more."""
        self._logged = None
        with self._translated("finish the run"):
            try:
                epochs = epoch_records(read_records(self._run.metrics_path))
                self._log_epochs(epochs)
                self._tag_attempt()
                self._log_summary(redact(summary), epochs[-1]["epoch"] if epochs else 0)
                self._log_artifacts(artifacts)
            finally:
                self._client.set_terminated(self._run_id, _STATUS[status], self._last_written())

    def _continued(self) -> str | None:
        path = self._run.run_dir / RUN_ID_FILE
        if not path.exists():
            return None
        run_id = path.read_text(encoding="utf-8").strip()
        self._client.get_run(run_id)  # raises where this store does not know it
        self._client.update_run(run_id, status="RUNNING", name=self._run.name)
        self._logged = None
        return run_id

    def _created(self, run: RunInfo) -> str:
        experiment = _experiment_id(
            self._client, self._config.experiment, artifact_folder(self._uri, run.run_dir.parent)
        )
        run_id: str = self._client.create_run(experiment, run_name=run.name).info.run_id
        write_atomically(run.run_dir / RUN_ID_FILE, run_id + "\n")
        self._logged = set()
        return run_id

    def _describe(self) -> None:
        """Parameters and tags; a parameter that a resumed run changed is kept as a tag, since
        MLflow's parameters cannot change.
        """
        from mlflow.entities import Param

        known = self._client.get_run(self._run_id).data.params
        params = flatten(redact(self._run.config), _LONGEST_PARAM)
        new = {key: value for key, value in params.items() if key not in known}
        changed = {k: v for k, v in params.items() if k in known and known[k] != v}
        tags = {
            "run_dir": str(self._run.run_dir.resolve()),
            **{f"fingerprint.{name}": value for name, value in self._run.fingerprints.items()},
            **{f"resumed_with.{key}": value for key, value in changed.items()},
            **redact(self._config.tags),
            **redact(self._run.tags),
        }
        for some in _chunks([Param(*item) for item in new.items()], _MOST_PARAMS):
            self._client.log_batch(self._run_id, params=some)
        self._tag(tags)

    def _log_epochs(self, records: Sequence[Record]) -> None:
        self._log_points(
            (key, int(record["epoch"]), value)
            for record in records
            for key, value in metrics_of(record)
        )
        if not self._attempt:
            self._tag_attempt()

    def _log_points(self, points: Iterable[Point]) -> None:
        """Log what the store does not have yet. Where a request fails, nobody knows whether it
        was carried out, so the store is asked again next time.
        """
        from mlflow.entities import Metric

        logged = self._stored_points() if self._logged is None else self._logged
        self._logged = None
        fresh = [point for point in points if point[:2] not in logged]
        now = int(1000 * time.time())
        metrics = [Metric(key, value, now, step) for key, step, value in fresh]
        for some in _chunks(metrics, _MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=some)
        self._logged = logged | {point[:2] for point in fresh}

    def _stored_points(self) -> set[tuple[str, int]]:
        keys = self._client.get_run(self._run_id).data.metrics
        return {
            (key, point.step)
            for key in keys
            for point in self._client.get_metric_history(self._run_id, key)
        }

    def _tag_attempt(self) -> None:
        """Tag the run with the generation, worker count and size of the latest attempt."""
        starts = [r for r in read_records(self._run.metrics_path) if r.get("event") == "start"]
        self._attempt = starts[-1] if starts else {}
        tags = {key: self._attempt[key] for key in _ATTEMPT_TAGS if key in self._attempt}
        self._tag({key: as_text(value) for key, value in tags.items()})

    def _log_summary(self, summary: Mapping[str, Any], last_epoch: int) -> None:
        """Under `summary.`: numbers as metrics at the last epoch, everything else as tags."""
        flat = list(leaves(summary, "summary."))
        self._log_points((key, last_epoch, float(v)) for key, v in flat if is_number(v))
        self._tag({key: as_text(value) for key, value in flat if not is_number(value)})

    def _log_artifacts(self, artifacts: Sequence[Path]) -> None:
        """Upload files and folders under the path they have in the run folder."""
        root = self._run.run_dir.resolve()
        for path in (given.resolve() for given in artifacts):
            folder = path.relative_to(root).parent if path.is_relative_to(root) else Path()
            target = None if folder == Path() else folder.as_posix()
            self._client.log_artifact(self._run_id, str(path), target)

    def _tag(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        texts = [RunTag(key, cut(value, _LONGEST_TAG)) for key, value in tags.items()]
        for some in _chunks(texts, _MOST_PARAMS):
            self._client.log_batch(self._run_id, tags=some)

    def _last_written(self) -> int:
        """When the metrics file was last written, in milliseconds: a late `sync` ends no later."""
        path = self._run.metrics_path
        return int(1000 * (path.stat().st_mtime if path.exists() else time.time()))

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Turn the errors of MLflow, its database driver and its HTTP client into `RunError`."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as exc:
            raise RunError(
                f"MLflow could not {doing}: {_reason(exc)}",
                field="track.mlflow_uri",
                value=redact_text(self._uri),
                fix="The run folder keeps all of it; qstore_ray.track.mlflow.sync copies it later.",
            ) from exc


def sync(run_dir: Path, config: TrackConfig) -> None:
    """Bring MLflow up to date from a run folder alone, after its store was away.

    For a run that is over: one whose driver was killed counts as interrupted.

    Raises:
        RunError: no run in that folder, or the store still does not answer.
    """
    run, outcome = RunInfo.load(run_dir)
    ended = outcome or Outcome(status="interrupted")
    tracker = MLflowTracker(config)
    tracker.start(run)
    tracker.finish(ended.status, ended.summary, [p for p in ended.artifacts if p.exists()])


def _load_mlflow() -> None:
    """Import MLflow, which reads its environment first, and keep its own loggers to warnings.

    The database logger goes silent: it prints the traceback of an error that is raised here too.
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


def _experiment_id(client: MlflowClient, name: str, artifacts: str | None) -> str:
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


def _reason(exc: BaseException) -> str:
    """The first line of the error at the root (connection refused, database is locked), if any."""
    chain: list[BaseException] = [exc]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    roots = [error for error in chain if isinstance(error, OSError | sqlite3.Error)]
    text = str((roots or chain[:1])[-1]).strip() or type(exc).__name__
    return redact_text(cut(text.splitlines()[0], 300))


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
