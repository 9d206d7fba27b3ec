"""`qstore dashboard`: one page, on this machine alone, that shows what runs and what has run."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Annotated

import typer

from qstore_ray.cli.output import AsJson, Port, Storage, examples, note, say_json

EXAMPLES = examples(
    "dashboard",
    "dashboard --storage /data/runs --port 8400",
    "dashboard --storage s3://bucket/runs",
    "dashboard --open",
)

TOKEN = "QSTORE_DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable


def dashboard(
    storage: Storage = "runs",
    port: Port = 8323,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show runs, searches, the cluster and paid jobs on one page, live, until Ctrl-C or SIGTERM.

    It needs the token that is behind # in the address that is printed; a new one each time, unless
    QSTORE_DASHBOARD_TOKEN holds one. Only this machine can reach it, and it changes nothing.
    """
    from pydantic import SecretStr

    from qstore_ray.data.service.server.settings import check_secret
    from qstore_ray.ops.dashboard.server import serve_dashboard

    token = SecretStr(os.environ.get(TOKEN) or secrets.token_urlsafe(32))
    check_secret(TOKEN, token)
    with contextlib.ExitStack() as until_the_end:

        def ready(url: str) -> None:
            address = f"{url}#token={token.get_secret_value()}"
            if as_json:
                say_json({"url": address})
            else:
                note(f"The dashboard is at {address}\nCtrl-C ends it.")
            if opens:
                webbrowser.open(until_the_end.enter_context(_doorway(address)))

        with contextlib.suppress(KeyboardInterrupt):  # the server has closed by then
            serve_dashboard(storage, token, port, ready)


@contextmanager
def _doorway(address: str) -> Iterator[str]:
    """The address of a file that leads to `address`: command lines, which everybody may read, then
    do not show the token. Nobody else may read the file.
    """
    with tempfile.TemporaryDirectory(prefix="qstore-dashboard-") as folder:
        file = Path(folder) / "open.html"
        page = f'<!DOCTYPE html><meta http-equiv="refresh" content="0; url={escape(address)}">'
        file.write_text(page, encoding="utf-8")
        yield file.as_uri()
