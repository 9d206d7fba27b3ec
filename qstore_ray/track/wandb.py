"""Runs in Weights & Biases: online with the user's own login, or offline in the run folder.

W&B accepts only increasing steps, so epochs are logged in order: missing earlier epochs are first
logged from the run's metrics file. The run's W&B id is stored in the run folder, and a resumed
attempt continues the same W&B run.

Online, the server says which epoch comes next. Offline, W&B keeps its records in memory for a
while, so that after a kill nobody knows how much of them is in its log; each attempt therefore
writes a log of its own with all epochs, and deletes those of earlier attempts that were not yet
uploaded. `wandb sync <run folder>/wandb/offline-run-*` uploads it; nothing is sent before that.

W&B works in a process of its own, which this tracker ends with the run, unless other runs of the
user's program still need it. Unless the environment says otherwise, W&B prints nothing and reports
no errors of its own to its makers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qstore_ray.credentials import redact_text
from qstore_ray.errors import MissingDependencyError, RunError, first_line
from qstore_ray.track.base import Record, RunInfo, Status, write_atomically
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.track.logs.text import cut, leaves, metrics_of, redact
from qstore_ray.types import ReadOnlyTable

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

RUN_ID_FILE: Final = "wandb_run_id"
FOLDER: Final = "wandb"
_EXIT_CODES: Final[Mapping[str, int]] = {"finished": 0, "failed": 1, "interrupted": 130}
_ATTEMPT: Final = ("generation", "workers", "rows", "parameters")
_ENVIRONMENT: Final[Mapping[str, str]] = {
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_INIT_TIMEOUT": "30",  # seconds for a server to answer
}
_FINISH_SECONDS: Final = 120.0
"""How long the end of a run waits for an upload; W&B itself would wait without end."""

_PROCESS = threading.Lock()
"""Held while W&B's process is started or ended: several trackers of this process share it."""

_OPEN: Final[dict[str, Run]] = {}
"""Runs that were begun here and not finished, by id: an attempt that was given up, resumed."""


def _forget() -> None:
    """In a process that was forked off: another thread may hold the lock, the runs are not its."""
    global _PROCESS  # noqa: PLW0603 - a lock that another thread held cannot be let go here
    _PROCESS = threading.Lock()
    _OPEN.clear()


os.register_at_fork(after_in_child=_forget)


