"""`qstore tune JOB.toml` and `qstore tune show NAME`: a group whose first word may be a job file.

A word that is no command is a job file, which the hidden command `run` takes. One that is nearly a
command and no file is more likely mistyped, and is left to the message for unknown commands.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Final

from typer.core import TyperGroup

RUN: Final = "run"
"""The hidden command."""

_HELP: Final = ("--help", "-h")


class JobOrCommand(TyperGroup):
    """A group of commands whose first word may be a job file, or an option of its command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the hidden command before what is no command."""
        if args and args[0] not in self.commands and args[0] not in _HELP:
            file = args[0].endswith(".toml") or Path(args[0]).exists()
            if file or not difflib.get_close_matches(args[0], self.commands, n=1):
                args = [RUN, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Both forms."""
        formatter.write_usage(ctx.command_path, "JOB.toml [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND NAME [OPTIONS]", prefix="       ")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of a search, before the commands."""
        run = self.commands[RUN]
        records = [parameter.get_help_record(ctx) for parameter in run.params]
        with formatter.section("Options of a search"):
            formatter.write_dl([record for record in records if record is not None])
        super().format_options(ctx, formatter)
