"""What a release that was killed leaves, and releases at the same time."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.release.small_project import GIT, ROOT, SmallProject, small_project
from tests.release.test_indexes import _wheel
from tests.release.test_interrupted import _cut, _released, _rollback, _run, _signed, _tagged
from tools.release.cut import open_next
from tools.release.errors import ReleaseError
from tools.release.index import FolderIndex
from tools.release.lock import one_at_a_time
from tools.release.numbers import parsed
from tools.release.project import Project
from tools.release.repository import Repository

_KILLED = """
import os, signal, sys
from tools.release.__main__ import main
def kill(event, args):
    if event == sys.argv[1] and sys.argv[2] in str(args[:2]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallProject:
    """0.1.0 is built, signed and tagged; the branch is before it."""
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    made = small_project(tmp_path)
    made.change("good", "The answer is good.")
    _tagged(made, "0.1.0")
    _signed(made, "0.1.0")
    return made


def _is_finished(project: SmallProject) -> bool:
    """True if the release is complete, and nothing else is left."""
    subjects = project.git("log", "-2", "--format=%s").splitlines()
    left = [path for path in (project.root / ".git").rglob("*.lock") if path.stat().st_size]
    return (
        subjects == ["Begin 0.1.1", "Release 0.1.0"]
        and project.git("status", "--porcelain", "--ignored") == "!! dist/"
        and project.git("tag") == "v0.1.0"
        and not left
        and len(project.git("worktree", "list").splitlines()) == 1
        and not list((project.root.parent / "scratch").iterdir())
    )


@pytest.mark.parametrize(
    ("event", "at"),
    [
        ("subprocess.Popen", "'worktree', 'add'"),
        ("subprocess.Popen", "'commit'"),
        ("subprocess.Popen", "'merge', '--ff-only'"),
        ("shutil.rmtree", "tools-release-"),
        ("subprocess.Popen", "'worktree', 'prune'"),
    ],
)
def test_a_release_that_is_killed_is_finished_by_the_same_command(project, event, at):
    words = ["--root", project.root, "cut", "0.1.0", "--key", project.key]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, event, at, *words],
        cwd=ROOT, check=False, env={**os.environ, "TMPDIR": str(project.root.parent / "scratch")},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    if at == "'worktree', 'add'":  # git knows nothing yet of this empty folder
        (folder,) = (project.root.parent / "scratch").iterdir()
        folder.rmdir()
    assert _cut(project) == 0
    assert _is_finished(project)


def _half_moved(project: SmallProject, changelog_bytes: int | None) -> str:
    """As `git merge` leaves a checkout that it had begun to move; the commit it was moving to."""
    repository = Repository(project.root)
    with repository.worktree("v0.1.0") as folder:
        new = open_next(Project.at(folder), parsed("0.1.0"))
    (project.root / ".git" / "release.lock").write_text(f"{project.git('rev-parse', 'HEAD')} {new}")
    text = repository.content(new, "CHANGELOG.md")
    changelog = project.root / "CHANGELOG.md"
    changelog.unlink()
    if changelog_bytes is not None:
        changelog.write_bytes(text[:changelog_bytes])
    (project.root / "small/__init__.py").write_bytes(repository.content(new, "small/__init__.py"))
    for name in ("index.lock", "HEAD.lock", "refs/heads/main.lock", "refs/tags/v0.1.0.lock"):
        (project.root / ".git" / name).write_text("")
    return new


@pytest.mark.parametrize("written", [None, 0, 40, 100_000])
def test_a_branch_that_had_begun_to_move_is_moved(project, written):
    new = _half_moved(project, written)
    assert _cut(project) == 0
    assert project.git("rev-parse", "HEAD") == new
    assert _is_finished(project)


def test_what_someone_has_changed_since_is_not_touched(project, capsys):
    _half_moved(project, 40)
    (project.root / "CHANGELOG.md").write_text("Mine\n")
    assert _cut(project) == 1
    assert "not committed: CHANGELOG.md, small/__init__.py" in capsys.readouterr().err
    assert (project.root / "CHANGELOG.md").read_text() == "Mine\n"


def test_a_lock_file_of_git_that_is_older_than_the_killed_release_stays(project, capsys):
    lock = project.root / ".git" / "refs" / "heads" / "main.lock"
    lock.write_text("")
    os.utime(lock, (0, 0))
    (project.root / ".git" / "release.lock").write_text("running")
    assert _cut(project) == 1
    assert "main.lock" in capsys.readouterr().err


def test_a_checkout_that_git_had_only_begun_to_add_is_removed(project):
    known = project.root / ".git" / "worktrees" / "tree"
    known.mkdir(parents=True)
    (known / "locked").write_text("initializing")
    (project.root / ".git" / "release.lock").write_text("running")
    assert _cut(project) == 0
    assert _is_finished(project)


