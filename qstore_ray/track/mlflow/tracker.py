"""Runs in MLflow: parameters, one point an epoch of every metric, data, figures, how it ended.

Only `MlflowClient` is used, with the run's id in every call: MLflow's global active run and global
store stay as the user's own program left them. The id is kept in the run folder, so that a resumed
attempt continues the same MLflow run, and before anything is logged again the store is asked what
it has: no point is logged twice, and `finish` fills every gap from the metrics file.

MLflow is imported when a run starts (it takes seconds), by the tracker's thread. Unless the
environment says otherwise, its telemetry stays off, it prints nothing, and a server that does not
answer is given up after seconds rather than MLflow's own minutes.
"""

from __future__ import annotations

import getpass
import json
import math
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from qstore_ray.errors import RunError
from qstore_ray.track.base import Record, RunInfo, Status, write_atomically
from qstore_ray.track.config import (
    TrackConfig,
    artifact_folder,
    default_experiment,
    default_uri,
    is_server,
    sqlite_uri,
)
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.track.logs.logging import announce
from qstore_ray.track.logs.text import as_text, cut, flatten, is_number, leaves, metrics_of, redact
from qstore_ray.track.mlflow.store import (
    RUN_ID_FILE,
    experiment_id,
    load_mlflow,
    open_client,
    original_of,
    translated,
)
from qstore_ray.track.process_usage import ProcessUsage
from qstore_ray.types import ReadOnlyTable

