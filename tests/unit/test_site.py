"""The documentation site: tutorials run, every page and name has its place, no link is broken."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import matplotlib as mpl
import pytest

import qstore_ray
from tests.guides import DOCS, blocks_of

ROOT = DOCS.parent
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)
TUTORIALS = sorted(page.stem for page in (DOCS / "tutorials").glob("*.md"))
ON_RAY = {"cluster", "tuning"}
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in ON_RAY else n for n in TUTORIALS],
)
def test_a_tutorial_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    cells = blocks_of(f"tutorials/{name}.md", r"\{code-cell\}")
    assert cells
    names: dict[str, object] = {"__name__": "tutorial"}
    for cell in cells:
        code = re.sub(r"^:.*\n", "", cell, flags=re.MULTILINE)
        exec(compile(code, name, "exec", dont_inherit=True), names)  # the tutorial's own lines


def test_every_public_name_is_on_one_page_of_the_reference() -> None:
    pages = [page.read_text() for page in sorted((DOCS / "reference").glob("*.md"))]
    named = list(chain(*(re.findall(r"^\.\. auto\w+:: (\w+)$", p, re.MULTILINE) for p in pages)))
    assert sorted(named) == sorted(qstore_ray.__all__)


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text()
    for page in PAGES:
        name = page.relative_to(DOCS).with_suffix("").as_posix()
        inside = name == "index" or name.startswith("decisions/")
        assert inside or re.search(rf"^{name}$", index, re.MULTILINE), name


@pytest.mark.parametrize(
    "page",
    [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_no_link_is_broken(page: Path) -> None:
    for name, anchor in _LINK.findall(_without_code(page.read_text())):
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), name
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), f"{name}#{anchor}"


def _without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub and MyST give the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", _without_code(page.read_text()), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}
