"""The reference of the command line: the help of every command, as the program prints it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PAGE = "reference/command-line"


def described(_app: Any, page: str, source: list[str]) -> None:
    """Append a section for each command to the page; a listener of `source-read`."""
    if page == PAGE:
        source[0] += "".join(_sections())


def _sections() -> Iterator[str]:
    from typer.main import get_command
    from typer.testing import CliRunner

    from qstore_ray.cli.app import app

    runner = CliRunner()
    for path in _paths(get_command(app), ()):
        # A command's help is as wide as a line of code on the page.
        answer = runner.invoke(app, [*path, "--help"], prog_name="qstore", env={"COLUMNS": "88"})
        if answer.exit_code:
            raise RuntimeError(f"qstore {' '.join(path)} --help failed: {answer.output}")
        level = "##" if len(path) < 2 else "###"
        yield f"\n{level} {' '.join(('qstore', *path))}\n\n```text\n{answer.output.strip()}\n```\n"


def _paths(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _paths(child, (*path, name))
