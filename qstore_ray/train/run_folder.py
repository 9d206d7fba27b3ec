"""The run folder: the only truth about a run.

    runs/digits/config.toml      the resolved configuration
                run.json         name, status, generation, fingerprints, versions
                metrics.jsonl    every epoch, written by worker 0
                checkpoints/     the newest ones
                figures/         PNG

A run is known by its name. Meeting the name again is an error, unless the caller says `resume`
(go on from the last checkpoint) or `fresh` (delete it and start again). Every attempt takes a
higher generation number, and holds a lock for as long as its process lives, so two drivers can
never write into one folder.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import platform
import re
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from qstore_ray.config import fingerprint
from qstore_ray.errors import ConfigError, RunError, RunExistsError
from qstore_ray.resilience import write_durably

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LOCK = ".lock"
_VERSIONED = ("qstore-ray", "numpy", "numba", "qiskit", "ray")


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
        """Record how the run stands: running, finished, failed or interrupted."""
        self.record = {**self.record, **more, "status": status}
        write_durably(self.path / "run.json", json.dumps(self.record, indent=1).encode())

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


def check_run(storage: str | Path, name: str, *, resume: bool = False, fresh: bool = False) -> Path:
    """The folder of a run, if an attempt with these flags may begin in it; writes nothing.

    Raises:
        ConfigError: a name that is no name of a folder.
        RunExistsError: the run exists and neither flag allows to go on, it has finished, or there
            is nothing to resume.
    """
    path = Path(storage).expanduser().resolve() / check_name(name)
    if not (path / "run.json").exists():
        _check_new(path, resume)
        return path
    if fresh:
        return path
    status = read_run_record(path).get("status")
    if not resume or status == "finished":
        way = "has finished" if status == "finished" else f"exists ({status})"
        go_on = "" if status == "finished" else "--resume continues it, "
        raise RunExistsError(
            f"a run of this name {way}",
            field="name",
            value=name,
            fix=f"{go_on}--fresh deletes it and starts again, another name leaves it alone.",
        )
    return path


def _check_new(path: Path, resume: bool) -> None:
    if resume:
        raise RunExistsError(
            "there is no run of this name to resume",
            field="name",
            value=str(path),
            fix="Leave out --resume.",
        )
    # Deleting or filling a folder that is no run of ours would be the worst of surprises.
    if path.exists() and (not path.is_dir() or any(c.name != _LOCK for c in path.iterdir())):
        raise RunExistsError(
            "there is something of this name that is not a run",
            field="name",
            value=str(path),
            fix="Take another name or another storage folder.",
        )


def open_run_folder(
    storage: str | Path,
    name: str,
    *,
    recipe: Mapping[str, Any],
    data_fingerprint: str,
    config_toml: str,
    resume: bool = False,
    fresh: bool = False,
) -> RunFolder:
    """Create the folder of a run, or take up or replace the one that is there; status `running`.

    Args:
        recipe: the configuration that decides the result; it must be equal for a run to be resumed.
        data_fingerprint: likewise, of the data.

    Raises:
        RunExistsError: as `check_run` says, the run was made of something else, or another process
            is running it; nothing was changed.
        RunError: the folder cannot be written to.
    """
    path = check_run(storage, name, resume=resume, fresh=fresh)
    made = {"configuration": fingerprint(recipe), "data": data_fingerprint}
    about = {
        "name": name,
        "fingerprints": made,
        "recipe": recipe,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
    }
    try:
        path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as until_opened:
            lock = until_opened.enter_context(lock_folder(path))
            generation = 1
            if resume:
                earlier = read_run_record(path)
                _check_same(earlier, recipe, data_fingerprint)
                generation += int(earlier["generation"])
            if fresh:
                _empty(path)
            folder = RunFolder(path, {**about, "generation": generation}, lock)
            folder.set_status("running")
            write_durably(path / "config.toml", config_toml.encode())
            (path / "stop").unlink(missing_ok=True)
            until_opened.pop_all()  # from here on the folder holds the lock
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise RunError(
            f"cannot write into the run folder: {reason}",
            field="storage",
            value=str(path),
            fix="Give a folder that you may write to, with --storage.",
        ) from exc
    return folder


def read_run_record(path: Path) -> dict[str, Any]:
    """The `run.json` of a run folder.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        record = json.loads((path / "run.json").read_bytes())
    except (OSError, ValueError) as exc:
        raise _no_run(path, str(exc)) from exc
    if not isinstance(record, dict) or "generation" not in record:
        raise _no_run(path, "run.json is not the record of a run")
    return record


def _no_run(path: Path, reason: str) -> RunError:
    return RunError(
        f"this is no run folder: {reason}",
        field="run",
        value=str(path),
        fix="`qstore runs` lists the runs.",
    )


def _check_same(
    earlier: Mapping[str, Any], recipe: Mapping[str, Any], data_fingerprint: str
) -> None:
    if earlier.get("fingerprints", {}).get("data") != data_fingerprint:
        raise RunExistsError(
            "the run was started with other data",
            field="dataset",
            value=data_fingerprint[:16],
            fix="Resume it with the data, split and preprocessing of its config.toml, or use "
            "--fresh.",
        )
    before, now = _flat(earlier.get("recipe", {})), _flat(recipe)
    for field in sorted(before.keys() | now.keys()):
        if before.get(field) != now.get(field):
            raise RunExistsError(
                f"the run was started with {before.get(field)!r}",
                field=field,
                value=now.get(field),
                fix="Resume it with what it was started with (its config.toml), or use --fresh.",
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


def lock_folder(path: Path) -> IO[str]:
    """Lock a folder for as long as the file stays open and this process lives.

    Raises:
        RunExistsError: another process holds the lock.
    """
    lock = (path / _LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock.close()
        raise RunExistsError(
            "another process is running this run",
            field="name",
            value=path.name,
            fix="Wait for it, stop it, or take another name.",
        ) from exc
    return lock


def _empty(path: Path) -> None:
    for child in path.iterdir():
        if child.name == _LOCK:
            continue
        if child.is_dir():
            shutil.rmtree(child)
        else:
            child.unlink()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
