"""Links that work in the repository, rewritten for the site: files beside docs/ are pages here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.util.nodes import make_refnode

_PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def rewrite(app: Any, page: str, source: list[str]) -> None:
    """Point every link of a page that leaves docs/ to its page; a listener of `source-read`."""
    folder = (Path(app.srcdir) / page).parent
    own = {"changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}.get(page)
    if own is not None:
        folder = Path(app.srcdir).parent
        source[0] = (folder / own).read_text()
    docs = Path(app.srcdir)
    source[0] = _LINK.sub(
        lambda link: _rewritten(docs, docs.resolve() / page, folder, link), source[0]
    )


def _rewritten(docs: Path, page: Path, folder: Path, link: re.Match[str]) -> str:
    target = (folder / link[1]).resolve()
    root = docs.resolve().parent
    anchor = link[2] or ""
    if target.is_relative_to(docs.resolve()):
        return f"](/{target.relative_to(docs.resolve())}{anchor})"
    if target.is_relative_to(root) and str(target.relative_to(root)) in _PAGES:
        return f"](/{_PAGES[str(target.relative_to(root))]}{anchor})"
    if target.suffix == ".md" and target.is_relative_to(root):
        up = "/".join(".." for _ in page.relative_to(docs.resolve()).parents)
        return f"](path:{up}/{target.relative_to(root)}{anchor})"  # a file, not a page
    if target.is_dir():
        return f"]({link[1]}{anchor})"
    return link[0]


def by_last_name(app: Any, env: Any, node: Any, content: Any) -> Any:
    """The documented class that a signature names without its module, if there is only one.

    A listener of `missing-reference`.
    """
    target = node["reftarget"]
    if node.get("refdomain") != "py" or "." in target:
        return None
    objects = env.get_domain("py").objects
    found = [name for name in objects if name.endswith(f".{target}")]
    if len(found) != 1:
        return None
    place = objects[found[0]]
    return make_refnode(
        app.builder, node["refdoc"], place.docname, place.node_id, content, found[0]
    )
