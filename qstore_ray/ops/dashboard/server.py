"""The dashboard's server: its routes, and how it is started and ended.

    GET  /                the page; a 401 without a session
    GET  /enter           hands the token over to /session
    POST /session         the token, for a cookie
    GET  /page/NAME       the files of the page
    GET  /api/runs        the runs
    GET  /api/run?id=     one run; /api/file?id=&name= its figures and its report
    GET  /api/compare?id=&id=…
    GET  /api/panel?name= alerts, searches, cluster, hardware; /api/search?id= a search's trials
    GET  /api/events?id=… what changes, and the curves of these runs, as server-sent events

It listens on this machine alone and reads only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Final

from qstore_ray.errors import ConfigError, ResourceError, UnknownNameError, not_installed_error

try:
    import uvicorn  # noqa: TC002 - it serves; a missing one is named here
    from fastapi import FastAPI, Query
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import FileResponse, Response, StreamingResponse
except ImportError as exc:
    raise not_installed_error("fastapi with uvicorn", "service", what="the dashboard") from exc

from qstore_ray.data.service.server.access import guard
from qstore_ray.data.service.server.app import listening, quiet_server, run_until_stopped
from qstore_ray.ops.dashboard.access import ENTER, HEADERS, AccessGate
from qstore_ray.ops.dashboard.answers import JsonAnswer
from qstore_ray.ops.dashboard.board import Board
from qstore_ray.ops.dashboard.listing import RunListing
from qstore_ray.ops.dashboard.live import events
from qstore_ray.ops.dashboard.panels.alerts import AlertPanel
from qstore_ray.ops.dashboard.panels.cluster import cluster_panel
from qstore_ray.ops.dashboard.panels.hardware import HardwarePanel
from qstore_ray.ops.dashboard.panels.searches import SearchPanel
from qstore_ray.ops.dashboard.run_facts import KINDS, compared_runs, file_of, run_facts
from qstore_ray.storage.address import shown_place

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8323
MOST_RUNS: Final = 8
"""Of a comparison, and of the curves on one page."""

_GRACE_SECONDS = 2
_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_OF_FILES: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
)
"""For files of a run, which anybody may have written: no script runs in them."""

Id = Annotated[str, Query(alias="id")]
Ids = Annotated[list[str], Query(alias="id", default_factory=list)]


def serve_dashboard(
    storage: str,
    token: SecretStr,
    port: int = DEFAULT_PORT,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page of a storage folder until Ctrl-C or SIGTERM.

    Args:
        storage: a folder of runs, or an address of an object store.
        token: what opens the page.
        port: 0 takes a free one.
        ready: called with the address to enter by, to which `#token=…` belongs, once it answers.

    Raises:
        ConfigError: an address that is none.
        ServiceError: the port cannot be listened at.
    """
    with listening(HOST, port) as listener:
        number = listener.getsockname()[1]
        server: uvicorn.Server | None = None
        app = create_app(storage, token, number, lambda: server is not None and server.should_exit)
        server = quiet_server(app, _GRACE_SECONDS)
        if ready is not None:
            ready(f"http://{HOST}:{number}{ENTER}")
        run_until_stopped(server, listener)


