"""The runs of a storage folder as rows of a table, read again only if they changed.

A run is known by its `run.json` and `metrics.jsonl`: as long as both files are the same ones, of
the same size and time, its row stands. The folder is scanned every `SCAN_SECONDS`; runs that are
in progress are looked at each time. Of an object store, a scan asks the store once for each run, so
it is rarer, and a run in progress on another machine is seen as old as the last scan.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from qstore_ray.backends.paid import PaidUsage
from qstore_ray.errors import unknown_name_error
from qstore_ray.ops.dashboard.answers import id_of, name_of
from qstore_ray.storage.address import address_of, storage_folder
from qstore_ray.storage.contents import METRICS, RECORD, is_study
from qstore_ray.train.run.find import run_folders
from qstore_ray.train.run.summary import RunSummary, summarize
from qstore_ray.types import Table

SCAN_SECONDS: Final = 2.0
REMOTE_SCAN_SECONDS: Final = 30.0
_SCORES: Final = ("accuracy", "rmse", "loss")

Signature: TypeAlias = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class ListedRun:
    """A run as the list has it.

    Attributes:
        row: what the page shows of it.
        version: of the list, when this row was made.
    """

    path: Path
    signature: Signature
    row: Table
    version: int

    @property
    def is_open(self) -> bool:
        """Whether its record says that it is running."""
        return bool(self.row["status"] == "running")


@dataclass(frozen=True)
class ChangedRuns:
    """The rows that changed since a version of the list, the ids that are gone, the version now."""

    rows: list[Table]
    gone: list[str]
    version: int


class RunListing:
    """The runs of a storage folder. Its methods may be called from several threads.

    Args:
        storage: a folder, or an address of an object store.

    Raises:
        ConfigError: an address that is none.
    """

    def __init__(self, storage: str) -> None:
        self.storage = storage
        self.folder = storage_folder(storage)
        self._period = SCAN_SECONDS if address_of(storage) is None else REMOTE_SCAN_SECONDS
        self._lock = threading.Lock()
        self._runs: dict[str, ListedRun] = {}
        self._gone: dict[str, int] = {}
        self._version = 0
        self._next_scan = 0.0

    def refresh(self) -> None:
        """Read what changed.

        Raises:
            UsageError: the folder cannot be listed.
            StorageError: the object store cannot be used.
        """
        with self._lock:
            now = time.monotonic()
            if now < self._next_scan:
                for identifier, run in list(self._runs.items()):
                    if run.is_open and run.signature != _signature(run.path):
                        self._read(identifier, run.path)
                return
            self._scan()
            self._next_scan = time.monotonic() + self._period

    def since(self, version: int) -> ChangedRuns:
        """What changed after a version; everything after -1."""
        with self._lock:
            rows = [run.row for run in self._runs.values() if run.version > version]
            gone = [name for name, at in self._gone.items() if at > version >= 0]
            return ChangedRuns(rows, gone, self._version)

    def find(self, identifier: str) -> Path:
        """The folder of a run by its id, or of a trial by its study's id and its name.

        Raises:
            UnknownNameError: no such run exists.
        """
        with self._lock:
            run = self._runs.get(identifier)
        if run is not None:
            return run.path
        study, _, trial = name_of(identifier).partition("/")
        folder = self.folder / study
        known = {path.name for path in self._trials(folder)} if _is_plain(study) else set()
        if trial in known:
            return folder / trial
        raise unknown_name_error("run", identifier, list(self._runs)[:20], field="id")

    def _trials(self, folder: Path) -> list[Path]:
        if not is_study(folder):
            return []
        address = address_of(self.storage)
        return run_folders(str(folder if address is None else address / folder.name))

    def _scan(self) -> None:
        found = {id_of(path, self.folder): path for path in run_folders(self.storage)}
        for identifier in self._runs.keys() - found.keys():
            del self._runs[identifier]
            self._version += 1
            self._gone[identifier] = self._version
        for identifier, path in found.items():
            known = self._runs.get(identifier)
            # One that is open may have been killed, which no file says.
            if known is None or known.is_open or known.signature != _signature(path):
                self._read(identifier, path)

    def _read(self, identifier: str, path: Path) -> None:
        signature = _signature(path)  # before it is read: what is written meanwhile is seen later
        row = row_of(identifier, summarize(path))
        known = self._runs.get(identifier)
        version = known.version if known is not None and known.row == row else self._version + 1
        self._version = max(version, self._version)
        self._runs[identifier] = ListedRun(path, signature, row, version)
        self._gone.pop(identifier, None)


def row_of(identifier: str, summary: RunSummary) -> Table:
    """A run as a row of the page's table."""
    paid = PaidUsage.of_metrics(summary.metrics)
    return {
        "id": identifier,
        "name": summary.name,
        "status": summary.status,
        "problem": summary.problem,
        "epochs": summary.epochs,
        "planned": summary.epochs_planned,
        "val": _score(summary.metrics, "val"),
        "test": _score(summary.metrics, "test"),
        "started": summary.started,
        "seconds": summary.seconds,
        "qpu_seconds": None if paid is None else paid.seconds,
    }


def _score(metrics: Mapping[str, float], split: str) -> dict[str, Any] | None:
    """The first score of a split that the run has: of numbers the RMSE, else the loss."""
    for name in _SCORES:
        value = metrics.get(f"{split}_{name}")
        if value is not None:
            return {"name": name, "value": value}
    return None


def _signature(folder: Path) -> Signature:
    return tuple(_of_file(folder / name) for name in (RECORD, METRICS))


def _of_file(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as fast, for a thousand runs
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _is_plain(name: str) -> bool:
    return bool(name) and "/" not in name and name not in {".", ".."}
