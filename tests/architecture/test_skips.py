"""A test that is skipped without a written reason fails the session."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SILENT = {
    "mark": "@pytest.mark.skip\ndef test_it(): pass",
    "call": "def test_it(): pytest.skip()",
    "module": "pytest.skip('', allow_module_level=True)",
}
EXPLAINED = {
    "mark": "@pytest.mark.skip(reason='no GPU')\ndef test_it(): pass",
    "condition": "@pytest.mark.skipif(True, reason='no GPU')\ndef test_it(): pass",
    "package": "pytest.importorskip('no_such_package')",
    "xfail": "@pytest.mark.xfail\ndef test_it(): assert False",
}


def _session(folder: Path, repository: Path, tests: dict[str, str]) -> tuple[int, str]:
    shutil.copy(repository / "tests" / "conftest.py", folder)
    (folder / "test_fine.py").write_text("def test_fine(): pass\n")
    for name, text in tests.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n{text}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "."],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


def test_skips_without_a_reason_fail_the_session_and_are_named(tmp_path, repository):
    code, output = _session(tmp_path, repository, SILENT)
    assert code == 1
    named = [line for line in output.splitlines() if line.startswith("SKIPPED WITHOUT A REASON")]
    assert len(named) == len(SILENT)
    assert all(any(f"test_{name}.py" in line for line in named) for name in SILENT)
    assert "1 passed, 3 skipped" in output.splitlines()[-1]


def test_skips_with_a_reason_are_accepted(tmp_path, repository):
    code, output = _session(tmp_path, repository, EXPLAINED)
    assert code == 0, output
    assert "1 passed, 3 skipped, 1 xfailed" in output.splitlines()[-1]
