"""A dataset service: `server/` holds and serves datasets over HTTP, `client/` talks to one.

`records.py` is what both agree on.
"""
