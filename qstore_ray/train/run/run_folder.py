"""The run folder: the only truth about a run.

    runs/digits/config.toml      the resolved configuration
                run.json         name, status, generation, fingerprints, versions
                metrics.jsonl    every epoch, written by worker 0
                checkpoints/     the newest ones
                figures/         PNG or SVG

A run is known by its name. Meeting the name again is an error, unless the caller says `resume`
(go on from the last checkpoint) or `fresh` (delete it and start again). Every attempt takes a
higher generation number, and holds a lock for as long as its process lives, so two drivers can
never write into one folder.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from qstore_ray.config import fingerprint
from qstore_ray.errors import ConfigError, RunError, RunExistsError, UsageError
from qstore_ray.resilience import sweep_parts, write_durably
from qstore_ray.track.base import KEPT
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.train.run.same_run import changed_versions, check_same, epochs_of, versions

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LOCK, _RECORD = ".lock", "run.json"


@dataclass
class RunFolder:
    """An opened run folder, locked by this process until `close`."""

    path: Path
    record: dict[str, Any]
    _lock: IO[str]

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.record["name"])

    @property
    def generation(self) -> int:
        """The number of this attempt, from 1."""
        return int(self.record["generation"])

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """The metrics file."""
        return self.path / "metrics.jsonl"

    def set_status(self, status: str, **more: Any) -> None:
        """Record how the run stands: running, finished, failed or interrupted.

        Raises:
            RunError: the folder cannot be written to.
        """
        self.record = {**self.record, **more, "status": status}
        try:
            write_durably(self.path / _RECORD, json.dumps(self.record, indent=1).encode())
        except OSError as exc:
            raise _unwritable_error(self.path, exc) from exc

    def close(self) -> None:
        """Give up the lock."""
        self._lock.close()


def check_name(name: str) -> str:
    """`name` if it is safe as the name of a folder.

    Raises:
        ConfigError: a path, an empty name, or other characters than letters, digits, `.`, `_`, `-`.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "a run's name has letters, digits, '.', '_', '-' only, and starts with one of the "
            "first two",
            field="name",
            value=name,
            fix="For example digits-8q.",
        )
    return name


def check_way(*, resume: bool, fresh: bool) -> None:
    """Raise where a run or a study shall be gone on with and deleted at the same time.

    Raises:
        UsageError: both are asked for.
    """
    if resume and fresh:
        raise UsageError(
            "resume=True and fresh=True exclude each other",
            field="resume",
            fix="resume=True goes on with what is there, fresh=True deletes it and starts again.",
        )


def check_run(
    storage: str | Path,
    name: str,
    *,
    resume: bool = False,
    fresh: bool = False,
    epochs: int | None = None,
) -> Path:
    """The folder of a run, if an attempt with these flags may begin in it; writes nothing.

    Args:
        epochs: a finished run may be resumed where it had fewer.

    Raises:
        UsageError: both flags.
        ConfigError: a name that is no name of a folder, or a folder whose name is no text.
        RunExistsError: the run exists and neither flag allows to go on, it has finished, or there
            is nothing to resume.
    """
    path = Path(storage).expanduser().resolve() / check_name(name)
    check_way(resume=resume, fresh=fresh)
    _check_text(path)
    if not (path / _RECORD).exists():
        _check_new(path, resume)
        return path
    if fresh:
        return path
    record = read_run_record(path)
    status, had = record.get("status"), epochs_of(record)
    longer = status == "finished" and (epochs or 0) > (had or epochs or 0)
    if not resume or (status == "finished" and not longer):
        way = "has finished" if status == "finished" else f"exists ({status})"
        go_on = "resume=True continues it, "
        if status == "finished":
            go_on = (
                f"More than its {had} trainer.epochs continue it, with resume=True; " if had else ""
            )
        raise RunExistsError(
            f"a run of this name {way}",
            field="name",
            value=name,
            fix=f"{go_on}fresh=True deletes it and starts again, another name leaves it alone.",
        )
    return path


def _check_text(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as exc:
        raise ConfigError(
            "the folder has letters that this process's locale cannot read",
            field="storage",
            value=str(path),
            fix="Set LC_ALL=C.UTF-8 or PYTHONUTF8=1, or take a folder with plain letters.",
        ) from exc


def _check_new(path: Path, resume: bool) -> None:
    if resume:
        raise RunExistsError(
            "there is no run of this name to resume",
            field="name",
            value=str(path),
            fix="Leave out resume=True.",
        )
    # Deleting or filling a folder that is no run of ours would be the worst of surprises.
    if path.exists() and not (path.is_dir() and all(map(_is_of_a_beginning, path.iterdir()))):
        raise RunExistsError(
            "there is something of this name that is not a run",
            field="name",
            value=str(path),
            fix="Take another name or another storage folder.",
        )


def _is_of_a_beginning(child: Path) -> bool:
    """Whether an attempt that was killed before it had written its record can have left it, or a
    driver that follows a run which begins elsewhere.
    """
    names = (_RECORD, *KEPT)
    part = child.name.startswith(tuple(f".{n}." for n in names)) and child.suffix == ".part"
    return part or child.name in (LOCK, *KEPT)


def open_run_folder(
    storage: str | Path,
    name: str,
    *,
    recipe: Mapping[str, Any],
    data_fingerprint: str,
    config_toml: str,
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
    fresh: bool = False,
    changed: bool = False,
) -> RunFolder:
    """Create the folder of a run, or take up or replace the one that is there; status `running`.

    Args:
        recipe: the configuration that decides the result; it must be equal for a run to be resumed.
        data_fingerprint: likewise, of the data.
        about: what else the record of the run shall say.
        changed: a resumed run goes on with another recipe, which it has from now on.

    Raises:
        RunExistsError: as `check_run` says, the run was made of something else, or another process
            is running it; nothing was changed.
        RunError: the folder cannot be written to.
    """
    epochs = None if changed else epochs_of({"recipe": recipe})
    path = check_run(storage, name, resume=resume, fresh=fresh, epochs=epochs)
    made = {"configuration": fingerprint(recipe), "data": data_fingerprint}
    record = {
        **(about or {}),
        "name": name,
        "fingerprints": made,
        "recipe": recipe,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }
    try:
        path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as until_opened:
            lock = until_opened.enter_context(lock_folder(path))
            generation = 1
            if resume:
                earlier = read_run_record(path)
                check_same(earlier, earlier["recipe"] if changed else recipe, data_fingerprint)
                _warn(path, changed_versions(earlier))
                generation += int(earlier["generation"])
            sweep_parts(path, spare=KEPT)  # a study's driver may be following this run
            if fresh:
                _empty(path)
            folder = RunFolder(path, {**record, "generation": generation}, lock)
            folder.set_status("running")
            write_durably(path / "config.toml", config_toml.encode())
            (path / "stop").unlink(missing_ok=True)
            until_opened.pop_all()  # from here on the folder holds the lock
    except OSError as exc:
        raise _unwritable_error(path, exc) from exc
    return folder


def read_run_record(path: Path) -> dict[str, Any]:
    """The `run.json` of a run folder.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        record = json.loads((path / _RECORD).read_bytes())
    except (OSError, ValueError) as exc:
        raise _no_run_error(path, str(exc)) from exc
    if not isinstance(record, dict) or "generation" not in record:
        raise _no_run_error(path, "run.json is not the record of a run")
    return record


def _warn(path: Path, message: str) -> None:
    """Say it, and keep it with the run."""
    if message:
        sys.stderr.write(f"warning: {message}\n")
        with MetricsFile(path / "metrics.jsonl") as metrics:
            metrics.append({"event": "warning", "message": message})


def _unwritable_error(path: Path, exc: OSError) -> RunError:
    return RunError(
        f"cannot write into the run folder: {exc.strerror or type(exc).__name__}",
        field="storage",
        value=str(path),
        fix="Free some space, or give a storage folder that you may write to.",
    )


def _no_run_error(path: Path, reason: str) -> RunError:
    return RunError(
        f"this is no run folder: {reason}",
        field="run",
        value=str(path),
        fix="Give the folder of a run, such as runs/digits.",
    )


def lock_folder(path: Path, kind: Literal["run", "study"] = "run") -> IO[str]:
    """Lock a folder for as long as the file stays open and this process lives.

    Args:
        kind: what the folder holds, as the error names it.

    Raises:
        RunExistsError: another process holds the lock; the error is `locked`.
    """
    lock = (path / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock.close()
        raise RunExistsError.while_open(kind, path.name) from exc
    return lock


def _empty(path: Path) -> None:
    """Delete a run; its record last, because without it the rest would be nobody's."""
    for child in sorted(path.iterdir(), key=lambda child: child.name == _RECORD):
        if child.is_dir():
            shutil.rmtree(child)
        elif child.name != LOCK:
            child.unlink()
