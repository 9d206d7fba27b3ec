"""Sphinx: the documentation site, built by `make docs` into docs/_build/html."""

import logging
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]

import qstore_ray  # noqa: E402

project = "qstore_ray"
author = "the qstore_ray authors"
copyright = f"2026, {author}"
release = version = qstore_ray.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # MathJax beside the pages: the site loads nothing from elsewhere
    "sphinx_copybutton",
    "notfound.extension",
]
exclude_patterns = ["_build", "conf.py"]
html_theme = "furo"
html_title = f"qstore_ray {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_baseurl = os.environ.get("DOCS_URL", "")  # where the site is served, for canonical links
notfound_urls_prefix = urlsplit(html_baseurl).path or "/"
notfound_context = {
    "title": "Page not found",
    "body": "<h1>Page not found</h1><p>There is no page at this address: it was moved, or the link "
    "is wrong. Search for it in the column on the left, or begin at the first page.</p>",
}
copybutton_prompt_text = "$ "  # of a console block, the commands alone
copybutton_exclude = ".linenos, .gp, .go"

# Tutorials are Markdown files with code cells. Each runs again when it has changed; `make clean`
# forgets their outputs.
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
logging.getLogger("traitlets").setLevel(logging.WARNING)  # a line for each notebook
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

default_role = "code"  # docstrings have `names` in single backticks


def setup(app):
    """Read our docstrings, and links to files beside docs/, as they are meant."""
    from commands import described
    from docstrings import fields_only, foreign, readable
    from links import by_last_name, rewrite

    app.connect("autodoc-process-docstring", readable, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", fields_only)
    app.connect("autodoc-skip-member", foreign)
    app.connect("source-read", rewrite)
    app.connect("source-read", described)
    app.connect("missing-reference", by_last_name)
