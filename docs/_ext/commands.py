"""The reference of the command line: what each command does, and its help as it is printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PAGE = "reference/command-line"


def described(_app: Any, page: str, source: list[str]) -> None:
    """Append a table of all commands and a section for each; a listener of `source-read`."""
    if page == PAGE:
        source[0] += "".join(_sections())


def _sections() -> Iterator[str]:
    from typer.main import get_command
    from typer.testing import CliRunner

    from qstore_ray.cli.app import app

    runner, root = CliRunner(), get_command(app)
    yield "\n| command | what it does |\n|---|---|\n"
    for path, command in _paths(root, ()):
        if path:  # the help of `qstore` itself cuts these sentences
            name = " ".join(("qstore", *path))
            yield f"| [`{name}`](#{'-'.join(('qstore', *path))}) | {_purpose(command)} |\n"
    for path, _ in _paths(root, ()):
        # A command's help is as wide as a line of code on the page.
        answer = runner.invoke(app, [*path, "--help"], prog_name="qstore", env={"COLUMNS": "88"})
        if answer.exit_code:
            raise RuntimeError(f"qstore {' '.join(path)} --help failed: {answer.output}")
        level = "##" if len(path) < 2 else "###"
        yield f"\n{level} {' '.join(('qstore', *path))}\n\n```text\n{answer.output.strip()}\n```\n"


def _purpose(command: Any) -> str:
    """The first paragraph of a command's help."""
    return " ".join(command.help.partition("\n\n")[0].split()).replace("|", "\\|")


def _paths(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _paths(child, (*path, name))
