"""The dataset service: a small HTTP server that keeps datasets and hands them to training jobs.

    qstore data serve datasets

Records are in one SQLite file, rows in files named by the SHA-256 of their content. The service
listens on this machine alone unless it was given a token; `/docs` describes every route.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.errors import ServiceError, not_installed_error

try:
    import uvicorn
    from fastapi import Depends, FastAPI
except ImportError as exc:
    raise not_installed_error(
        "fastapi with uvicorn", "service", what="the dataset service"
    ) from exc

from qstore_ray.data.service.records import Health
from qstore_ray.data.service.server import routes_datasets, routes_making
from qstore_ray.data.service.server.access import check_address, guard, require_access
from qstore_ray.data.service.server.jobs import JobPool
from qstore_ray.data.service.server.settings import ServiceSettings
from qstore_ray.data.service.server.store import DatasetStore

if TYPE_CHECKING:
    from pydantic import SecretStr

DEFAULT_PORT = 8321


def serve(
    folder: str | Path,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    token: SecretStr | None = None,
    api_key: SecretStr | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Run the service until it is stopped by Ctrl-C or SIGTERM.

    Args:
        folder: where the datasets are kept.
        host: address to listen at.
        port: 0 takes a free one.
        token: what clients have to send, as a bearer token.
        api_key: what they may send instead, as `X-API-Key`.
        ready: called with the service's address once it can be connected to.

    Raises:
        ConfigError: `host` is open to other machines and there is neither token nor key.
        ServiceError: the folder cannot be used, or the address cannot be listened at.
    """
    settings = ServiceSettings(folder=Path(folder), token=token, api_key=api_key)
    server = make_server(settings, host, port)
    with listening(host, port) as listener:
        if ready is not None:
            shown = f"[{host}]" if ":" in host else host
            ready(f"http://{shown}:{listener.getsockname()[1]}")
        server.run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that who connects early waits instead of being refused.

    Raises:
        ServiceError: the address cannot be listened at.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as exc:
        raise ServiceError(
            f"cannot listen at {host}, port {port}: {exc.strerror or exc}",
            field="port",
            value=port,
            fix="Is a service running there already? Port 0 takes a free port.",
        ) from exc
    # Connections inherit it. asyncio sets it only on sockets that were made with a protocol
    # number, and an answer of two packets would wait 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def quiet_server(app: FastAPI, grace_seconds: int) -> uvicorn.Server:
    """A server that logs warnings alone and does not name itself; see `run_until_stopped`.

    Args:
        grace_seconds: how long it waits, when it ends, for requests that have begun.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=grace_seconds,
        )
    )


def run_until_stopped(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve on a listening socket until Ctrl-C or SIGTERM, after which this returns."""
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal again after it has closed, which would end the process.
        signal.signal(signal.SIGTERM, lambda *_: None)
    server.run(sockets=[listener])


def make_server(settings: ServiceSettings, host: str, port: int) -> uvicorn.Server:
    """The server, not yet started; port 0 takes a free one.

    Raises:
        ConfigError: `host` is open to other machines and there is neither token nor key.
    """
    check_address(host, settings)
    return uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            host=host,
            port=port,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


def create_app(settings: ServiceSettings) -> FastAPI:
    """The service as an ASGI application.

    Raises:
        ServiceError: the catalogue in the folder cannot be opened.
    """
    store = DatasetStore(settings.folder, settings.max_array_bytes)
    jobs = JobPool(store, settings.job_threads, settings.max_waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs.start()
        yield
        jobs.stop()

    app = FastAPI(
        title="qstore_ray dataset service", version=version("qstore-ray"), lifespan=lifespan
    )
    app.state.settings, app.state.store, app.state.jobs = settings, store, jobs
    guard(app, settings)
    locked = [Depends(require_access)]
    app.include_router(routes_making.router, dependencies=locked)
    app.include_router(routes_datasets.router, dependencies=locked)
    app.add_api_route("/health", health, methods=["GET"], tags=["health"])
    return app


def health() -> Health:
    """Says that the server answers; needs no token."""
    return Health()
