"""The run folder: the only truth about a run.

    runs/digits/config.toml      the resolved configuration
                run.json         name, id, status, generation, fingerprints, versions
                metrics.jsonl    every epoch, written by worker 0
                checkpoints/     the newest ones
                figures/         PNG or SVG

A run is known by its name. `existing` says what to do if the name is taken: "error" refuses it,
"resume" continues from the last checkpoint, "replace" deletes the run and starts again. Every
attempt takes a higher generation number, and holds a lock for as long as its process lives, so two
drivers can never write into one folder.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

from qstore_ray.backends.paid import RunIdentity, new_identity
from qstore_ray.config import fingerprint
from qstore_ray.errors import ConfigError, RunError, RunExistsError, StorageError, UsageError
from qstore_ray.files import sweep_parts, write_durably
from qstore_ray.storage.address import shown_place, storage_folder
from qstore_ray.storage.stranded import stranded_fix
from qstore_ray.track.attempt import new_attempt, now, with_status
from qstore_ray.track.base import KEPT
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.train.run.lock import LOCK, held_error, is_held, lock_folder
from qstore_ray.train.run.origin import ATTEMPT, RunOrigin, is_foreign, open_origin, refresh
from qstore_ray.train.run.place import make_folder
from qstore_ray.train.run.same_run import (
    MadeOf,
    RunDescription,
    changed_versions,
    check_same,
    epochs_of,
    length_field,
    versions,
)
from qstore_ray.train.run.writing import (
    RECORD,
    empty_run_folder,
    read_run_record,
    unwritable_error,
)
from qstore_ray.types import Table

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ROOM, _LEAST_ROOM = ".room", 4_096
"""A file that is deleted when a run ends, so that a full disk has room for how it ended."""

Existing = Literal["error", "resume", "replace"]
"""What to do with a run or a study of the same name: refuse, continue it, or delete it."""


@dataclass
class RunFolder:
    """An opened run folder, locked by this process until `close`.

    Attributes:
        origin: the objects that it is a copy of; None for a plain folder.
    """

    path: Path
    record: RunDescription
    _lock: IO[str]
    origin: RunOrigin | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.record["name"])

    @property
    def identity(self) -> RunIdentity:
        """What distinguishes it from other runs, also of the same name; kept when it is resumed."""
        return RunIdentity(self.record["id"])

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
            StorageError: the objects cannot.
        """
        attempts = with_status(self.record.get("attempts", []), status)
        stands = {"status": status, "attempts": attempts}
        self.record = cast("RunDescription", {**self.record, **more, **stands})
        data = json.dumps(self.record, indent=1).encode()
        try:
            if status != "running":  # the room was reserved for this
                (self.path / _ROOM).unlink(missing_ok=True)
            write_durably(self.path / RECORD, data)
        except OSError as exc:
            raise unwritable_error(self.path, exc) from exc
        if status != "running":
            self.upload()

    def upload(self) -> None:
        """Bring the objects to the state of the folder; does nothing for a plain folder.

        Raises:
            StorageError: the objects cannot be written to.
        """
        if self.origin is not None:
            self.origin.upload()

    def give_up(self) -> None:
        """Close an attempt that could not begin, and record it as failed if it was recorded."""
        with suppress(RunError, StorageError):  # another error is on its way
            if read_run_record(self.path).get("status") == "running":
                self.set_status("failed")
        with suppress(OSError):  # the folder may be gone, or no longer ours to write to
            (self.path / _ROOM).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Give up the lock, and the lease."""
        if self.origin is not None:
            self.origin.close()
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


def check_existing(existing: str) -> None:
    """Refuse a value of `existing` that is not one of the three.

    Raises:
        UsageError: it is none of "error", "resume", "replace".
    """
    if existing not in get_args(Existing):
        raise UsageError(
            "`existing` says what to do with a run or a study of the same name",
            field="existing",
            value=existing,
            fix='Write "error" (refuse), "resume" (continue it) or "replace" (delete it and start '
            "again).",
        )


def check_run(
    storage: str | Path,
    name: str,
    *,
    existing: Existing = "error",
    epochs: int | None = None,
    made: MadeOf | None = None,
) -> Path:
    """The folder of a run, if an attempt may begin in it; writes nothing.

    Args:
        existing: what to do with a run of this name.
        epochs: a finished run may be resumed if it had fewer.
        made: what the attempt is made of; a run that is resumed must be made of the same. Before
            the data are loaded this is checked only of a run that is refused anyway.

    Raises:
        UsageError: an unknown value of `existing`.
        ConfigError: a name that is no name of a folder, or a folder whose name is no text.
        RunExistsError: the run exists and `existing` is "error", it was made of something else,
            it has finished, or there is nothing to resume.
    """
    return _checked(storage, name, existing, epochs, made, locked=False)


def _checked(
    storage: str | Path,
    name: str,
    existing: Existing,
    epochs: int | None,
    made: MadeOf | None,
    *,
    locked: bool,
) -> Path:
    """`check_run`; `locked` if this attempt has locked the folder."""
    path = storage_folder(storage) / check_name(name)
    check_existing(existing)
    _check_text(path)
    if not locked:
        refresh(path)
        if is_foreign(path):
            raise _foreign_error(path)
    if not (path / RECORD).exists():
        _check_new(path, existing)
        return path
    if existing == "replace":
        return path
    record = read_run_record(path)
    resumed = None if existing != "resume" else made
    if resumed is not None and resumed.data_fingerprint is not None:
        check_same(record, resumed, _kept_configuration(path))
    status, had = record.get("status"), epochs_of(record)
    longer = status == "finished" and (epochs or 0) > (had or epochs or 0)
    if existing == "error" or (status == "finished" and not longer):
        if resumed is not None:
            check_same(record, resumed, _kept_configuration(path))
        if status == "running" and not locked and is_held(path):
            raise held_error(path, "run")
        way = "has finished" if status == "finished" else f"exists ({status})"
        go_on = "existing='resume' continues it, "
        if status == "finished":
            field = length_field(record)
            more = f"More than its {had} {field} continue it, with existing='resume'"
            go_on = f"{more}{_unless_laid_out(record)}; " if had else ""
        raise RunExistsError(
            f"a run of this name {way}",
            field="name",
            value=name,
            fix=f"{go_on}existing='replace' deletes it and starts again, another name leaves it "
            "alone.",
        )
    return path


def _unless_laid_out(record: RunDescription) -> str:
    """What may stand in the way of more epochs."""
    schedule = record.get("recipe", {}).get("trainer", {}).get("schedule", "constant")
    if schedule == "constant":
        return ""
    return f", unless its schedule {schedule!r} was laid out for its length"


def _kept_configuration(path: Path) -> str:
    file = path / "config.toml"
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


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


def _check_new(path: Path, existing: Existing) -> None:
    if existing == "resume":
        raise RunExistsError(
            "there is no run of this name to resume",
            field="name",
            value=str(path),
            fix=stranded_fix(path) or "Leave out existing='resume'.",
        )
    # Deleting or filling a folder that is no run of ours would be the worst of surprises.
    if path.exists() and not (path.is_dir() and all(map(_is_of_a_beginning, path.iterdir()))):
        raise _foreign_error(path)


def _foreign_error(path: Path) -> RunExistsError:
    return RunExistsError(
        "there is something of this name that is not a run",
        field="name",
        value=shown_place(path),
        fix="Take another name or another storage folder.",
    )


def _is_of_a_beginning(child: Path) -> bool:
    """Whether an attempt that was killed before it had written its record can have left it, or a
    driver that follows a run which begins elsewhere.
    """
    names = (RECORD, *KEPT)
    part = child.name.startswith(tuple(f".{n}." for n in names)) and child.suffix == ".part"
    return part or child.name in (LOCK, ATTEMPT, _ROOM, *KEPT)


def open_run_folder(
    storage: str | Path,
    name: str,
    *,
    recipe: Table,
    data_fingerprint: str,
    config_toml: str,
    about: RunDescription | None = None,
    existing: Existing = "error",
    changed: bool = False,
) -> RunFolder:
    """Create the folder of a run, or resume or replace an existing one; status `running`.

    Args:
        recipe: the configuration that decides the result; it must be equal for a run to be resumed.
        data_fingerprint: likewise, of the data.
        about: further fields of the run's record.
        existing: what to do with a run of this name.
        changed: a resumed run continues with another recipe, which its record has from now on.

    Raises:
        RunExistsError: as `check_run` says, the run was made of something else, or another process
            is running it; nothing was changed.
        RunError: the folder cannot be written to.
        StorageError: the object store cannot be used.
    """
    epochs = None if changed else epochs_of({"recipe": recipe})
    made = MadeOf(None if changed else recipe, data_fingerprint, config_toml)
    path = _checked(storage, name, existing, epochs, made, locked=False)
    record: RunDescription = {
        "id": new_identity(name).run,
        **(about or {}),
        "name": name,
        "fingerprints": {"configuration": fingerprint(recipe), "data": data_fingerprint},
        "recipe": recipe,
        "started": now(),
        "versions": versions(),
    }
    try:
        make_folder(path)
        with ExitStack() as until_opened:
            lock = until_opened.enter_context(lock_folder(path))
            origin = open_origin(path)
            if origin is not None:
                until_opened.callback(origin.close)
            # Again under the lock: another driver may have begun or ended the run meanwhile.
            _checked(storage, name, existing, epochs, made, locked=True)
            generation = 1
            if existing == "resume":
                earlier = read_run_record(path)
                _warn(path, changed_versions(earlier))
                generation += int(earlier["generation"])
                record["id"] = earlier.get("id", record["id"])
                record["attempts"] = earlier.get("attempts", [])
            sweep_parts(path, spare=KEPT)  # a study's driver may be following this run
            if existing == "replace":
                empty_run_folder(path)
                if origin is not None:
                    origin.mirror.empty()
            attempt = new_attempt(generation, record["started"], record["versions"])
            record["attempts"] = [*record.get("attempts", []), attempt]
            folder = RunFolder(path, {**record, "generation": generation}, lock, origin)
            until_opened.callback(folder.give_up)
            room = max(_LEAST_ROOM, 2 * len(json.dumps(folder.record)))
            (path / _ROOM).write_bytes(bytes(room))
            folder.set_status("running")
            write_durably(path / "config.toml", config_toml.encode())
            (path / "stop").unlink(missing_ok=True)
            if origin is not None:  # its record first, as here: without it the rest has no owner
                origin.mirror.push(first=RECORD)
            until_opened.pop_all()  # from here on the folder holds the lock
    except OSError as exc:
        raise unwritable_error(path, exc) from exc
    return folder


def _warn(path: Path, message: str) -> None:
    """Say it, and keep it with the run."""
    if message:
        sys.stderr.write(f"warning: {message}\n")
        with MetricsFile(path / "metrics.jsonl") as metrics:
            metrics.append({"event": "warning", "message": message})
