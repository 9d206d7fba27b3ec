"""The searches of a storage folder: their trials, the best of them, and whether one is running.

A study is read through Optuna, which takes seconds for the first one, so the panel is empty until
then. One in its own folder is read again when its journal grew; one in a database every minute.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qstore_ray.errors import QStoreError, StudyError, unknown_name_error
from qstore_ray.files import is_folder
from qstore_ray.ops.dashboard.answers import id_of, name_of
from qstore_ray.storage.address import storage_folder
from qstore_ray.storage.contents import STUDY
from qstore_ray.track.logs.text import as_text, cut, redact
from qstore_ray.train.run.find import study_folders
from qstore_ray.train.run.lock import is_held
from qstore_ray.types import Table

if TYPE_CHECKING:
    from qstore_ray.tune.study.result import StudyResult

_MINUTE: Final = 60.0
_LONGEST: Final = 200


class SearchPanel:
    """Reads the studies.

    Args:
        storage: the folder of runs and studies, or an address.
    """

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self._folder = storage_folder(storage)
        self._read: dict[str, tuple[object, Table]] = {}

    def __call__(self) -> Table:
        """The studies, without their trials. A database that is locked or away is asked once."""
        failed: dict[str, str] = {}
        found = [self._search(path, failed) for path in study_folders(self._storage)]
        return {"searches": [{k: v for k, v in e.items() if k != "listed"} for e in found]}

    def search(self, identifier: str) -> Table:
        """A study with its trials.

        Raises:
            UnknownNameError: no such study exists.
        """
        folders = {id_of(path, self._folder): path for path in study_folders(self._storage)}
        if identifier not in folders:
            raise unknown_name_error("study", name_of(identifier), folders, field="id")
        return self._search(folders[identifier], {})

    def _search(self, folder: Path, failed: dict[str, str]) -> Table:
        identifier, signature = id_of(folder, self._folder), _signature(folder)
        known = self._read.get(identifier)
        if known is None or known[0] != signature:
            shown = self._described(identifier, folder, failed)
            if known is not None and shown["problem"]:  # what was known stays
                shown = {**known[1], "problem": shown["problem"]}
            self._read[identifier] = known = (signature, shown)
        return {**known[1], "running": is_held(folder)}

    def _described(self, identifier: str, folder: Path, failed: dict[str, str]) -> Table:
        name = folder.name if folder.name.isprintable() else repr(folder.name)
        about: Table = {
            "id": identifier, "name": name, "problem": "", "trials": 0, "listed": [],
            "counts": "", "objectives": {}, "best": [],
        }  # fmt: skip
        try:
            result = _loaded(folder, failed)
        except QStoreError as exc:
            return {**about, "problem": exc.message}
        trials = [
            {
                "number": trial.number,
                "status": trial.status,
                "is_best": trial.number in result.best,
                "objectives": dict(trial.objectives),
                "parameters": {k: _shown(v) for k, v in redact(dict(trial.parameters)).items()},
                "epochs": len(trial.epochs),
                "seconds": trial.seconds,
                "error": trial.error or "",
                "run": f"{identifier}/{trial.run}" if is_folder(folder / trial.run) else None,
            }
            for trial in result.trials
        ]
        return {
            **about,
            "trials": len(trials),
            "counts": result.count_text(),
            "objectives": dict(result.objectives),
            "best": [trial for trial in trials if trial["is_best"]][:5],
            "listed": trials,
        }


def _loaded(folder: Path, failed: dict[str, str]) -> StudyResult:
    """The study of a folder.

    Args:
        failed: database → why it could not be used, of those that were asked before.

    Raises:
        RunError: there is none.
        StudyError: its store cannot be used.
    """
    from qstore_ray.tune.study.ownership import recorded_url
    from qstore_ray.tune.study.result import StudyResult

    url = recorded_url(folder) or ""
    if url in failed:
        raise StudyError(failed[url])
    try:
        return StudyResult.load(str(folder.parent), folder.name)
    except StudyError as exc:
        if url:
            failed[url] = exc.message
        raise


def _signature(folder: Path) -> object:
    try:
        found = (folder / STUDY).stat()
    except OSError:  # in a database
        return int(time.monotonic() / _MINUTE)
    return found.st_mtime_ns, found.st_size


def _shown(value: Any) -> str:
    return cut(as_text(value), _LONGEST)
