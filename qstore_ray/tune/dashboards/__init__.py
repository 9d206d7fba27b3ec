"""Pages of other packages to look at a search: `pages.py` has them, `servers.py` runs them."""
