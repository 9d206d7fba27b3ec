"""QS121: functions with many paths. ruff counts them (C901); without ruff nothing is checked."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from qstore_ray.errors import BackendError, last_line
from qstore_ray.review.flaw import Flaw

_SECONDS: Final = 120.0
_COUNT = re.compile(r"`(.+)` is too complex \((\d+) > \d+\)")


def ruff_command() -> list[str] | None:
    """How ruff is called here: that of this Python first; None if it is not installed."""
    if importlib.util.find_spec("ruff") is not None:
        return [sys.executable, "-m", "ruff"]
    found = shutil.which("ruff")
    return None if found is None else [found]


def find_complex(root: Path, paths: Sequence[str], most: int) -> list[Flaw] | None:
    """The functions of these files with more than `most` paths; None if ruff is not installed.

    A notebook's lines are those of its cells, not of its file, so notebooks are left out.

    Raises:
        BackendError: ruff fails, or prints what is no report.
    """
    command = ruff_command()
    files = [path for path in paths if path.endswith(".py")]
    if command is None or not files:
        return None if command is None else []
    options = ["check", "--isolated", "--no-cache", "--no-fix", "--exit-zero", "--select", "C901"]
    options += ["--config", f"lint.mccabe.max-complexity={most}", "--output-format", "json", "--"]
    try:
        done = subprocess.run(  # noqa: S603 - ruff, with paths that no shell reads
            [*command, *options, *files],
            cwd=root,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        report = json.loads(done.stdout)
        return [flaw for entry in report if (flaw := _flaw(root, entry)) is not None]
    except subprocess.TimeoutExpired as exc:
        raise _ruff_error(f"took longer than {_SECONDS:g} s") from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        reason = last_line(done.stderr) if isinstance(exc, ValueError) else type(exc).__name__
        raise _ruff_error(f"printed no report: {reason or 'nothing at all'}") from exc


def _flaw(root: Path, entry: dict[str, object]) -> Flaw | None:
    message, place = str(entry["message"]), entry["location"]
    match = _COUNT.search(message)
    if match is None or not isinstance(place, dict):
        return None  # a syntax error, which QS100 reports
    path = Path(str(entry["filename"])).resolve()
    line = int(place["row"])
    inside = path.is_relative_to(root.resolve())
    return Flaw(
        rule="QS121",
        level="warning",
        path=(path.relative_to(root.resolve()) if inside else path).as_posix(),
        line=line,
        end_line=line,
        message=f"{match[1]} has {match[2]} paths",
        rewrite="Give each case a function of its own with a name, or the cases a table.",
    )


def _ruff_error(what: str) -> BackendError:
    return BackendError(
        f"ruff {what}",
        field="ruff",
        fix="Try `ruff check --select C901` yourself, or leave most_paths at None.",
    )
