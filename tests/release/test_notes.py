"""The notes of a release: what its page says."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from tests.release.small_project import SmallProject
from tests.release.test_indexes import _wheel
from tests.release.test_interrupted import _run, _tagged
from tools.release.changelog import withdrawn
from tools.release.notes import notes
from tools.release.project import Project
from tools.release.signing import Signer


def _released(*versions: str) -> str:
    """A changelog, newest first."""
    return "# Changelog\n" + "".join(
        f"\n## [{version}] - 2026-12-01\n\n- {version} it is.\n" for version in versions
    )


def _notes(project: SmallProject, version: str, files: list[Path], **how: bool) -> str:
    checkout = Project.at(project.root)
    checkout.write_version(version)
    return notes(checkout, "abc123", files, **{"signed": True, **how})


def test_the_notes_say_what_changed_and_how_to_install_and_to_go_back(project, tmp_path):
    text = _released("0.3.0", "0.2.0", "0.2.0rc1", "0.1.0")
    (project.root / "CHANGELOG.md").write_text(withdrawn(text, "0.2.0"))
    said = _notes(project, "0.3.0", [_wheel(tmp_path, "0.3.0")])
    assert said.startswith("# small-package 0.3.0\n\n## Install\n\n")
    assert "\n## Changes\n\n- 0.3.0 it is.\n\n## Checksums\n" in said
    assert "0.2.0 it is" not in said
    assert re.findall(r"\$ pip install '(.*)'", said) == [
        "small-package==0.3.0", "small-package==0.1.0",
    ]  # fmt: skip


def test_the_notes_of_the_first_release_name_no_way_back(project, tmp_path):
    (project.root / "CHANGELOG.md").write_text(_released("0.1.0"))
    assert "Go back" not in _notes(project, "0.1.0", [_wheel(tmp_path, "0.1.0")])


def test_each_checksum_is_that_of_its_file(project, tmp_path):
    (project.root / "CHANGELOG.md").write_text(_released("0.1.0"))
    wheel = _wheel(tmp_path, "0.1.0")
    found = re.findall(r"^([0-9a-f]{64})  (.+)$", _notes(project, "0.1.0", [wheel]), re.MULTILINE)
    assert found == [(hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel.name)]


def test_the_commands_that_verify_a_release_do(project):
    """They are typed as they stand there, in the repository and beside the files."""
    _tagged(project, "0.1.0")
    project.git("merge", "--quiet", "--ff-only", "v0.1.0")
    built = project.root / "dist" / "0.1.0"
    said = _notes(project, "0.1.0", [_wheel(built, "0.1.0")])
    Signer(project.key, project.root / "allowed_signers").sign(built)
    git, keygen, sums = re.findall(r"^\$ (.+)$", said.partition("## Verify")[2], re.MULTILINE)
    keygen = keygen.replace("allowed_signers", str(project.root / "allowed_signers"))
    for command, folder in ((git, project.root), (keygen, built), (sums, built)):
        subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True)
    (built / "small_package-0.1.0-py3-none-any.whl").write_bytes(b"another")
    assert subprocess.run(sums, shell=True, cwd=built, capture_output=True, check=False).returncode


def test_a_ci_job_writes_notes_for_the_files_that_it_has_built(project, monkeypatch, capsys):
    _tagged(project, "0.1.0")
    (project.root / "dist").mkdir()
    assert _run(project, "notes", "0.1.0") == 1
    assert "make sdist VERSION=0.1.0" in capsys.readouterr().err
    wheel = _wheel(project.root / "dist", "0.1.0")
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/small")
    assert _run(project, "notes", "0.1.0") == 0
    said = (project.root / "dist" / "RELEASE_NOTES.md").read_text()
    assert project.git("rev-parse", "v0.1.0^{commit}") in said
    assert (
        "$ pypi-attestations verify pypi --repository https://github.com/someone/small "
        f"pypi:{wheel.name}\n" in said
    )
    assert "SHA256SUMS" not in said  # nobody has signed these files
