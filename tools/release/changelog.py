"""Sections of CHANGELOG.md, in the form of Keep a Changelog; pure functions on its text.

## [0.2.0] - unreleased
## [0.1.0] - 2026-11-30
## [0.0.9] - 2026-11-01 [YANKED]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.release import numbers
from tools.release.errors import ReleaseError

if TYPE_CHECKING:
    from packaging.version import Version

_HEADING = re.compile(r"^## \[(?P<version>[^]]+)\] - (?P<when>.+)$", re.MULTILINE)
_UNRELEASED, _YANKED = "unreleased", " [YANKED]"


@dataclass(frozen=True)
class Section:
    """A section; `start` and `end` are where it lies in the text, `body` is without its heading."""

    version: str
    when: str
    body: str
    start: int
    end: int

    @property
    def yanked(self) -> bool:
        """True if this version was withdrawn."""
        return self.when.endswith(_YANKED)


def sections(text: str) -> list[Section]:
    """All sections in their order, newest first."""
    found = list(_HEADING.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    return [
        Section(m["version"], m["when"], text[m.end() : end].strip("\n"), m.start(), end)
        for m, end in zip(found, ends, strict=False)
    ]


def versions(text: str) -> list[Version]:
    """The versions that the text says were released, tags or not: a clone may lack the tags."""
    return [numbers.parsed(each.version) for each in sections(text) if each.when != _UNRELEASED]


def section(text: str, version: str) -> Section:
    """The section of a version. `ReleaseError` if it has none."""
    for each in sections(text):
        if each.version == version:
            return each
    raise ReleaseError(f"CHANGELOG.md has no section of {version}: add ## [{version}] - …")


def unreleased(text: str) -> Section:
    """What the next release changes. `ReleaseError` if it is missing, or says nothing."""
    found = sections(text)
    if not found or found[0].when != _UNRELEASED:
        raise ReleaseError(
            "CHANGELOG.md does not begin with `## [VERSION] - unreleased`: add it, with a line "
            "for each change that users notice"
        )
    if not re.search(r"^[-*] \S", found[0].body, re.MULTILINE):
        raise ReleaseError(
            "the section `unreleased` of CHANGELOG.md is empty: write a line `- …` for each change "
            "that users notice"
        )
    return found[0]


def released(text: str, version: str, date: str) -> str:
    """The text with the number and the date of this release on its unreleased section."""
    top = unreleased(text)
    return _with(text, top.start, top.end, version, date, top.body)


def opened(text: str, version: str) -> str:
    """The text with an empty section for the changes after a release."""
    start = sections(text)[0].start
    return _with(text, start, start, version, _UNRELEASED, "")


def added(text: str, version: str, date: str, body: str, *, above: str) -> str:
    """The text with one more section, above that of the version `above`."""
    start = section(text, above).start
    return _with(text, start, start, version, date, body)


def withdrawn(text: str, version: str) -> str:
    """The text with a version marked as withdrawn."""
    bad = section(text, version)
    when = bad.when.removesuffix(_YANKED) + _YANKED
    return _with(text, bad.start, bad.end, version, when, bad.body)


def _with(text: str, start: int, end: int, version: str, when: str, body: str) -> str:
    """The text between `start` and `end` replaced by a section."""
    content = f"\n{body}\n" if body else ""
    rest = text[end:]
    return f"{text[:start]}## [{version}] - {when}\n{content}{chr(10) if rest else ''}{rest}"
