"""A test that is skipped without a written reason fails the session."""

from __future__ import annotations

from tests.architecture.session import session

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


FINE = {"fine": "def test_fine(): pass"}


def test_skips_without_a_reason_fail_the_session_and_are_named(tmp_path, repository):
    code, output = session(tmp_path, repository, FINE | SILENT)
    assert code == 1
    named = [line for line in output.splitlines() if line.startswith("SKIPPED WITHOUT A REASON")]
    assert len(named) == len(SILENT)
    assert all(any(f"test_{name}.py" in line for line in named) for name in SILENT)
    assert "1 passed, 3 skipped" in output.splitlines()[-1]


def test_skips_with_a_reason_are_accepted(tmp_path, repository):
    code, output = session(tmp_path, repository, FINE | EXPLAINED)
    assert code == 0, output
    assert "1 passed, 3 skipped, 1 xfailed" in output.splitlines()[-1]
