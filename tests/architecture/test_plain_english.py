"""Docstrings, comments, messages and guides use the field's own words: resume, report, fix.

`HABITS` are phrases that a technical reader has to translate. `DONE` lists the packages and guides
that are free of them; the list only grows.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache

import pytest

from tests.architecture.source import MODULES, ROOT

DONE = (
    "docs/architecture.md",
    "docs/callbacks.md",
    "docs/clusters.md",
    "docs/dashboard.md",
    "docs/data.md",
    "docs/extending.md",
    "docs/gpu.md",
    "docs/models.md",
    "docs/noise.md",
    "docs/operations.md",
    "docs/predicting.md",
    "docs/runs.md",
    "docs/training.md",
    "docs/tuning.md",
    "examples/",
    "qstore_ray/backends/",
    "qstore_ray/circuits/",
    "qstore_ray/cli/",
    "qstore_ray/data/",
    "qstore_ray/figures/",
    "qstore_ray/learn/",
    "qstore_ray/ops/dashboard/",
    "qstore_ray/ops/",
    "qstore_ray/simulate/",
    "qstore_ray/track/",
    "qstore_ray/train/",
    "qstore_ray/tune/",
)
"""Paths of files, or of folders with `/`; the files at the top of the package are done, too."""

HABITS = {
    "continue, resume": r"\b(?:go|goes|going|went|gone) on\b",
    "report, say, show, distinguish": r"\b(?:tell|tells|telling|told)\b(?!\()",
    "any, every": r"\bwhatever\b",
    "exists": r"\b(?:is|are|was|were) there\b(?! a)|\bthere (?:is|are) none\b",
    "if": r"\bwhere (?:there (?:is|are)|none|nothing|no one|nobody)\b",
    "forever": r"\bfor ever\b",
    "again, new": r"\banew\b",
    "fix": r"\bmend(?:s|ed|ing)?\b",
    "the complete list": r"\band so on\b",
    "a request": r"\b(?:wish(?:es|ed)?|hears|heard|polite|politely|nobody asked)\b",
    "a sentence with a verb": r'(?:^|""")(?:Nothing|Never|Whatever)[.:]',
}
"""What to write → the phrase to replace."""

_PATTERNS = {better: re.compile(phrase, re.IGNORECASE) for better, phrase in HABITS.items()}


def _python_texts(source: str) -> Iterator[tuple[int, str]]:
    """Lines and texts of the string literals (also docstrings) and comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.isidentifier():  # a key, such as that of an array in a checkpoint
                continue
            yield node.lineno, " ".join(node.value.split())
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _guide_texts(source: str) -> Iterator[tuple[int, str]]:
    """First lines and texts of the paragraphs."""
    line = 1
    for paragraph in source.split("\n\n"):
        yield line, " ".join(paragraph.split())
        line += paragraph.count("\n") + 2


@cache
def _texts() -> tuple[tuple[str, int, str], ...]:
    return tuple(_done_texts())


def _done_texts() -> Iterator[tuple[str, int, str]]:
    for module in MODULES:
        if module.path.startswith(DONE) or module.path.count("/") == 1:
            yield from ((module.path, *found) for found in _python_texts(module.text))
    for path in sorted((*ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.py"))):
        name, source = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        texts = _python_texts if path.suffix == ".py" else _guide_texts
        if name.startswith(DONE):
            yield from ((name, *found) for found in texts(source))


@pytest.mark.parametrize("better", HABITS)
def test_no_text_has_a_phrase_with_a_standard_word(better: str):
    found = [
        f"{path}:{line} …{text[max(0, match.start() - 30) : match.end() + 30]}… (write: {better})"
        for path, line, text in _texts()
        if (match := _PATTERNS[better].search(text))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("better", "text"),
    [
        ("continue, resume", "the run goes on"),
        ("report, say, show, distinguish", "the colour tells the runs apart"),
        ("exists", "whatever is there"),
        ("if", "None where there is no file"),
        ("a sentence with a verb", "Nothing."),
    ],
)
def test_the_phrases_are_recognised(better: str, text: str):
    assert _PATTERNS[better].search(text)


def test_every_done_path_exists():
    assert [path for path in DONE if not (ROOT / path).exists()] == []
