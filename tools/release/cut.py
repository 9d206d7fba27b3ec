"""`make release VERSION=…`: everything that can fail comes before anything that changes.

The release commit is made in a worktree of its own. It is built twice, tried and signed; then the
tag is set, and the branch moves to the commit after it. An error before the tag leaves the checkout
as it was; after it, the same command moves the branch, or says that nothing is left to do.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.release import changelog, numbers
from tools.release.bare import call, try_wheel
from tools.release.build import build, refuse_unless_same
from tools.release.contents import refuse_if_bound, refuse_if_missing
from tools.release.errors import ReleaseError
from tools.release.lock import Running
from tools.release.notes import NOTES, attestations, notes
from tools.release.project import CHANGELOG, Project
from tools.release.publish import distributions
from tools.release.repository import Repository
from tools.release.signing import Signer, verify
from tools.release.steps import Steps

if TYPE_CHECKING:
    from packaging.version import Version


def cut(project: Project, text: str, key: Path, steps: Steps, running: Running) -> Path:
    """Release the checked-out commit as a version; the folder with its files.

    `ReleaseError` if the checkout, the version, the changelog or the key is not fit for a release,
    or a build, a check or a bare environment fails.
    """
    repository = running.repository
    signer = Signer(key, project.root / project.signers)
    out = project.root / "dist" / text
    with steps.step("checkout, version, changelog and key are fit for a release"):
        repository.refuse_unless_clean(project.branch)
        if _is_tagged(project, repository, text, signer):
            return _finished(project, text, out, steps, running)
        notes = project.read(CHANGELOG)
        version = numbers.checked(text, [*repository.versions(), *changelog.versions(notes)])
        changelog.unreleased(notes)
        signer.refuse_unless_allowed()
    with repository.worktree("HEAD") as folder:
        staged = Project.at(folder)
        staged.write_version(str(version))
        staged.write_images(str(version))
        dated = changelog.released(staged.read(CHANGELOG), str(version), today())
        staged.write(CHANGELOG, dated)
        commit = Repository(folder).commit(f"Release {version}")
        prepare(staged, out, commit, signer, steps)
        with steps.step(f"tag v{version}"):
            repository.refuse_unless_clean(project.branch)
            if repository.apart(commit)[1]:
                raise ReleaseError(f"{project.branch} has moved meanwhile: release it again")
            repository.tag(text, commit, f"Release {version}", key, signer.signers)
    return _finished(project, text, out, steps, running)


def _is_tagged(project: Project, repository: Repository, text: str, signer: Signer) -> bool:
    """True if the version was built, signed and tagged here, and nothing was committed since.

    `ReleaseError` if what was built is gone, or is not what was signed.
    """
    if not repository.has_tag(text):
        return False
    missing, since = repository.apart(f"v{text}")
    if since and (missing or not _is_next(project, text, since)):
        return False
    out = project.root / "dist" / text
    if not out.is_dir():
        if missing:
            raise ReleaseError(
                f"{text} has a tag, but {out} is gone. If the tag was not pushed, git tag -d "
                f"v{text}, and type the same again; else git merge --ff-only v{text}"
            )
        return False
    verify(out, signer.signers)
    repository.verify_tag(text, signer.signers)
    return True


def _is_next(project: Project, text: str, since: int) -> bool:
    """True if the checkout is the commit that a release leaves, `since` commits after its tag."""
    return since == 1 and project.version == numbers.opened_after(numbers.parsed(text))


def _finished(project: Project, text: str, out: Path, steps: Steps, running: Running) -> Path:
    """Move the branch to the commit after the release, which has a section for what comes."""
    repository = running.repository
    if repository.apart(f"v{text}")[1]:
        steps.say(f"           {text} was released before: nothing is left to do")
        return out
    with (
        steps.step(f"{project.branch} is after {text}"),
        repository.worktree(f"v{text}") as folder,
    ):
        running.forward(open_next(Project.at(folder), numbers.parsed(text)))
    return out


def sdist(project: Project, text: str, steps: Steps) -> Path:
    """Build the tag of a version and leave its sdist in dist/: on CI, before the wheels.

    `ReleaseError` if the tag does not have this version, or two builds differ.
    """
    with Repository(project.root).worktree(f"v{text}") as folder:
        staged = Project.at(folder)
        if staged.version != text:
            raise ReleaseError(f"the tag v{text} has the version {staged.version}: set another tag")
        archive, _ = _built(Repository(folder), "HEAD", folder.parent / "sdist", steps)
        target = project.root / "dist" / archive.name
        target.parent.mkdir(exist_ok=True)
        return Path(shutil.copyfile(archive, target))


def write_notes(project: Project, text: str) -> Path:
    """Write the notes for the sdist and the wheels in dist/, which CI has built from a tag."""
    with Repository(project.root).worktree(f"v{text}") as folder:
        staged, out = Project.at(folder), project.root / "dist"
        commit = Repository(folder).git("rev-parse", "HEAD")
        files = distributions(out)
        if not files:
            raise ReleaseError(f"{out} has no sdist and no wheel: make sdist VERSION={text}")
        (out / NOTES).write_text(notes(staged, commit, files, signed=False), "utf-8")
    return out / NOTES


def prepare(
    staged: Project, out: Path, commit: str, signer: Signer, steps: Steps, *, known: bool = False
) -> Path:
    """Build a commit, try it and sign it; `out` holds all files of the release in the end.

    Code that was released before is `known`: it is built once, and tried on one Python.
    """
    version = staged.version
    repository = Repository(staged.root)
    with tempfile.TemporaryDirectory(dir=staged.root.parent) as scratch:  # removed with it
        built = _built(repository, commit, Path(scratch), steps, known=known)
        for archive in built:
            refuse_if_missing(archive, repository.tracked(staged.package), staged.unpacked)
        refuse_if_bound(built[1])
        with steps.step(
            "every file of the package is in the sdist and the wheel; metadata checked"
        ):
            call([sys.executable, "-m", "twine", "check", "--strict", *map(str, built)])
        minors = staged.pythons[:1] if known else staged.pythons
        bare = try_wheel(staged, built[1], minors, Path(scratch) / "bare", steps)
        out.mkdir(parents=True, exist_ok=True)
        for stale in out.iterdir():
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        for archive in built:
            (out / archive.name).write_bytes(archive.read_bytes())
        if staged.bill and staged.lock:
            with steps.step("bill of materials, with hashes and licences"):
                _write_bill(staged, bare[0], out / f"{staged.package}-{version}.cdx.json", steps)
    (out / NOTES).write_text(notes(staged, commit, list(out.iterdir()), signed=True), "utf-8")
    with steps.step("checksums, signed and verified"):
        signer.sign(out)
    steps.say(f"           {attestations()}")
    return out


def _built(
    repository: Repository, commit: str, scratch: Path, steps: Steps, *, known: bool = False
) -> list[Path]:
    """Two builds in folders of other names and depths; the first, if they are the same bits."""
    with steps.step("built"):
        first = build(repository, commit, scratch / "one")
    if known:
        return first
    with steps.step("built again in another folder: the same bits"):
        refuse_unless_same(first, build(repository, commit, scratch / "another" / "place"))
    return first


def _write_bill(staged: Project, python: Path, out: Path, steps: Steps) -> None:
    assert staged.bill
    assert staged.lock
    program = str(staged.root / staged.bill)
    words = ["--lock", staged.lock, "--python", str(python), "--output", str(out)]
    steps.say(f"           {call([sys.executable, program, *words]).strip()}")


def open_next(project: Project, version: Version) -> str:
    """A commit after the release: checkouts are not that version, and changes have a section."""
    project.write_version(numbers.opened_after(version))
    text = project.read(CHANGELOG)
    project.write(CHANGELOG, changelog.opened(text, numbers.following(version)))
    return Repository(project.root).commit(f"Begin {numbers.following(version)}")


def today() -> str:
    """The date of a release, UTC."""
    return dt.datetime.now(dt.UTC).date().isoformat()
