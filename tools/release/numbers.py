"""Which version may follow which (PEP 440)."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from tools.release.errors import ReleaseError


def parsed(text: str) -> Version:
    """The version that a text means. `ReleaseError` if it means none."""
    try:
        return Version(text)
    except InvalidVersion:
        raise ReleaseError(f"VERSION={text}: no version number; type VERSION=1.2.3") from None


def checked(text: str, tagged: Iterable[Version]) -> Version:
    """The version to release. `ReleaseError` if it is malformed, or not after all released ones."""
    version = parsed(text)
    if str(version) != text or version.local or version.is_devrelease:
        public = Version(version.public.partition(".dev")[0])
        raise ReleaseError(
            f"VERSION={text}: an index knows this as {public}; type VERSION={public}"
        )
    if len(version.release) != 3:
        first, second, third, *_ = (*version.release, 0, 0)
        raise ReleaseError(
            f"VERSION={text}: three numbers are needed; type VERSION={first}.{second}.{third}"
        )
    latest = max(tagged, default=None)
    if latest is not None and version <= latest:
        raise ReleaseError(
            f"VERSION={text}: {latest} was released; type VERSION={following(latest)} or later"
        )
    return version


def following(version: Version) -> str:
    """The next version with only fixes: 1.2.3 → 1.2.4, and 1.2.3rc1 → 1.2.3."""
    if version.is_prerelease:
        return version.base_version
    *first, last = version.release
    epoch = f"{version.epoch}!" if version.epoch else ""
    return epoch + ".".join(map(str, (*first, last + 1)))


def opened_after(version: Version) -> str:
    """The version of a checkout after a release: before the next release, and no release itself."""
    if version.pre is not None:
        letters, number = version.pre
        return f"{version.base_version}{letters}{number + 1}.dev0"
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
            f"instead, make release VERSION={following(bad)}, and then roll back {bad}"
        )
    return max(earlier)
