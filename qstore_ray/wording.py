"""Messages that suit their reader: calls and arguments in Python, commands and options in a shell.

A message names a Python argument or call, `existing="resume"` or `sync_run("runs/a")`, or a field
that both interfaces have, such as `trainer.epochs`. When the command line prints it, `worded`
replaces the Python form by the option or command. Each message is written once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_COMMANDS: Final = (
    (
        re.compile(r"\brun_job\(JobConfig\.load\('([^']*)'\), existing='resume'\)"),
        r"`qstore train \1 --resume`",
    ),
    (re.compile(r"\bCall left_jobs\('([^']*)'\)"), r"Type `qstore hardware reattach \1`"),
    (re.compile(r"\bexisting=(['\"])resume\1"), "--resume"),
    (re.compile(r"\bexisting=(['\"])replace\1"), "--fresh"),
    (re.compile(r"\bsync_run\(['\"]?([^'\")]*)['\"]?\)"), r"`qstore runs sync \1`"),
    (re.compile(r"\bStudyResult\.load\('STORAGE', '([^']*)'\)"), r"`qstore tune show \1`"),
    (re.compile(r"\bTrainedModel\.save\b"), "`qstore export`"),
    (re.compile(r"\bestimate_job\(\)"), "`qstore estimate`"),
    (re.compile(r"\bCall stop_cluster\(\)"), "Type `qstore cluster down`"),
    (re.compile(r"\bcall stop_cluster\(\)"), "type `qstore cluster down`"),
)
"""Patterns of Python forms, with the replacement on the command line."""

_LEAST, _MOST = 1e-4, 1e6
"""Numbers between them, and 0, are shown with four decimals."""

_shown_on = {"command line": False}


def decimal(value: float, sign: str = "") -> str:
    """A score or a loss in at most ten characters.

    Args:
        sign: "+" shows the sign of positive numbers too.
    """
    fits = value == 0.0 or _LEAST <= abs(value) < _MOST
    return f"{value:{sign}.4f}" if fits else f"{value:{sign}.4g}"


@contextmanager
def on_command_line() -> Iterator[None]:
    """Inside the block, `worded` names options and commands, in all threads."""
    before, _shown_on["command line"] = _shown_on["command line"], True
    try:
        yield
    finally:
        _shown_on["command line"] = before


def worded(text: str) -> str:
    """Replace Python forms in a message by commands while `on_command_line` is active."""
    if _shown_on["command line"]:
        for python, command in _COMMANDS:
            text = python.sub(command, text)
    return text
