"""Nobody reads of what he cannot type: options in Python, Python's calls on the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

from qstore_ray.errors import ConfigError
from qstore_ray.track.logs.logging import announce
from qstore_ray.wording import decimal, on_command_line, worded
from tests.architecture.source import MODULES

_COMMAND = re.compile(r"(?<![\w-])--[a-z]|`qstore [a-z]")
_PYTHON = re.compile(r"\bexisting=['\"]|\b(?:sync_run|fit|predict|load|run_job)\(|TrainedModel")
_NOT_A_MESSAGE = {
    "qstore_ray/review/changes.py",  # options of git
    "qstore_ray/review/complexity.py",  # options of ruff
    "qstore_ray/review/git.py",  # options of git
    "qstore_ray/review/line_history.py",  # options of git
    "qstore_ray/wording.py",  # the table itself
    "qstore_ray/train/report/model_card.py",  # a page for whoever gets the model, which has both
    "qstore_ray/ops/compliance/repeat.py",  # the command that trains a run again
    "qstore_ray/track/attempt.py",  # options of git
    "qstore_ray/tune/dashboards/pages.py",  # options of the servers that it starts
    "qstore_ray/doctor/machine.py",  # an option of docker
    "qstore_ray/doctor/packages.py",  # an option of pip
    "qstore_ray/tune/driver/capacity.py",  # an option of `ray start`
}


def _texts(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Literals that are no docstrings."""
    documents = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and id(node) not in documents:
            yield node.lineno, node.value if isinstance(node.value, str) else ""


def test_no_message_outside_the_command_line_names_an_option_or_a_command():
    found = [
        f"{module.path}:{line} {text!r}"
        for module in MODULES
        if not module.path.startswith("qstore_ray/cli/") and module.path not in _NOT_A_MESSAGE
        for line, text in _texts(module.nodes)
        if _COMMAND.search(text)
    ]
    assert not found, "\n".join(found)


def test_no_message_of_the_command_line_names_a_call():
    found = [
        f"{module.path}:{line} {text!r}"
        for module in MODULES
        if module.path.startswith("qstore_ray/cli/")
        for line, text in _texts(module.nodes)
        if _PYTHON.search(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("python", "command"),
    [
        ("Go on with existing='resume'.", "Go on with --resume."),
        (
            "Call run_job(JobConfig.load('runs/a/config.toml'), existing='resume').",
            "Call `qstore train runs/a/config.toml --resume`.",
        ),
        ("Call left_jobs('ledgers/a').", "Type `qstore hardware reattach ledgers/a`."),
        ('existing="replace" deletes it.', "--fresh deletes it."),
        ("Call sync_run('runs/a b') later.", "Call `qstore runs sync runs/a b` later."),
        ("As TrainedModel.save writes it.", "As `qstore export` writes it."),
        ("of a job file, estimate_job() says it", "of a job file, `qstore estimate` says it"),
        ("Set trainer.epochs = 3.", "Set trainer.epochs = 3."),
    ],
)
def test_a_message_has_the_words_of_its_reader(python: str, command: str, capsys):
    error = ConfigError("no", fix=python)
    assert worded(python) == python
    assert python in str(error)
    with on_command_line():
        assert worded(python) == command
        assert str(error).endswith(command)
        assert error.as_dict()["fix"] == command
        announce("note", python)
    assert capsys.readouterr().err.strip().endswith(command)
    assert error.as_dict()["fix"] == python


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.98144, "", "0.9814"),
        (0.0, "", "0.0000"),
        (2.9e58, "", "2.9e+58"),
        (-2.9e58, "+", "-2.9e+58"),
        (3.21e-7, "", "3.21e-07"),
        (0.25, "+", "+0.2500"),
        (float("nan"), "", "nan"),
        (float("inf"), "", "inf"),
    ],
)
def test_a_score_is_short_at_any_size(value: float, sign: str, text: str):
    assert decimal(value, sign) == text