T = TypeVar("T")
Point: TypeAlias = tuple[str, int, float]
"""A metric's name, the epoch, the value."""
_STATUS: Final[Mapping[str, str]] = {
    "finished": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
_ATTEMPT_TAGS: Final = ("generation", "workers", "rows", "parameters")
_SECONDS_BETWEEN_REQUESTS: Final = 2.0
_ANEW: Final = "it is recorded there as a run of its own, with all epochs"
_LONGEST_PARAM: Final = 6000
_LONGEST_TAG: Final = 5000
_LONGEST_DIGEST: Final = 36
_MOST_PARAMS: Final = 100  # in one request; so many tags too
_MOST_METRICS: Final = 1000


class MLflowTracker:
    """Records one run in MLflow. Runs in the driver process, in its own thread.

    Args:
        config: the store; `TrackConfig.mlflow_uri` None means `mlflow.db` beside the run folders.
        interval: minimum seconds between two requests that log epochs.

    Examples:
        tracker = MLflowTracker(TrackConfig(experiment="flowers"))
        assert tracker.name == "mlflow"
    """

    name = "mlflow"

    def __init__(self, config: TrackConfig, *, interval: float = _SECONDS_BETWEEN_REQUESTS) -> None:
        self._config = config
        self._interval = interval
        self._logged: set[tuple[str, int]] | None = None
        self._attempt: Record = {}
        self._waiting: list[Record] = []
        self._asked = -math.inf
        self._usage = ProcessUsage()

    @property
    def longest_wait(self) -> str:
        """The time limit for a server, in words; a database has its own limits."""
        uri = self._config.mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        server = is_server(uri)
        return "a server that does not answer is given up after two minutes at most" * server

    def start(self, run: RunInfo) -> None:
        """Open the store and create the MLflow run, or continue the one named in the run folder.

        Raises:
            RunError: no answer; or MLflow does not have the parent run yet.
        """
        load_mlflow()
        self._run = run
        self._uri = self._config.mlflow_uri or default_uri(run.storage)
        self._experiment = self._config.experiment or default_experiment()
        self._parent = _parent_tag(run)
        with translated(self._uri, "open the run"):
            self._client = open_client(self._uri)
            self._run_id = self._continued() or self._created(run)
            self._describe()
        self._say_where()  # only now is it true

    def epoch(self, record: Record) -> None:
        """Log every number of an epoch record, with the epoch as MLflow's step.

        A request takes as long as many a small epoch. So epochs that follow fast are logged
        together, every `interval` seconds; `finish` logs what is left.
        """
        self._waiting.append(record)
        if time.monotonic() - self._asked < self._interval:
            return
        with translated(self._uri, "log an epoch"):
            self._log_epochs(self._waiting)
            self._asked, self._waiting = time.monotonic(), []
            if self._config.mlflow_system_metrics:
                epoch = int(record["epoch"])
                sampled = self._usage.sample().items()
                self._log_points((f"system/{key}", epoch, value) for key, value in sampled)

    def finish(self, status: Status, summary: ReadOnlyTable, artifacts: Sequence[Path]) -> None:
        """Fill gaps from the metrics file, log summary and files; the run is RUNNING no more."""
        self._logged = None
        with translated(self._uri, "finish the run"):
            try:
                epochs = epoch_records(read_records(self._run.metrics_path))
                self._log_epochs(epochs)
                self._tag_attempt()
                self._log_summary(redact(summary), epochs[-1]["epoch"] if epochs else 0)
                self._log_artifacts(artifacts)
            finally:
                self._client.set_terminated(self._run_id, _STATUS[status], self._last_written())

    def _say_where(self) -> None:
        """Report the store, if the run's configuration does not name it."""
        variables = {
            "MLFLOW_TRACKING_URI": self._config.mlflow_uri,
            "MLFLOW_EXPERIMENT_NAME": self._config.experiment,
        }
        used = [name for name, own in variables.items() if os.environ.get(name) and not own]
        if used and self._run.parent is None:
            where = f"recorded in MLflow at {self._uri}, experiment {self._experiment!r}"
            announce("note", f"{where}, as {' and '.join(used)} {'say' if used[1:] else 'says'}")

    def _continued(self) -> str | None:
        path = self._run.run_dir / RUN_ID_FILE
        if not path.exists():
            return None
        run_id = path.read_text(encoding="utf-8").strip()
        own = self._run
        tags = self._tags_of(run_id)
        if tags is None:
            announce("warning", f"{self._uri} does not have the run of {own.run_dir}; {_ANEW}")
            return None
        original = original_of(tags, own.run_dir.resolve(), own.storage.resolve(), self._uri)
        if original is not None:
            announce("note", f"{own.run_dir} is a copy of {original}; {_ANEW}")
            return None
        self._client.update_run(run_id, status="RUNNING", name=self._run.name)
        self._logged = None
        return run_id

    def _tags_of(self, run_id: str) -> Mapping[str, str] | None:
        """The tags of a run; None if it is missing from the store beside the run folders.

        Such a folder was moved, or the store was deleted. A store that the configuration names may
        be the wrong one, and raises.
        """
        from mlflow.exceptions import MlflowException

        try:
            tags: Mapping[str, str] = self._client.get_run(run_id).data.tags
        except MlflowException as exc:
            beside = self._uri == sqlite_uri(self._run.storage.resolve() / "mlflow.db")
            if exc.error_code == "RESOURCE_DOES_NOT_EXIST" and beside:
                return None
            raise
        return tags

    def _created(self, run: RunInfo) -> str:
        experiment = experiment_id(
            self._client, self._experiment, artifact_folder(self._uri, run.storage)
        )
        own = {"run_dir": str(run.run_dir.resolve()), **self._parent}
        run_id = self._left_by_a_kill(experiment, own["run_dir"]) if run.resumed else None
        if run_id is None:
            began, tags = int(1000 * run.began), {"mlflow.user": _user(), **own}
            run_id = str(self._client.create_run(experiment, began, tags, run.name).info.run_id)
        write_atomically(run.run_dir / RUN_ID_FILE, run_id + "\n")
        self._logged = set()
        return run_id

    def _left_by_a_kill(self, experiment: str, run_dir: str) -> str | None:
        """The run of this folder that an attempt created before it could write down its number."""
        quote = "'" if "'" not in run_dir else '"'
        if quote in run_dir:
            return None  # MLflow's filters cannot name such a folder
        asked = f"tags.run_dir = {quote}{run_dir}{quote} and attributes.status = 'RUNNING'"
        found = self._client.search_runs([experiment], asked, max_results=10)
        return next((str(r.info.run_id) for r in found if not r.data.metrics), None)

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
            **self._parent,
        }
        for some in _chunks([Param(*item) for item in new.items()], _MOST_PARAMS):
            self._client.log_batch(self._run_id, params=some)
        self._tag(tags)
        self._log_dataset()

    def _log_dataset(self) -> None:
        """Log the data as MLflow's dataset input, identified by their fingerprint; once a run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        digest, data = self._run.fingerprints.get("data"), self._run.config.get("dataset")
        if not digest or not isinstance(data, Mapping):
            return
        dataset = Dataset(
            name=str(data.get("name", "dataset")),
            digest=digest[:_LONGEST_DIGEST],
            source_type=str(data.get("source", "qstore_ray")),
            source=json.dumps(redact(data), default=str),
        )
        tags = [InputTag("mlflow.data.context", "training"), InputTag("fingerprint", digest)]
        self._client.log_inputs(self._run_id, [DatasetInput(dataset, tags)])

    def _log_epochs(self, records: Sequence[Record]) -> None:
        self._log_points(
            (key, int(record["epoch"]), value)
            for record in records
            for key, value in metrics_of(record)
        )
        if not self._attempt:
            self._tag_attempt()

    def _log_points(self, points: Iterable[Point], again: Collection[str] = ()) -> None:
        """Log the points that the store does not have yet, and those of the keys of `again`. If a
        request fails, its effect is unknown, so the next call reads the stored points again.
        """
        from mlflow.entities import Metric

        logged = self._stored_points() if self._logged is None else self._logged
        self._logged = None
        fresh = [p for p in points if p[:2] not in logged or p[0] in again]
        # gate: QS206 because MLflow orders what it is sent by date
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

    def _log_summary(self, summary: ReadOnlyTable, last_epoch: int) -> None:
        """Under `summary.`: numbers as metrics at the last epoch, everything else as tags.

        A number that was corrected since is logged again: of one step, MLflow shows the latest.
        """
        flat = list(leaves(summary, "summary."))
        numbers = {key: float(v) for key, v in flat if is_number(v)}
        known = self._client.get_run(self._run_id).data.metrics
        old = {key for key in numbers.keys() & known.keys() if known[key] != numbers[key]}
        points = ((key, last_epoch, value) for key, value in numbers.items())
        self._log_points(points, again=old)
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
        # gate: QS206 because it is compared with the date of a file
        written = path.stat().st_mtime if path.exists() else time.time()
        return int(1000 * max(written, self._run.began))


def _user() -> str:
    """Who trains, as the environment (LOGNAME, USER, …) or the system says."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a number without a name, as in many containers
        return str(os.getuid())


def _parent_tag(run: RunInfo) -> dict[str, str]:
    """The tag that makes MLflow show a run under its parent run."""
    if run.parent is None:
        return {}
    path = run.parent / RUN_ID_FILE
    if not path.exists():
        raise RunError(
            "MLflow does not have the run that this one is part of",
            field="run_dir",
            value=str(run.parent),
            fix=f"sync_run('{run.parent}') copies it, and then its parts.",
        )
    return {"mlflow.parentRunId": path.read_text(encoding="utf-8").strip()}


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