def create_app(
    storage: str,
    token: SecretStr,
    port: int = DEFAULT_PORT,
    is_ending: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """The server as an ASGI application.

    Args:
        is_ending: whether streams of events are to end.

    Raises:
        ConfigError: an address of an object store that is none.
    """
    runs = RunListing(storage)
    searches = SearchPanel(storage)
    panels: dict[str, Callable[[], Any]] = {
        "alerts": AlertPanel(storage),
        "cluster": cluster_panel,
        "hardware": HardwarePanel(runs.folder),
        "searches": searches,
    }
    routes = _Routes(Board(runs, panels), searches, is_ending)
    app = FastAPI(title="qstore_ray dashboard", openapi_url=None, docs_url=None, redoc_url=None)
    guard(app, _Locked(token))
    app.add_middleware(AccessGate, token=token, port=port)
    every: dict[str, Callable[..., Any]] = {
        "/": routes.index,
        ENTER: routes.enter,
        "/page/{name}": routes.page,
        "/api/runs": routes.list_runs,
        "/api/run": routes.run,
        "/api/file": routes.file,
        "/api/compare": routes.compare,
        "/api/panel": routes.panel,
        "/api/search": routes.search,
        "/api/events": routes.stream,
    }
    for path, route in every.items():
        app.add_api_route(path, route, methods=["GET"], response_model=None)
    return app


class _Locked:
    """The settings that the common translation of errors looks at: it is never without a token."""

    is_locked, api_key = True, None

    def __init__(self, token: SecretStr) -> None:
        self.token = token


class _Routes:
    def __init__(self, board: Board, searches: SearchPanel, is_ending: Callable[[], bool]) -> None:
        self._board, self._searches, self._is_ending = board, searches, is_ending
        self._runs = board.runs
        self._reading = asyncio.Semaphore(4)

    async def index(self) -> Response:
        return _of_the_page("index.html")

    async def enter(self) -> Response:
        return _of_the_page("enter.html")

    async def page(self, name: str) -> Response:
        return _of_the_page(name)

    async def list_runs(self) -> Response:
        await run_in_threadpool(self._runs.refresh)
        changed = self._runs.since(-1)
        return JsonAnswer({"storage": shown_place(self._runs.folder), "runs": changed.rows})

    async def run(self, identifier: Id) -> Response:
        path = await self._found(identifier)
        async with self._reading:
            return JsonAnswer(await run_in_threadpool(run_facts, identifier, path))

    async def file(self, identifier: Id, name: str) -> Response:
        path = await run_in_threadpool(file_of, await self._found(identifier), name)
        headers = {"Content-Security-Policy": _OF_FILES}
        return FileResponse(path, media_type=KINDS[path.suffix], headers=headers)

    async def compare(self, ids: Ids) -> Response:
        paths = await self._each(ids)
        async with self._reading:
            return JsonAnswer(
                await run_in_threadpool(compared_runs, list(paths), [*paths.values()])
            )

    async def panel(self, name: str) -> Response:
        if name not in self._board.panels:
            raise ConfigError("no such panel", field="name", value=name)
        return Response(await self._board.panel(name), media_type=JsonAnswer.media_type)

    async def search(self, identifier: Id) -> Response:
        return JsonAnswer(await run_in_threadpool(self._searches.search, identifier))

    async def stream(self, ids: Ids) -> Response:
        _check_count(ids)
        if self._board.is_full:
            raise ResourceError("too many pages are open", field="events", fix="Close some.")
        paths, missing = {}, []
        for identifier in ids:
            try:
                paths[identifier] = await self._found(identifier)
            except UnknownNameError:  # deleted since the page has known it
                missing.append(identifier)
        return StreamingResponse(
            events(self._board, paths, self._is_ending, missing), media_type="text/event-stream"
        )

    async def _found(self, identifier: str) -> Path:
        await run_in_threadpool(self._runs.refresh)
        return await run_in_threadpool(self._runs.find, identifier)

    async def _each(self, ids: list[str]) -> dict[str, Path]:
        _check_count(ids)
        return {identifier: await self._found(identifier) for identifier in ids}


def _check_count(ids: list[str]) -> None:
    if len(ids) > MOST_RUNS:
        raise ConfigError(f"at most {MOST_RUNS} runs", field="id", value=len(ids))


def _of_the_page(name: str) -> Response:
    folder = files("qstore_ray.ops.dashboard") / "page"
    names = {each.name for each in folder.iterdir()}
    kind = _KINDS.get(f".{name.rpartition('.')[2]}")
    if name not in names or kind is None:
        return JsonAnswer({"detail": {"message": "no such file of the page"}}, 404)
    return Response((folder / name).read_bytes(), headers=HEADERS, media_type=kind)