class WandBTracker:
    """Records one run in Weights & Biases. Runs in the driver process, in its own thread.

    Args:
        config: `wandb` ("offline" or "online"), `wandb_project`, `wandb_entity`.

    Examples:
        tracker = WandBTracker(TrackConfig(wandb="offline", wandb_project="flowers"))
        assert tracker.name == "wandb"
    """

    name = "wandb"

    def __init__(self, config: TrackConfig) -> None:
        self._config = config
        self._online = config.wandb == "online"

    def start(self, run: RunInfo) -> None:
        """Begin the W&B run, or continue the one named in the run folder.

        Raises:
            MissingDependencyError: wandb is not installed.
            RunError: no login, no answer, or a folder that cannot be written to.
        """
        _load()
        self._run = run
        with self._translated("open the run"):
            folder = run.run_dir / FOLDER
            folder.mkdir(exist_ok=True)
            if not os.access(folder, os.W_OK):
                # W&B would continue in a temporary folder.
                raise PermissionError(13, "the folder is not writable", str(folder))
            run_id = self._run_id()
            with _PROCESS:
                self._finish_earlier(run_id)
                if not self._online:
                    _drop_unsent(folder, run_id)
                try:
                    self._wandb = _OPEN[run_id] = self._begun(run_id)
                finally:
                    if run_id not in _OPEN:
                        _end_process()
            self._next = int(self._wandb.step) if self._online else 0
            self._attempt = False

    def epoch(self, record: Record) -> None:
        """Log every number of an epoch record, after the epochs before it, as W&B's step."""
        with self._translated("log an epoch"):
            epoch = int(record["epoch"])
            if epoch > self._next:
                self._fill(epoch)
            self._log(record)

    def finish(self, status: Status, summary: ReadOnlyTable, artifacts: Sequence[Path]) -> None:
        """Fill gaps from the metrics file, keep summary, figures and files; end the W&B run."""
        with self._translated("finish the run"):
            try:
                self._fill()
                self._wandb.summary["status"] = status
                for key, value in leaves(redact(summary), "summary."):
                    self._wandb.summary[key] = value
                self._log_attempt()
                for path in artifacts:
                    self._log_file(path)
            finally:
                self._close(_EXIT_CODES[status])

    def _run_id(self) -> str:
        path = self._run.run_dir / RUN_ID_FILE
        if not path.exists():
            write_atomically(path, uuid.uuid4().hex[:12] + "\n")
        return path.read_text(encoding="utf-8").strip()

    def _begun(self, run_id: str) -> Run:
        import wandb

        settings = wandb.Settings(
            mode="online" if self._online else "offline",
            root_dir=str(self._run.run_dir.resolve()),
            silent=True,
            console="off",
            reinit="create_new",  # the user's own W&B run, if any, stays the active one
            disable_git=True,
            save_code=False,
            disable_job_creation=True,
            finish_timeout=_FINISH_SECONDS,
            finish_timeout_raises=True,
            x_disable_meta=True,  # the command line may hold a secret
            x_save_requirements=False,
        )
        config = {
            **redact(self._run.config),
            "fingerprint": dict(self._run.fingerprints),
            "tag": {**redact(self._config.tags), **redact(self._run.tags)},
            "run_dir": str(self._run.run_dir.resolve()),
        }
        return wandb.init(
            project=self._config.wandb_project,
            entity=self._config.wandb_entity,
            name=self._run.name,
            group=self._run.parent.name if self._run.parent else None,
            id=run_id,
            config=config,
            resume="allow" if self._online else None,
            settings=settings,
        )

    def _finish_earlier(self, run_id: str) -> None:
        earlier = _OPEN.pop(run_id, None)
        if earlier is not None:
            earlier.finish(exit_code=_EXIT_CODES["interrupted"])

    def _fill(self, before: int | None = None) -> None:
        """Log the epochs of the metrics file that are missing, up to `before`."""
        for record in epoch_records(read_records(self._run.metrics_path)):
            if before is None or int(record["epoch"]) < before:
                self._log(record)

    def _log(self, record: Record) -> None:
        epoch = int(record["epoch"])
        if epoch < self._next:
            return
        self._wandb.log(dict(metrics_of(record)), step=epoch, commit=True)
        self._next = epoch + 1
        if not self._attempt:
            self._log_attempt()

    def _log_attempt(self) -> None:
        """Generation, worker count and size of the latest attempt, as settings of the run."""
        starts = [r for r in read_records(self._run.metrics_path) if r.get("event") == "start"]
        if starts:
            facts = {key: starts[-1][key] for key in _ATTEMPT if key in starts[-1]}
            config: Any = self._wandb.config
            config.update({"attempt": facts}, allow_val_change=True)
        self._attempt = True

    def _log_file(self, path: Path) -> None:
        """PNG files as pictures of the summary, others as files under their path in the folder."""
        import wandb

        if path.is_dir():
            for inner in sorted(path.iterdir()):
                self._log_file(inner)
            return
        root, path = self._run.run_dir.resolve(), path.resolve(strict=True)
        base = root if path.is_relative_to(root) else path.parent
        name = path.relative_to(base).as_posix()
        if path.suffix == ".png":
            self._wandb.summary[name] = wandb.Image(str(path))
        else:
            self._wandb.save(str(path), base_path=str(base), policy="now")

    def _close(self, exit_code: int) -> None:
        """End the run, and W&B's process if no other run needs it."""
        with _PROCESS:
            _OPEN.pop(self._run_id(), None)
            try:
                self._wandb.finish(exit_code=exit_code)
            finally:
                _end_process()

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        import wandb

        try:
            yield
        except (wandb.Error, OSError) as exc:
            reason = first_line(exc)
            raise RunError(
                f"Weights & Biases could not {doing}: {redact_text(cut(reason, 300))}",
                field="track.wandb",
                value=self._config.wandb,
                fix="Log in with `wandb login`, or set track.wandb=offline. The run folder keeps "
                "all of it; sync_run('RUN') copies it later.",
            ) from exc


def _end_process() -> None:
    """End W&B's process, unless a run of the user's program still needs it."""
    import wandb

    if wandb.setup().most_recent_active_run is None:
        wandb.teardown()


def _drop_unsent(folder: Path, run_id: str) -> None:
    """Delete the logs of earlier attempts that were not uploaded."""
    for log in folder.glob(f"offline-run-*-{run_id}"):
        if not list(log.glob("*.synced")):
            shutil.rmtree(log)
    for link in folder.iterdir():
        if link.is_symlink() and not link.exists():
            with contextlib.suppress(FileNotFoundError):
                link.unlink()


def _load() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import wandb  # noqa: F401  (the second it takes is spent here)
    except ImportError as exc:
        raise MissingDependencyError(
            f"wandb cannot be imported: {exc}",
            field="track.wandb",
            fix='Install it with `pip install "qstore-ray[wandb]"`, or set track.wandb=off.',
        ) from exc
