"""A dashboard on a real port of loopback, in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from pydantic import SecretStr

from qstore_ray.data.service.server.app import listening
from qstore_ray.ops.dashboard.server import create_app

TOKEN = "a-token-of-a-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class ServedPage(NamedTuple):
    """A dashboard that answers."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in small letters, and body of an answer; with the token by default."""
        answer = self.opened(path, headers, method)
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def opened(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, headers=BEARER if headers is None else headers)
        return connection.getresponse()

    def json(self, path: str) -> Any:
        """What an address answers as JSON, if it answers with 200."""
        status, _, body = self.ask(path)
        assert status == 200, body
        return json.loads(body)

    def events(self, path: str = "/api/events") -> Iterator[tuple[str, Any]]:
        """The events of a stream, with their names; endless."""
        name = ""
        with self.opened(path) as answer:
            assert answer.status == 200
            for line in answer:
                kind, _, text = line.decode().strip().partition(": ")
                if kind == "event":
                    name = text
                elif kind == "data":
                    yield name, json.loads(text)


@contextmanager
def served(storage: Path | str, port: int = 0) -> Iterator[ServedPage]:
    """The dashboard of a storage folder, at a port, or at any that is free."""
    with listening("127.0.0.1", port) as listener:
        port = listener.getsockname()[1]
        app = create_app(str(storage), SecretStr(TOKEN), port, lambda: server.should_exit)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        )
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),))
        thread.start()
        try:
            yield ServedPage(port)
        finally:
            server.should_exit = True
            thread.join()
