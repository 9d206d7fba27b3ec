"""The logs of a job: as they are for programs, and as `qstore train` shows them on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Final, cast

from qstore_ray.cli.output import facts
from qstore_ray.cli.progress.progress import LoggedProgress, ProgressBar, is_terminal
from qstore_ray.track.records import EndRecord, StartRecord
from qstore_ray.types import ReadOnlyTable, Table
from qstore_ray.wording import decimal

_PROGRESS: Final = LoggedProgress.__module__
_OF_A_LINE: Final = frozenset({"event", "kind", "level", "logger", "timestamp"})
_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "attempt": frozenset({"epochs"}),
    "epoch": frozenset({"epoch", "step", "seconds", "samples"}),
    "end": frozenset({"status"}),
}
_PLACES: Final = ("run_dir", "study", "folder")
_SCORES: Final = tuple(
    f"{part}_{score}"
    for score in ("accuracy", "r2", "rmse")
    for part in ("val", "test", "baseline")
)


class JobLogs:
    """Writes the logs of a job to stderr, and keeps their last result.

    On a terminal the progress of a run becomes its bar, and another line of the log a line of text.
    The result and the error that end a command with `--json` are left out there: the error stands
    before it as text, and `result_text` is the result. All other lines are as they were.
    """

    def __init__(self) -> None:
        self.readable = is_terminal(sys.stderr)
        self._bar = ProgressBar()
        self._rest = ""
        self._result: Table | None = None

    def write(self, text: str) -> None:
        """Take in a part of the logs; on a terminal a line is shown when it is whole."""
        if not self.readable:
            sys.stderr.write(text)
            sys.stderr.flush()
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line(line)

    def close(self) -> None:
        """The last line, and the bar's last picture."""
        if self._rest:
            self._line(self._rest)
            self._rest = ""
        self._bar.close()

    def result(self) -> Table | None:
        """The last line of JSON that is a result or an error, or else the first of any kind."""
        return self._result

    def _line(self, line: str) -> None:
        value = _json_object(line)
        if value is not None and {"event", "level"} <= value.keys():
            if self.readable:
                self._logged(value)
            return
        is_result = value is not None and ("status" in value or "error" in value)
        if is_result or self._result is None:
            self._result = value
        if self.readable and not is_result:
            _say(line)

    def _logged(self, value: dict[str, Any]) -> None:
        event = value["event"]
        needed = _NEEDED.get(event) if value.get("logger") == _PROGRESS else None
        if needed is None or not needed <= value.keys():  # another version may have logged it
            _say(_log_line(value))
        elif event == "attempt":
            self._bar.start(cast("StartRecord", value))
        elif event == "epoch":
            self._bar.epoch(value)
        else:
            self._bar.end(cast("EndRecord", value))
            self._bar.close()


def _say(line: str) -> None:
    """A line of its own: while a bar is shown, `sys.stderr` is what writes above it."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def result_text(result: ReadOnlyTable) -> str:
    """Where a result is, its scores and its verdict; "" for an error, which the logs have shown.

    The other numbers are in the folder, and in what `--json` prints.
    """
    if "error" in result:
        return ""
    shown: list[tuple[str, Any]] = [(name.replace("_", " "), result.get(name)) for name in _PLACES]
    scores = {name: result.get(name) for name in _SCORES}
    shown += [(n.replace("_", " "), decimal(x)) for n, x in scores.items() if isinstance(x, float)]
    if isinstance(best := result.get("best"), dict):
        values = ", ".join(f"{name} {decimal(value)}" for name, value in best["values"].items())
        shown.append(("best", f"{values} in trial {best['trial']}"))
    shown.append(("verdict", result.get("verdict")))
    found = [(name, value) for name, value in shown if value]
    return facts(found) if found else ""


def _json_object(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _log_line(value: Mapping[str, Any]) -> str:
    if "kind" in value:
        return f"{value['kind']}: {value['event']}"
    more = (
        f"{name}={item}"
        for name, item in value.items()
        if name not in _OF_A_LINE and not name.startswith("_")
    )
    return " ".join([f"{value['level']}: {value['event']}", *more])
