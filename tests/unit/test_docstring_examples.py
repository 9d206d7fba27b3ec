"""The `Examples:` section in the docstring of every exported name runs.

An example may use numpy as `np` and every name that `qstore_ray` exports without importing it.
"""

from __future__ import annotations

import inspect
import logging
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog

import qstore_ray

_WITHOUT_NAMES = {
    "check_advantage": "takes minutes; docs/advice.md runs it on a few rows",
    "promote_model": "needs a model in MLflow, which takes seconds; docs/training.md runs it",
    "ReadTask": "is a type alias, which has no docstring; SourceData has an example of one",
    "run_federated_job": "takes seconds; tests/unit/federated/test_job.py runs it",
    "run_job": "takes seconds; tests/unit/test_job_faults.py runs it",
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


def _example(name: str) -> str:
    """The code below `Examples:`, "" if the docstring has no such section."""
    document = inspect.getdoc(getattr(qstore_ray, name)) or ""
    _, found, rest = document.partition("\nExamples:\n")
    lines = [] if not found else rest.split("\n")
    end = next((i for i, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    return textwrap.dedent("\n".join(lines[:end]))


def _has_none(name: str) -> bool:
    return name in _WITHOUT_NAMES


@pytest.mark.parametrize("name", sorted(set(qstore_ray.__all__)))
def test_the_example_of_an_exported_name_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = _example(name)
    if not code:
        assert _has_none(name), f"{name} has no Examples section"
        return
    assert not _has_none(name), f"{name} has an example: remove it from the list"
    assert 1 <= len(code.strip().splitlines()) <= 6
    monkeypatch.chdir(tmp_path)
    scope = {"np": np, **{name: getattr(qstore_ray, name) for name in qstore_ray.__all__}}
    exec(compile(code, f"<example of {name}>", "exec"), scope)
