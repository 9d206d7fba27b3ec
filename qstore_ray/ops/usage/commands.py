"""Counting commands, if the user has switched it on: one line for each command, in a local file.

    $XDG_STATE_HOME/qstore_ray/usage.jsonl, by default ~/.local/state/qstore_ray/usage.jsonl
    {"at": 1767225600, "command": "runs show", "seconds": 0.4, "exit_code": 0}

The file is the switch: without it nothing is counted. A line has the names of commands, no argument
and no option. Begin with `count_command`; this module imports nothing heavy.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qstore_ray.errors import ConfigError
from qstore_ray.files import expanded, parsed_json, unwritable_fix

USAGE: Final = "usage.jsonl"


@dataclass(frozen=True)
class CommandCount:
    """One command: how often it was typed, how long that took in all, how often it failed."""

    times: int
    seconds: float
    failed: int


def usage_file() -> Path:
    """The file of the counts, whether it exists or not."""
    state = expanded(os.environ.get("XDG_STATE_HOME") or "~/.local/state")
    return state / "qstore_ray" / USAGE


def is_counting() -> bool:
    """Whether commands are counted."""
    return usage_file().is_file()


def switch_counting(on: bool) -> Path:
    """Begin to count commands, or end it and delete the counts; the file.

    Raises:
        ConfigError: the file cannot be created or deleted.
    """
    file = usage_file()
    try:
        if on:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
        else:
            file.unlink(missing_ok=True)
    except OSError as exc:
        raise ConfigError(
            f"the file of the counts cannot be changed: {exc.strerror or type(exc).__name__}",
            field="XDG_STATE_HOME",
            value=str(file),
            fix=unwritable_fix(exc),
        ) from exc
    return file


def count_command(command: str, at: float, seconds: float, exit_code: int) -> None:
    """Count a command that has ended, if commands are counted.

    Raises:
        OSError: the file exists and cannot be written.
    """
    if not is_counting():
        return
    entry = {"at": int(at), "command": command, "seconds": round(seconds, 3)}
    line = json.dumps({**entry, "exit_code": exit_code}) + "\n"
    descriptor = os.open(usage_file(), os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def counted_commands(since: float = 0.0) -> dict[str, CommandCount]:
    """Command → its counts, by name; a line that is cut or damaged is passed over.

    Args:
        since: seconds since 1970; what was typed before is left out.

    Raises:
        ConfigError: the file exists and cannot be read.
    """
    try:
        lines = usage_file().read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise ConfigError(
            f"the file of the counts cannot be read: {exc.strerror or type(exc).__name__}",
            field="XDG_STATE_HOME",
            value=str(usage_file()),
            fix="Make it readable, or delete it.",
        ) from exc
    found: dict[str, CommandCount] = {}
    for line in lines:
        entry = _decoded(line)
        if entry is not None and entry[1] >= since:
            name, _, seconds, failed = entry
            before = found.get(name, CommandCount(0, 0.0, 0))
            found[name] = CommandCount(
                before.times + 1, before.seconds + seconds, before.failed + failed
            )
    return dict(sorted(found.items()))


def _decoded(line: bytes) -> tuple[str, float, float, int] | None:
    """Name, time, seconds, and 1 if it failed; None for a line that is no count."""
    try:
        entry = parsed_json(line)
        at, seconds = float(entry["at"]), float(entry["seconds"])
        return str(entry["command"]), at, seconds, int(entry["exit_code"] != 0)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
