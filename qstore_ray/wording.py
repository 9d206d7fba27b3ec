"""What to type, as messages say it: written in Python's words, read on the command line in its own.

A message names what Python has, `existing="resume"` or `sync_run("runs/a")`, or a field that both
have, such as `trainer.epochs`. While the command line shows it, `worded` puts the option or the
command in its place. So there is one text, and nobody reads of what he cannot type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_COMMANDS: Final = (
    (re.compile(r"\bexisting=(['\"])resume\1"), "--resume"),
    (re.compile(r"\bexisting=(['\"])replace\1"), "--fresh"),
    (re.compile(r"\bsync_run\(['\"]?([^'\")]*)['\"]?\)"), r"`qstore runs sync \1`"),
    (re.compile(r"\bread_result\(['\"]?([^'\")]*)['\"]?\)"), r"`qstore tune show \1`"),
    (re.compile(r"\bTrainedModel\.save\b"), "`qstore export`"),
)
"""Python's words, and what the command line has instead."""

_shown_on = {"command line": False}


@contextmanager
def on_command_line() -> Iterator[None]:
    """For the time of the block, all threads' messages are read by somebody who types commands."""
    before, _shown_on["command line"] = _shown_on["command line"], True
    try:
        yield
    finally:
        _shown_on["command line"] = before


def worded(text: str) -> str:
    """A message in the words of those who read it."""
    if _shown_on["command line"]:
        for python, command in _COMMANDS:
            text = python.sub(command, text)
    return text
