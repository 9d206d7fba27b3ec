"""`make rollback VERSION=…`: withdraw a bad version, and release the good one before it again.

First the index marks the bad version as withdrawn: from that second on nobody gets it who does not
ask for exactly it. Then the code of the good version is released as `bad.post1`, a number that

    pip install --upgrade NAME          chooses, whatever was installed
    >=bad   ~=bad   ==bad.*             are satisfied by
    ==bad                               is not satisfied by: no other version is (PEP 440).
                                        Installers print why `bad` was withdrawn, which names
                                        `bad.post1`; uv replaces a pin: --overrides bad.txt

and that leaves the next number to the fixed version.
"""

from __future__ import annotations

from pathlib import Path

from packaging.version import Version

from tools.release import changelog, numbers
from tools.release.cut import prepare, today
from tools.release.errors import ReleaseError
from tools.release.lock import Running
from tools.release.project import CHANGELOG, Project
from tools.release.publish import folder_index, publish
from tools.release.repository import Repository
from tools.release.signing import Signer
from tools.release.steps import Steps


def rollback(
    project: Project, text: str, reason: str, key: Path, index: str, steps: Steps, running: Running
) -> None:
    """Withdraw the version `text` and publish the code of the good one under a later number.

    `ReleaseError` if the version was not released, or no good one was released before it.
    """
    repository = running.repository
    signer = Signer(key, project.root / project.signers)
    with steps.step("checkout, version and key are fit for a rollback"):
        repository.refuse_unless_clean(project.branch)
        bad, tagged = numbers.parsed(text), repository.versions()
        if bad not in tagged:
            raise ReleaseError(
                f"VERSION={text}: not released; git tag --list 'v*' lists all releases"
            )
        notes = project.read(CHANGELOG)
        changelog.section(notes, str(bad))
        gone = [numbers.parsed(e.version) for e in changelog.sections(notes) if e.yanked]
        later = [each for each in tagged if each > bad and each not in gone]
        if not bad.is_prerelease:  # nobody gets one who does not ask for it
            later = [each for each in later if not each.is_prerelease]
        good = max(later) if later else numbers.good_before(bad, tagged, gone)
        signer.refuse_unless_allowed()
    # Of a candidate, nobody needs a replacement under a later number: the good version is there.
    is_there = bool(later) or bad.is_prerelease
    again = str(good) if is_there else numbers.replacing(bad, tagged)
    reason = " ".join(reason.split()).rstrip(".")  # one line, for a page and a changelog
    why = f"{reason}. Install {project.name}=={again}"
    withdraw(project, bad, why, again, index, steps)
    if not is_there:
        _release_again(project, good, again, reason, signer, steps)
    if not is_there or _was_interrupted(project, bad, good, index):
        publish(project, again, index, steps)
    elif _replaces(good, bad) and folder_index(index) is None:
        steps.say(
            f"           if {again} is not there:  make publish VERSION={again} INDEX={index}"
        )
    _note(project, bad, again, running)
    steps.say(f"           one command for users:  pip install --upgrade {project.name}")
    steps.say(f"           if they pin =={bad}:  pip install '{project.name}=={again}'")


def _was_interrupted(project: Project, bad: Version, good: Version, index: str) -> bool:
    """True if an earlier rollback released the good code again, and the index may lack a file."""
    target, built = folder_index(index), project.root / "dist" / str(good)
    if not _replaces(good, bad) or target is None:
        return False
    return built.is_dir() or not target.has(project.name, good)


def _replaces(good: Version, bad: Version) -> bool:
    """True if a version is the code of an earlier one, released again in place of `bad`."""
    return good.is_postrelease and good.base_version == bad.base_version


def withdraw(
    project: Project, bad: Version, why: str, again: str, index: str, steps: Steps
) -> None:
    """At once on an index in a folder; PyPI has no API for it, so it is said how."""
    target = folder_index(index)
    if target is None:
        steps.say(
            f"           withdraw by hand, now: on the index, Manage {project.name} → Releases → "
            f"{bad} → Options → Yank, with the reason: {why}"
        )
        return
    with steps.step(f"withdrew {bad}: {why}"):
        target.withdraw(project.name, bad, why)
        target.replace(bad, f"{project.name}=={again}")


def _release_again(
    project: Project, good: Version, again: str, reason: str, signer: Signer, steps: Steps
) -> None:
    """Release the code of a tag under another number, on a commit beside the branch."""
    repository = Repository(project.root)
    with repository.worktree(f"v{good}") as folder:
        staged = Project.at(folder)
        staged.write_version(again)
        staged.write_images(again)
        body = f"### Rolled back\n\n- The code of {good} again: {reason}."
        text = changelog.added(staged.read(CHANGELOG), again, today(), body, above=str(good))
        staged.write(CHANGELOG, text)
        commit = Repository(folder).commit(f"Release the code of {good} as {again}")
        prepare(staged, project.root / "dist" / again, commit, signer, steps, known=True)
        with steps.step(f"tag v{again}"):
            repository.tag(again, commit, f"The code of {good}", signer.key, signer.signers)


def _note(project: Project, bad: Version, again: str, running: Running) -> None:
    """The changelog of the branch: what was withdrawn, and what replaces it, as its tag says."""
    repository, before = running.repository, project.read(CHANGELOG)
    text = changelog.withdrawn(before, str(bad))
    if Version(again) not in changelog.versions(text):
        tagged = changelog.section(repository.git("show", f"v{again}:{CHANGELOG}"), again)
        text = changelog.added(text, again, tagged.when, tagged.body, above=str(bad))
    if text != before:  # else it was rolled back before, on another index
        with repository.worktree("HEAD") as folder:
            Project.at(folder).write(CHANGELOG, text)
            running.forward(Repository(folder).commit(f"Withdraw {bad}"))
