"""The notes of a release, as a code host shows them on the page of the release.

How to install it and to go back, what changed, the checksums of the files, and how to verify them.
`make release` signs its files with a key; a CI job has built other wheels, and its files have
attestations instead.
"""

from __future__ import annotations

import os
from pathlib import Path

from packaging.version import Version

from tools.release import changelog
from tools.release.build import sha256
from tools.release.project import CHANGELOG, Project
from tools.release.signing import NAMESPACE, SIGNATURE, SUMS

NOTES = "RELEASE_NOTES.md"


def notes(project: Project, commit: str, files: list[Path], *, signed: bool) -> str:
    """The text, in Markdown; `project` is the checkout of `commit`."""
    version, text = project.version, project.read(CHANGELOG)
    sums = "\n".join(f"{sha256(file)}  {file.name}" for file in sorted(files))
    parts = (
        f"# {project.name} {version}",
        "## Install",
        _console(f"pip install '{project.name}=={version}'"),
        *_way_back(project, Version(version), text),
        "## Changes",
        changelog.section(text, version).body,
        "## Checksums",
        "SHA-256, for `sha256sum -c`:",
        f"```text\n{sums}\n```",
        "## Verify",
        f"The tag is signed by a key of `{project.signers}`, and names commit {commit}:",
        _console(f"git -c gpg.ssh.allowedSignersFile={project.signers} tag -v v{version}"),
        *(_by_signature(project) if signed else _by_attestation(files, version)),
    )
    return "\n\n".join(parts) + "\n"


def _console(*commands: str) -> str:
    return "\n".join(("```console", *(f"$ {command}" for command in commands), "```"))


def _way_back(project: Project, version: Version, text: str) -> tuple[str, ...]:
    """How to install the newest release before this one that was not withdrawn."""
    gone = {Version(each.version) for each in changelog.sections(text) if each.yanked}
    good = [
        each
        for each in changelog.versions(text)
        if each < version and each not in gone and not each.is_prerelease
    ]
    if not good:
        return ()
    back = _console(f"pip install '{project.name}=={max(good)}'")
    return ("## Go back", "To the release before:", back)


def _by_signature(project: Project) -> tuple[str, ...]:
    """How to check files that `make release` has signed."""
    verify = (
        f"ssh-keygen -Y verify -f {project.signers} -I release -n {NAMESPACE} "
        f"-s {SIGNATURE} < {SUMS}"
    )
    said = f"The files are signed by the same key ({attestations()}):"
    return said, _console(verify, f"sha256sum -c {SUMS}")


def _by_attestation(files: list[Path], version: str) -> tuple[str, ...]:
    """How to check files of the CI job that publishes them."""
    host = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    where = f"{host}/{os.environ.get('GITHUB_REPOSITORY', 'OWNER/REPOSITORY')}"
    verify = (
        f"pypi-attestations verify pypi --repository {where} pypi:{file.name}"
        for file in sorted(files)
    )
    return (
        "PyPI has an attestation of each file, which names the job and the commit it is from:",
        _console(*verify),
        "The sdist has the same bits if you build it from the tag:",
        _console(f"make sdist VERSION={version}"),
    )


def attestations() -> str:
    """Attestations name the CI job that built a file; only such a job can make them."""
    if "ACTIONS_ID_TOKEN_REQUEST_URL" in os.environ:
        return "attestations: the job that uploads the files makes them"
    return "attestations: none, this machine has no identity that a CI service vouches for"
