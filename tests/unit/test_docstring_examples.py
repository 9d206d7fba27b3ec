"""The `Examples:` section in the docstring of every exported name runs, and of every other name.

An example may use numpy as `np`, every name that `qstore_ray` exports, and the names of its own
module without importing them.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog

import qstore_ray

PACKAGE = Path(qstore_ray.__file__).parent
_WITHOUT_NAMES = {
    "check_advantage": "takes minutes; docs/advice.md runs it on a few rows",
    "promote_model": "needs a model in MLflow, which takes seconds; docs/runs.md runs it",
    "ReadTask": "is a type alias, which has no docstring; SourceData has an example of one",
    "run_federated_job": "takes seconds; docs/federated.md runs it",
    "run_job": "takes seconds; docs/training.md runs it",
    "run_search": "starts Ray; tests/ray/test_tune_ray.py runs it",
}


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """The example of `configure_logging` replaces the handlers of this process."""
    logger = logging.getLogger("qstore_ray")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before
    structlog.reset_defaults()


def _example(documented: object) -> str:
    """The code below `Examples:`, "" if the docstring has no such section."""
    document = inspect.getdoc(documented) or ""
    _, found, rest = document.partition("\nExamples:\n")
    lines = [] if not found else rest.split("\n")
    end = next((i for i, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    return textwrap.dedent("\n".join(lines[:end]))


def _not_exported() -> list[tuple[str, str]]:
    """Module and name of all others whose docstring has an example."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text("utf-8")
        if "\n    Examples:\n" not in text:
            continue
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        module = module.removesuffix(".__init__")
        for block in re.split(r"\n(?=(?:class|def|@)\b|@)", text):
            name = re.match(r"(?:@.*\n)*(?:class|def) (\w+)", block)
            if name and "\n    Examples:\n" in block and name[1] not in qstore_ray.__all__:
                found.append((module, name[1]))
    return found


def _has_none(name: str) -> bool:
    return name in _WITHOUT_NAMES


@pytest.mark.parametrize("name", sorted(set(qstore_ray.__all__)))
def test_the_example_of_an_exported_name_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = _example(getattr(qstore_ray, name))
    if not code:
        assert _has_none(name), f"{name} has no Examples section"
        return
    assert not _has_none(name), f"{name} has an example: remove it from the list"
    monkeypatch.chdir(tmp_path)
    _run(code, name, {})


@pytest.mark.parametrize(("module", "name"), _not_exported())
def test_the_example_of_another_name_runs(
    module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # no warm cluster of the user's is met
    scope = vars(importlib.import_module(module))
    _run(_example(scope[name]), name, scope)


def _run(code: str, name: str, scope: dict[str, object]) -> None:
    assert 1 <= len(code.strip().splitlines()) <= 6
    exported = {name: getattr(qstore_ray, name) for name in qstore_ray.__all__}
    exec(compile(code, f"<example of {name}>", "exec"), {"np": np, **exported, **scope})
