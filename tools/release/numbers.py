"""Which version may follow which (PEP 440)."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from tools.release.errors import ReleaseError


def checked(text: str, tagged: Iterable[Version]) -> Version:
    """The version to release. `ReleaseError` if it is malformed, or not after all released ones."""
    try:
        version = Version(text)
    except InvalidVersion:
        raise ReleaseError(f"VERSION={text}: no version number; type VERSION=1.2.3") from None
    if str(version) != text or version.local or version.is_devrelease:
        public = Version(version.public.partition(".dev")[0])
        raise ReleaseError(
            f"VERSION={text}: an index knows this as {public}; type VERSION={public}"
        )
    latest = max(tagged, default=None)
    if latest is not None and version <= latest:
        raise ReleaseError(
            f"VERSION={text}: {latest} was released; type VERSION={following(latest)} or later"
        )
    return version


def following(version: Version) -> str:
    """The next version with only fixes: 1.2.3 → 1.2.4."""
    *first, last = version.release
    return ".".join(map(str, (*first, last + 1)))


def opened_after(version: Version) -> str:
    """The version of a checkout after a release: before the next release, and no release itself."""
    return f"{following(version)}.dev0"


def replacing(bad: Version, tagged: Iterable[Version]) -> str:
    """The number under which a good version is released again: after `bad`, before its next fix.

    `bad.post1` satisfies `>=bad`, `~=bad` and `==bad.*`. No version except `bad` satisfies `==bad`.
    """
    posts = [each.post or 0 for each in tagged if each.release == bad.release and not each.pre]
    return f"{bad.base_version}.post{max([0, *posts]) + 1}"


def good_before(bad: Version, tagged: Iterable[Version], withdrawn: Iterable[Version]) -> Version:
    """The newest release before `bad` that was not withdrawn. `ReleaseError` if there is none."""
    gone = set(withdrawn)
    earlier = [
        each for each in tagged if each < bad and each not in gone and not each.is_prerelease
    ]
    if not earlier:
        raise ReleaseError(
            f"nothing was released before {bad} that was not withdrawn: release a fixed version "
            f"instead, make release VERSION={following(bad)}"
        )
    return max(earlier)
