"""What is not fit for a release is refused before anything is built."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

from tests.release.small_project import SmallProject, small_project
from tools.release.__main__ import main
from tools.release.build import normalised, refuse_unless_same, sha256
from tools.release.contents import bound_to_one_python, missing, refuse_if_bound
from tools.release.errors import ReleaseError
from tools.release.index import FolderIndex
from tools.release.project import Project
from tools.release.publish import folder_index

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0000000000000000000000000000000000000000000 other"


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    made = small_project(tmp_path)
    made.change("good", "The answer is good.")
    return made


def _dirty(project: SmallProject) -> None:
    (project.root / "forgotten.py").write_text("")


def _other_branch(project: SmallProject) -> None:
    project.git("switch", "--quiet", "-c", "feature")


def _no_notes(project: SmallProject) -> None:
    path = project.root / "CHANGELOG.md"
    path.write_text(path.read_text().replace("- The answer is good.\n", ""))
    project.git("commit", "-qam", "Forget")


def _released_before(project: SmallProject) -> None:
    project.git("tag", "v0.1.0")


def _another_key(project: SmallProject) -> None:
    (project.root / "allowed_signers").write_text(f"release {KEY}\n")
    project.git("commit", "-qam", "Allow another")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_dirty, "not committed: forgotten.py; commit it"),
        (_other_branch, "not feature: git switch main"),
        (_no_notes, "is empty: write a line"),
        (_released_before, "0.1.0 was released; type VERSION=0.1.1 or later"),
        (_another_key, "commit a line such as\n  release ssh-ed25519"),
    ],
)
def test_what_is_not_fit_is_refused_and_nothing_changes(project, spoil, said, capsys):
    spoil(project)
    before = project.git("rev-parse", "HEAD"), project.git("status", "--porcelain")
    assert main(["--root", str(project.root), "cut", "0.1.0", "--key", str(project.key)]) == 1
    assert said in capsys.readouterr().err
    assert (project.git("rev-parse", "HEAD"), project.git("status", "--porcelain")) == before
    assert not (project.root / "dist").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cut", "", "--key", "x"], "VERSION=1.2.3"),
        (["cut", "1.0", "--key", ""], "KEY=~/.ssh/id_ed25519"),
        (["publish", "1.0", "--index", ""], "INDEX=/srv/index"),
        (["rollback", "1.0", "--key", __file__, "--index", "x", "--reason", " "], "REASON="),
    ],
)
def test_an_empty_variable_of_make_is_refused(words, said, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rollback", "0.9.0", "--key", "{key}", "--index", "x", "--reason", "r"), "not released"),
        (("rollback", "0.1.0", "--key", "{key}", "--index", "x", "--reason", "r"), "make release"),
        (("publish", "0.1.0", "--index", "x"), "make release VERSION=0.1.0"),
        (("publish", "0.1.0", "--index", "ftp://x"), "make release VERSION=0.1.0"),
    ],
)
def test_what_was_not_released_is_neither_published_nor_rolled_back(project, words, said, capsys):
    project.git("tag", "v0.1.0")
    filled = [word.format(key=project.key) for word in words]
    assert main(["--root", str(project.root), *filled]) == 1
    assert said in capsys.readouterr().err


def test_an_address_that_is_no_index_is_refused():
    with pytest.raises(ReleaseError, match="type a folder"):
        folder_index("ftp://example.com")
    assert folder_index("https://example.com/legacy/") is None
    assert folder_index("file:///srv/an%20index") == FolderIndex(Path("/srv/an index"))


def test_the_version_is_changed_in_its_place_and_in_the_tags_of_images(project):
    checkout = Project.at(project.root)
    checkout.write_version("1.2.3rc1")
    checkout.write_images("1.2.3rc1")
    assert Project.at(project.root).version == "1.2.3rc1"
    assert (project.root / "images.yaml").read_text() == "tag: 1.2.3rc1-py3.11\n"


def _archives(folder: Path) -> tuple[Path, Path]:
    """A wheel and an sdist of a package with the files a.py and b.c; neither has c.txt."""
    (folder / "a.py").write_text("")
    wheel, sdist = folder / "p-1-py3-none-any.whl", folder / "p-1.tar.gz"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(folder / "a.py", "p/a.py")
    with tarfile.open(sdist, "w:gz") as archive:
        for name in ("p-1/p/b.c", "p-1/p/a.py"):
            archive.add(folder / "a.py", name)
    return wheel, sdist


def test_a_file_that_was_not_packed_is_named(tmp_path):
    wheel, sdist = _archives(tmp_path)
    tracked = ["p/a.py", "p/b.c", "p/c.txt"]
    assert missing(wheel, tracked, (".c",)) == ["p/c.txt"]
    assert missing(wheel, tracked) == ["p/b.c", "p/c.txt"]
    assert missing(sdist, tracked, (".c",)) == ["p/c.txt"]


def test_an_extension_for_one_python_is_named_in_a_wheel_for_all(tmp_path):
    one = tmp_path / "p-1-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(one, "w") as archive:
        for name in ("p/a.abi3.so", "p/b.cpython-311-x86_64-linux-gnu.so", "p.libs/libc-1.so"):
            archive.writestr(name, "")
    assert bound_to_one_python(one) == []
    every = one.rename(tmp_path / "p-1-cp311-abi3-linux_x86_64.whl")
    with pytest.raises(ReleaseError, match=r"but p/b\.cpython-311.* set py-limited-api"):
        refuse_if_bound(every)


def test_an_sdist_does_not_tell_who_packed_it_when_or_in_which_order(tmp_path):
    _, sdist = _archives(tmp_path)
    first = normalised(sdist, tmp_path / "first" / "p-1.tar.gz", 1_000_000_000)
    with tarfile.open(first) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == ["p-1/p/a.py", "p-1/p/b.c"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(10**9, 0, 0, "", 0o644)}
    again = normalised(first, tmp_path / "second" / "p-1.tar.gz", 1_000_000_000)
    assert sha256(again) == sha256(first) != sha256(sdist)
    refuse_unless_same([first], [again])
    with pytest.raises(ReleaseError, match="diffoscope"):
        refuse_unless_same([first], [sdist])


def test_an_index_never_changes_a_file_and_withdraws_only_what_it_has(tmp_path):
    wheel, sdist = _archives(tmp_path)
    index = FolderIndex(tmp_path / "index")
    index.add([wheel])
    index.add([wheel, sdist])  # again: the same bytes
    sdist.write_bytes(b"other")
    with pytest.raises(ReleaseError, match="under another version"):
        index.add([sdist])
    assert index.withdraw("P", Version("1"), 'Wrong <"answers">') == [wheel.name, "p-1.tar.gz"]
    page = (tmp_path / "index/simple/p/index.html").read_text()
    assert page.count('data-yanked="Wrong &lt;&quot;answers&quot;&gt;"') == 2
    with pytest.raises(ReleaseError, match="has no q 1"):
        index.withdraw("q", Version("1"), "r")