def test_the_checkouts_of_a_user_stay(project, tmp_path):
    project.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "release-mine" / "tree"))
    (project.root / ".git" / "release.lock").write_text("running")
    assert _cut(project) == 0
    assert (tmp_path / "release-mine" / "tree" / "README.md").is_file()
    assert len(project.git("worktree", "list").splitlines()) == 2


def test_two_releases_at_once_are_refused(project, capsys):
    with one_at_a_time(Repository(project.root)):
        assert _cut(project) == 1
    assert "another release runs in this repository" in capsys.readouterr().err
    assert _cut(project) == 0


def test_an_error_while_the_branch_moves_is_repaired_by_the_same_command(project):
    def move() -> None:
        with one_at_a_time(Repository(project.root)) as running:
            running.forward("v0.1.0")

    (project.root / ".git" / "index.lock").write_text("")
    with pytest.raises(ReleaseError, match=r"index\.lock"):
        move()
    assert (project.root / ".git" / "release.lock").read_text().endswith(" v0.1.0")
    (project.root / ".git" / "index.lock").unlink()
    assert _cut(project) == 0
    assert _is_finished(project)


def test_a_release_whose_files_were_removed_before_the_branch_moved_is_named(project, capsys):
    for path in (project.root / "dist" / "0.1.0").iterdir():
        path.unlink()
    (project.root / "dist" / "0.1.0").rmdir()
    assert _cut(project) == 1
    assert "git tag -d v0.1.0" in capsys.readouterr().err


def test_a_tag_that_nobody_signed_is_no_release(project, capsys):
    project.git("tag", "--force", "v0.1.0", "v0.1.0^{commit}")
    assert _cut(project) == 1
    assert "tag --verify v0.1.0" in capsys.readouterr().err


def test_a_publication_that_was_killed_leaves_no_file_of_its_own(project, tmp_path):
    index = FolderIndex(tmp_path / "index")
    index.add([_wheel(tmp_path, "0.0.9")])
    for folder in ("files", "simple", "simple/small-package"):
        (index.root / folder / ".index.html.new").write_text("<half")
    (index.root / "files" / ".small_package-0.1.0-py3-none-any.whl.new").write_text("half")
    assert _run(project, "publish", "v0.1.0", "--index", str(index.root)) == 0
    (index.root / "files" / ".index.html.new").unlink()  # nobody writes a page there
    assert not list(index.root.rglob("*.new"))
    page = (index.root / "simple/small-package/index.html").read_text()
    assert page.count("<a ") == 2


def test_a_replacement_that_was_published_in_part_is_completed(project, tmp_path):
    """The disk was full, or the rollback was killed, between the wheel and the sdist."""
    index = FolderIndex(tmp_path / "index")
    assert _cut(project) == 0
    _released(project, "0.2.0", "bad")
    for version in ("0.1.0", "0.2.0"):
        assert _run(project, "publish", version, "--index", str(index.root)) == 0
    _tagged(project, "0.2.0.post1", onto="v0.1.0")
    built = project.root / "dist" / "0.2.0.post1"
    index.add([_wheel(built, "0.2.0.post1")])
    (built / "small_package-0.2.0.post1.tar.gz").write_bytes(b"")
    _signed(project, "0.2.0.post1")
    assert _rollback(project, "0.2.0", index) == 0
    page = (index.root / "simple/small-package/index.html").read_text()
    assert "small_package-0.2.0.post1.tar.gz" in page


def test_an_index_on_a_full_disk_is_named_and_has_nothing_half(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)  # where a network's file system says it
    index = FolderIndex(tmp_path / "index")
    with pytest.raises(OSError, match=r"files/small_package-0\.1\.0"):
        index.add([_wheel(tmp_path, "0.1.0")])
    assert not list((index.root / "files").iterdir())


def test_an_index_is_written_by_one_process_at_a_time(tmp_path):
    index = FolderIndex(tmp_path / "index")
    index.add([_wheel(tmp_path, "0.1.0")])
    write = f"""
from pathlib import Path
from tools.release.index import FolderIndex
FolderIndex(Path({str(index.root)!r})).add([Path({str(_wheel(tmp_path, "0.2.0"))!r})])
"""
    folder = os.open(index.root, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with subprocess.Popen([sys.executable, "-c", write], cwd=ROOT) as other:
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=0.5)
        os.close(folder)
        assert other.wait(timeout=60) == 0
    assert len(list((index.root / "files").iterdir())) == 2


def test_a_served_index_can_be_read_whatever_the_umask_is(tmp_path):
    before = os.umask(0o077)
    try:
        FolderIndex(tmp_path / "new" / "index").add([_wheel(tmp_path, "0.1.0")])
    finally:
        os.umask(before)
    for path in (tmp_path / "new").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
