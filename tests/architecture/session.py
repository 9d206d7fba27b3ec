"""A session of pytest in a folder of its own, under what all our tests run under."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COPIED = ("__init__.py", "conftest.py", "tiers.py")
WITHOUT = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:anyio")
"""Plugins that take longer to import than these tests to run."""


def session(
    folder: Path, repository: Path, tests: Mapping[str, str], *options: str
) -> tuple[int, str]:
    """Run the tests (name → text of the file), all of which count as fast at first.

    Returns:
        The exit code and what was printed.
    """
    (folder / "tests").mkdir(exist_ok=True)
    for name in COPIED:
        text = (repository / "tests" / name).read_text(encoding="utf-8")
        # A tenth of the time, so that a test that takes too long need not take long.
        text = text.replace("MOST_SECONDS = 0.5", "MOST_SECONDS = 0.05")
        (folder / "tests" / name).write_text(text, encoding="utf-8")
    record = folder / "tests" / "tiers.json"
    if not record.exists():
        measured = dict.fromkeys((f"tests/test_{name}.py" for name in tests), 0)
        record.write_text(json.dumps({"apart": {}, "seconds": measured}))
    for name, text in tests.items():
        (folder / "tests" / f"test_{name}.py").write_text(f"import pytest\n{text}\n")
    # An empty file of options: the folder, not what lies above it, is the root.
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n ray\n slow\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *WITHOUT, *options, "tests"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr
