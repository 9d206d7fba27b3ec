"""Releases and rollbacks that were killed on their way, typed again; indexes of others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from packaging.version import Version

from tests.release.small_project import SmallProject
from tests.release.test_indexes import _wheel
from tools.release import changelog, numbers
from tools.release.__main__ import main
from tools.release.errors import ReleaseError
from tools.release.index import FolderIndex
from tools.release.project import Project
from tools.release.repository import Repository
from tools.release.signing import Signer


def _run(project: SmallProject, *words: str) -> int:
    return main(["--root", str(project.root), *words])


def _cut(project: SmallProject, version: str = "0.1.0") -> int:
    return _run(project, "cut", version, "--key", str(project.key))


def _rollback(project: SmallProject, bad: str, index: FolderIndex) -> int:
    words = ("--key", str(project.key), "--index", str(index.root), "--reason", "Wrong\nanswers.")
    return _run(project, "rollback", bad, *words)


def _signed(project: SmallProject, version: str) -> Path:
    """The files of a release, as `make release` leaves them."""
    built = project.root / "dist" / version
    _wheel(built, version)
    Signer(project.key, project.root / "allowed_signers").sign(built)
    return built


def _tagged(project: SmallProject, version: str, onto: str = "main") -> None:
    """A commit of a release beside the branch, with its tag; the checkout is as it was."""
    project.git("switch", "--quiet", "--detach", onto)
    checkout = Project.at(project.root)
    checkout.write_version(version)
    text = checkout.read("CHANGELOG.md")
    if changelog.sections(text)[0].when == "unreleased":
        text = changelog.released(text, version, "2026-12-01")
    else:
        text = changelog.added(text, version, "2026-12-01", "- Again.", above="0.1.0")
    checkout.write("CHANGELOG.md", text)
    project.git("commit", "--quiet", "-am", f"Release {version}")
    key = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={project.key}")
    project.git(*key, "tag", "--sign", "-m", f"Release {version}", f"v{version}")
    project.git("switch", "--quiet", "main")


def _released(project: SmallProject, version: str, answer: str) -> None:
    project.change(answer, f"The answer is {answer}.")
    _tagged(project, version)
    _signed(project, version)
    assert _cut(project, version) == 0


@pytest.mark.parametrize("moved", [False, True])
def test_a_release_that_was_killed_after_its_tag_is_finished_by_the_same_command(
    project, moved, capsys
):
    _tagged(project, "0.1.0")
    _signed(project, "0.1.0")
    if moved:
        project.git("merge", "--quiet", "--ff-only", "v0.1.0")
    assert _cut(project) == 0
    assert project.git("log", "-2", "--format=%s").splitlines() == ["Begin 0.1.1", "Release 0.1.0"]
    assert project.git("rev-parse", "HEAD~1") == project.git("rev-parse", "v0.1.0^{commit}")
    assert project.git("status", "--porcelain") == ""
    assert "## [0.1.1] - unreleased" in (project.root / "CHANGELOG.md").read_text()
    head = project.git("rev-parse", "HEAD")
    assert _cut(project) == 0  # killed at its very end, or typed twice
    assert "0.1.0 was released before: nothing is left to do" in capsys.readouterr().out
    assert project.git("rev-parse", "HEAD") == head


def test_a_branch_that_went_on_beside_the_tag_is_not_moved(project, capsys):
    _tagged(project, "0.1.0")
    _signed(project, "0.1.0")
    project.change("other", "Another.")
    before = project.git("rev-parse", "HEAD")
    assert _cut(project) == 1
    assert "0.1.0 was released" in capsys.readouterr().err
    assert project.git("rev-parse", "HEAD") == before


def _no_tag(project: SmallProject) -> None:
    project.git("tag", "--delete", "v0.1.0")


def _no_signature(project: SmallProject) -> None:
    (project.root / "dist/0.1.0/SHA256SUMS.sig").unlink()


def _another_wheel(project: SmallProject) -> None:
    (project.root / "dist/0.1.0/small_package-0.1.0-cp311-none-any.whl").write_bytes(b"other")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_tag, "was not finished: make release VERSION=0.1.0"),
        (_no_signature, "is not signed"),
        (_another_wheel, "small_package-0.1.0-cp311-none-any.whl is in"),
    ],
)
def test_what_was_not_finished_or_not_signed_is_not_published(
    project, tmp_path, spoil, said, capsys
):
    _tagged(project, "0.1.0")
    _signed(project, "0.1.0")
    spoil(project)
    assert _run(project, "publish", "0.1.0", "--index", str(tmp_path / "index")) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "index").exists()


def test_a_rollback_that_was_killed_before_it_published_continues_and_may_be_repeated(
    project, tmp_path
):
    index = FolderIndex(tmp_path / "index")
    _released(project, "0.1.0", "good")
    _released(project, "0.2.0", "bad")
    for version in ("0.1.0", "0.2.0"):
        assert _run(project, "publish", version, "--index", str(index.root)) == 0
    _tagged(project, "0.2.0.post1", onto="v0.1.0")
    _signed(project, "0.2.0.post1")
    assert not index.has("small-package", Version("0.2.0.post1"))
    for _ in range(2):
        assert _rollback(project, "0.2.0", index) == 0
        assert index.has("small-package", Version("0.2.0.post1"))
        headings = [(e.version, e.when) for e in changelog.sections(_notes(project))]
        assert headings[1:3] == [
            ("0.2.0.post1", "2026-12-01"),
            ("0.2.0", "2026-12-01 [YANKED]"),
        ]
        assert project.git("log", "-2", "--format=%s").splitlines() == [
            "Withdraw 0.2.0", "Begin 0.2.1",
        ]  # fmt: skip
    assert set(index.withdrawn.values()) == {"Wrong answers. Install small-package==0.2.0.post1"}


def _notes(project: SmallProject) -> str:
    return (project.root / "CHANGELOG.md").read_text()


def test_a_candidate_is_withdrawn_and_replaces_no_version(project, tmp_path):
    index = FolderIndex(tmp_path / "index")
    _released(project, "0.1.0", "good")
    _released(project, "0.2.0rc1", "bad")
    for version in ("0.1.0", "0.2.0rc1"):
        assert _run(project, "publish", version, "--index", str(index.root)) == 0
    # A candidate after it is no replacement of 0.1.0, but one of the candidate before.
    assert numbers.good_before(Version("0.2.0rc1"), Repository(project.root).versions(), [])
    assert _rollback(project, "0.2.0rc1", index) == 0
    assert (index.root / "overrides/0.2.0rc1.txt").read_text() == "small-package==0.1.0\n"
    assert project.git("tag").split() == ["v0.1.0", "v0.2.0rc1"]


@pytest.mark.parametrize(("bad", "said"), [("x.y", "no version number"), ("9.9", "not released")])
def test_what_is_no_released_version_is_not_rolled_back(project, tmp_path, bad, said, capsys):
    assert _rollback(project, bad, FolderIndex(tmp_path / "index")) == 1
    assert said in capsys.readouterr().err


def test_a_version_that_was_never_published_is_not_withdrawn(project, tmp_path, capsys):
    _released(project, "0.1.0", "good")
    _released(project, "0.2.0", "bad")
    assert _rollback(project, "0.2.0", FolderIndex(tmp_path / "index")) == 1
    assert "give the INDEX that has it" in capsys.readouterr().err
    assert project.git("log", "-1", "--format=%s") == "Begin 0.2.1"


def test_tags_that_are_no_versions_are_left_out(project):
    project.git("tag", "v2-notes")
    project.git("tag", "v0.0.9")
    assert Repository(project.root).versions() == [Version("0.0.9")]


def test_a_clone_without_tags_knows_what_was_released_by_its_changelog(project, capsys):
    text = _notes(project) + "\n## [0.3.0] - 2026-11-01\n\n- Some.\n"
    (project.root / "CHANGELOG.md").write_text(text)
    project.git("commit", "-qam", "Release 0.3.0")
    assert _cut(project, "0.2.0") == 1
    assert "0.3.0 was released; type VERSION=0.3.1" in capsys.readouterr().err


def test_hooks_and_settings_of_the_user_do_not_change_a_commit(project, monkeypatch):
    for name in ("prepare-commit-msg", "commit-msg", "post-checkout", "post-merge"):
        hook = project.root / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text('#!/bin/sh\ntest -z "$1" || echo TICKET-1 >>"$1"\nexit 1\n')
        hook.chmod(0o755)
    for setting in ("log.showSignature true", "column.ui always", "commit.gpgsign true",
                    f"user.signingkey {project.key}", "gpg.format ssh",
                    f"gpg.ssh.allowedSignersFile {project.root / 'allowed_signers'}"):  # fmt: skip
        project.git("config", *setting.split(" ", 1))
    repository = Repository(project.root)
    with repository.worktree("HEAD") as folder:
        (folder / "small" / "more.py").write_text("")
        commit = Repository(folder).commit("Release 0.1.0")
    repository.forward(commit)
    assert project.git("-c", "log.showSignature=false", "log", "-1", "--format=%B") == (
        "Release 0.1.0"
    )
    assert abs(repository.seconds_of(commit) - repository.seconds_of("HEAD~1")) < 600


def test_line_ends_of_the_archive_do_not_depend_on_settings(project, tmp_path):
    project.git("config", "core.autocrlf", "true")
    Repository(project.root).unpack("HEAD", tmp_path / "unpacked")
    assert b"\r" not in (tmp_path / "unpacked/small/answer.py").read_bytes()


def test_a_key_with_a_passphrase_and_without_a_terminal_says_what_to_do(project, capsys):
    words = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret words", "-f", project.key]
    subprocess.run(words, check=True)
    assert _cut(project) == 1
    assert "ssh-add" in capsys.readouterr().err


def test_files_of_others_in_an_index_are_left_alone(tmp_path):
    index = FolderIndex(tmp_path / "index")
    index.add([_wheel(tmp_path, "0.1.0")])
    for name in (".DS_Store", "index.html", "tmpab12cd", "notes.whl", "x.tar.gz"):
        (index.root / "files" / name).write_text("")
    (index.root / "files" / "folder-1.0.tar.gz").mkdir()
    index.add([_wheel(tmp_path, "0.2.0")])
    page = (index.root / "simple/small-package/index.html").read_text()
    assert page.count("<a ") == 2
    assert index.withdraw("small-package", Version("0.1.0"), "r") == [
        "small_package-0.1.0-py3-none-any.whl"
    ]


def test_an_index_that_is_empty_damaged_or_closed_is_said(project, tmp_path, capsys):
    with pytest.raises(ReleaseError, match="give the INDEX"):
        FolderIndex(tmp_path / "nowhere").withdraw("p", Version("1"), "r")
    index = FolderIndex(tmp_path / "index")
    index.add([_wheel(tmp_path, "0.1.0")])
    (index.root / "withdrawn.json").write_text("{")
    with pytest.raises(ReleaseError, match="damaged"):
        index.add([_wheel(tmp_path, "0.1.0")])
    _tagged(project, "0.1.0")
    _signed(project, "0.1.0")
    (tmp_path / "closed").write_text("no folder")
    assert _run(project, "publish", "0.1.0", "--index", str(tmp_path / "closed")) == 1
    assert "type the same again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("released", "following", "opened"),
    [("1.2.3", "1.2.4", "1.2.4.dev0"), ("1.2.3rc1", "1.2.3", "1.2.3rc2.dev0"),
     ("1!2.0", "1!2.1", "1!2.1.dev0"), ("1.2.3.post1", "1.2.4", "1.2.4.dev0")],
)  # fmt: skip
def test_the_number_after_a_release(released, following, opened):
    version = Version(released)
    assert (numbers.following(version), numbers.opened_after(version)) == (following, opened)
    assert version < Version(opened) < Version(following)
