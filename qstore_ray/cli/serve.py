"""`qstore serve`: predictions of a trained model over HTTP."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated

import typer

from qstore_ray.cli.commands.predict import Model
from qstore_ray.cli.output import Host, Port, Storage, examples, note

EXAMPLES = examples(
    "serve runs/digits",
    "serve model.qsm --port 8400",
    "serve s3://bucket/models/digits.qsm --max-rows 1000",
)


def serve(
    model: Model,
    host: Host = "127.0.0.1",
    port: Port = 8322,
    max_rows: Annotated[
        int, typer.Option("--max-rows", min=1, metavar="N", help="Most rows of a request.")
    ] = 10_000,
    max_body: Annotated[
        int, typer.Option("--max-body", min=1, metavar="MB", help="Most megabytes of a request.")
    ] = 16,
    storage: Storage = "runs",
) -> None:
    """Serve a model's predictions over HTTP until Ctrl-C or SIGTERM.

    POST /invocations takes rows as JSON in the formats of MLflow's scoring protocol, and answers
    as `qstore predict` does.

    The token that clients must send is read from QSTORE_SERVE_TOKEN; without one, only this machine
    is served.
    """
    from pydantic import SecretStr

    from qstore_ray.cli.shared.models import find_model, open_model
    from qstore_ray.serve.app import serve_model
    from qstore_ray.serve.settings import ServingSettings

    token = os.environ.get("QSTORE_SERVE_TOKEN")
    settings = ServingSettings(
        token=SecretStr(token) if token else None,
        max_rows=max_rows,
        max_body_bytes=max_body * 10**6,
    )
    settings.check_address(host)  # before the model is loaded
    with contextlib.redirect_stdout(sys.stderr):
        opened = open_model(find_model(model, storage))

    def ready(url: str) -> None:
        note(f"{model} is served at {url}/invocations. Ctrl-C ends it.")

    with contextlib.suppress(KeyboardInterrupt):  # the server has closed by then
        serve_model(opened, host, port, settings, ready)
