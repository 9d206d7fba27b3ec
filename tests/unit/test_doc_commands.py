"""The commands that the pages name exist: programs, their options, targets of make, and files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from qstore_ray.cli.app import app
from qstore_ray.cli.tune.group import JobOrCommand
from tests.guides import DOCS

ROOT = DOCS.parent
PAGES = [
    *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
_BLOCK = re.compile(r"```(?:console|sh)\n(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`((?:qstore|make) [^`]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_exists(page: Path) -> None:
    for words in _commands(page.read_text("utf-8")):
        if words[0] == "qstore":
            _check_qstore(words[1:])
        elif words[0] == "make":
            targets = {word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)}
            assert targets <= TARGETS, words
        for word in words:
            if re.match(r"(benchmarks|examples|jobs|tools)/[\w/.-]+$", word):
                assert (ROOT / word).exists(), words


def test_a_command_that_is_not_there_is_found() -> None:
    shown = "```console\n$ qstore train jobs/digits.toml --set a=1   # a comment\n```\n"
    assert list(_commands(shown)) == [["qstore", "train", "jobs/digits.toml", "--set", "a=1"]]
    for wrong in (["trian"], ["train", "--epoch", "3"], ["runs", "shwo"], ["tune", "shwo"]):
        with pytest.raises(AssertionError):
            _check_qstore(wrong)


def _commands(text: str) -> Iterator[list[str]]:
    """The words of each command in the blocks and sentences of a page."""
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith(("$ ", "qstore ", "make ")):
                yield from _simple(line.removeprefix("$ "))
    for command in _INLINE.findall(text):
        yield from _simple(" ".join(command.split()))


def _simple(line: str) -> Iterator[list[str]]:
    """The commands of a line of the shell, without variables that are set for them."""
    parts = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    parts.commenters, parts.whitespace_split = "#", True
    words: list[str] = []
    for word in [*parts, ";"]:
        if set(word) <= set("|&;<>()"):
            if words:
                yield words
            words = []
        elif words or not re.match(r"[A-Z_]+=", word):
            words.append(word)


def _check_qstore(words: list[str]) -> None:
    """Each word that should be a command is one, and each option belongs to it or to one above."""
    command = _qstore()
    options = _options(command) | {"--help"}
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        job = words[0].endswith(".toml") and isinstance(command, JobOrCommand)
        name = "run" if job else words[0]
        assert name in command.commands, words
        command, words = command.commands[name], words if job else words[1:]
        options |= _options(command)
    named = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert named <= options, (words, named - options)


@cache
def _qstore() -> Any:
    return get_command(app)


def _options(command: Any) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
