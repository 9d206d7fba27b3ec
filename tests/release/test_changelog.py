"""Sections of the changelog, and which version may follow which: known answers and laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools.release import changelog, numbers
from tools.release.errors import ReleaseError

TEXT = """\
# Changelog

What changes.

## [0.2.0] - unreleased

### Added

- More.

## [0.1.0] - 2026-11-01

- Some.
"""
TAGGED = [Version("0.1.0"), Version("0.2.0")]
RELEASES = st.tuples(*[st.integers(0, 30)] * 3).map(
    lambda parts: Version(".".join(map(str, parts)))
)


def _headings(text: str) -> list[tuple[str, str]]:
    return [(each.version, each.when) for each in changelog.sections(text)]


def test_a_release_gives_its_number_and_date_to_the_unreleased_section():
    text = changelog.released(TEXT, "0.3.0", "2026-12-01")
    assert text == TEXT.replace("[0.2.0] - unreleased", "[0.3.0] - 2026-12-01")


def test_the_next_section_is_empty_and_cannot_be_released():
    text = changelog.opened(changelog.released(TEXT, "0.2.0", "2026-12-01"), "0.2.1")
    assert _headings(text)[:2] == [("0.2.1", "unreleased"), ("0.2.0", "2026-12-01")]
    with pytest.raises(ReleaseError, match="is empty"):
        changelog.unreleased(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Changelog\n", "does not begin with"),
        ("# Changelog\n\n## [0.1.0] - 2026-11-01\n\n- Some.\n", "does not begin with"),
        (
            "## [0.2.0] - unreleased\n\n### Added\n\n## [0.1.0] - 2026-11-01\n\n- Some.\n",
            "is empty",
        ),
    ],
)
def test_a_changelog_that_says_nothing_is_refused(text: str, message: str):
    with pytest.raises(ReleaseError, match=message):
        changelog.released(text, "0.2.0", "2026-12-01")


def test_a_withdrawn_version_is_marked_once_and_keeps_its_place():
    once = changelog.withdrawn(TEXT, "0.1.0")
    assert once == TEXT.replace("2026-11-01", "2026-11-01 [YANKED]")
    assert changelog.withdrawn(once, "0.1.0") == once
    assert [each.yanked for each in changelog.sections(once)] == [False, True]


def test_a_section_is_added_above_another():
    text = changelog.added(TEXT, "0.1.0.post1", "2026-12-01", "- Again.", above="0.1.0")
    assert _headings(text)[1] == ("0.1.0.post1", "2026-12-01")
    assert text.replace("## [0.1.0.post1] - 2026-12-01\n\n- Again.\n\n", "") == TEXT


def test_a_section_that_is_missing_is_named():
    with pytest.raises(ReleaseError, match=r"no section of 0\.9"):
        changelog.section(TEXT, "0.9")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("0.2.0", "0.2.0 was released; type VERSION=0.2.1 or later"),
        ("0.1.1", "0.2.0 was released"),
        ("next", "no version number"),
        ("v0.3.0", "type VERSION=0.3.0"),
        ("0.3.0-rc1", "type VERSION=0.3.0rc1"),
        ("0.3.0.dev0", "type VERSION=0.3.0"),
        ("0.3.0+mine", "type VERSION=0.3.0"),
    ],
)
def test_a_version_that_cannot_follow_is_refused(version: str, said: str):
    with pytest.raises(ReleaseError) as caught:
        numbers.checked(version, TAGGED)
    assert said in str(caught.value)


@given(RELEASES)
def test_the_numbers_after_a_release_have_their_order(released: Version):
    again, following = numbers.replacing(released, [released]), numbers.following(released)
    opened = Version(numbers.opened_after(released))
    assert released < Version(again) < opened < Version(following)
    assert numbers.checked(following, [released, Version(again)]) == Version(following)


@given(RELEASES)
def test_what_replaces_a_version_satisfies_its_ranges_but_not_its_pin(bad: Version):
    """PEP 440, as installers read it: hence the commands that the rollback prints."""
    again = numbers.replacing(bad, [bad])
    for wanted in (f">={bad}", f"~={bad}", f"=={bad}.*"):
        assert SpecifierSet(wanted).contains(again)
    assert not SpecifierSet(f"=={bad}").contains(again)


def test_a_second_rollback_of_a_version_has_the_next_number():
    tagged = [Version("0.2.0"), Version("0.2.0.post1")]
    assert numbers.replacing(tagged[0], tagged) == "0.2.0.post2"


def test_the_good_version_is_the_newest_before_that_was_not_withdrawn():
    tagged = [Version(v) for v in ("0.1.0", "0.2.0", "0.3.0rc1", "0.3.0", "0.4.0")]
    assert numbers.good_before(tagged[3], tagged, []) == Version("0.2.0")
    assert numbers.good_before(tagged[3], tagged, [Version("0.2.0")]) == Version("0.1.0")
    with pytest.raises(ReleaseError, match=r"make release VERSION=0\.1\.1"):
        numbers.good_before(tagged[0], tagged, [])
