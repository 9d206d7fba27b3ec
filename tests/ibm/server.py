"""The HTTP server on 127.0.0.1: reads a request, applies faults, answers, and counts.

    python -m tests.ibm.server --backend fake_manila --journal FILE

prints its URL on the first line and serves until it is terminated. `--until-stdin-ends` also ends
it with the process that started it, however that process dies.
"""

from __future__ import annotations

import argparse
import http.server
import json
import socket
import sys
import threading
from collections import Counter
from dataclasses import fields
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

from tests.ibm import errors, loading
from tests.ibm.account import Account
from tests.ibm.clock import Clock
from tests.ibm.errors import RefusalError, error_body
from tests.ibm.faults import Fault, Faults
from tests.ibm.journal import Journal
from tests.ibm.lanes import Lanes
from tests.ibm.routes import CONTROL, ROUTES, Answer, Request, Route, Service
from tests.ibm.settings import PATH, Execution, Plan, Settings
from tests.ibm.store import Store


class Server(http.server.ThreadingHTTPServer):
    """Serves from its construction until `close`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, settings: Settings) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        clock, journal = Clock(settings.speed), Journal(settings.journal)
        store = Store(settings, clock, Faults(), journal)
        self.service = Service(store, Account(settings))
        self.requests: Counter[str] = Counter()
        self.counting = threading.Lock()
        for fault in settings.faults:
            store.inject(fault)
        self._lanes = Lanes(store)
        serve = {"poll_interval": 0.01}
        threading.Thread(target=self.serve_forever, kwargs=serve, daemon=True).start()

    def close(self) -> None:
        """Stop the lanes and take no more requests."""
        self._lanes.stop()
        self.shutdown()
        self.server_close()
        self.service.store.journal.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a client that was killed does not wait for its answer."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # headers and body in one packet

    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        for route in (*ROUTES, *CONTROL):
            match = route.path.match(url.path)
            if match and route.method == self.command:
                request = Request(
                    match.groupdict().get("name", ""), parse_qs(url.query), self._decode(body)
                )
                if route in CONTROL:
                    self._send(self._answer(route, request))
                elif url.path.startswith(PATH):
                    self._serve(route, request)
                else:
                    self._count(route.kind)
                    self._with_faults(route, request)
                return
        if (self.command, url.path) == ("GET", "/control/requests"):
            self._send(Answer(200, self.server.requests))
            return
        self._count("unknown")
        self._refuse(404, errors.UNAUTHORIZED, f"no endpoint {self.command} {url.path}")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - their names

    def _decode(self, body: bytes) -> Any:
        if self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            return parse_qs(body.decode())
        return json.loads(body) if body else {}

    def _serve(self, route: Route, request: Request) -> None:
        """A request of the API: it needs access, and there may be maintenance."""
        store, account = self.server.service.store, self.server.service.account
        self._count(route.kind)
        if store.clock.now() < store.faults.maintenance_until:
            self._refuse(503, errors.INTERNAL, "The service is in maintenance.")
            return
        try:
            authorization = self.headers.get("Authorization", "")
            if account.check(authorization, self.headers.get("Service-CRN")):
                store.journal.write(store.clock.now(), "raw_key", kind=route.kind)
        except RefusalError as error:
            self._refuse(error.status, error.code, error.message)
        else:
            self._with_faults(route, request)

    def _with_faults(self, route: Route, request: Request) -> None:
        store = self.server.service.store
        fault = store.faults.for_request(route.kind)
        if fault is None:
            self._send(self._answer(route, request))
            return
        store.journal.write(store.clock.now(), "fault", what=fault.what, kind=route.kind)
        if fault.what == "delay":
            threading.Event().wait(store.clock.real(fault.seconds))
            self._send(self._answer(route, request))
            return
        if fault.after_effect or fault.what == "truncate":
            answer = self._answer(route, request)
            store.journal.write(store.clock.now(), "answer_lost", kind=route.kind)
        if fault.what == "drop":
            self._hang_up()
        elif fault.what == "truncate":
            self._send(answer, cut=True)
            self._hang_up()
        else:
            self._refuse(fault.status, fault.code, fault.message, fault.retry_after)

    def _answer(self, route: Route, request: Request) -> Answer:
        try:
            return route.answer(self.server.service, request)
        except RefusalError as error:
            refusal = error
        except (KeyError, TypeError, ValueError) as error:
            message = f"Request validation of body failed, because: {error!r}"
            refusal = RefusalError(400, 1208, message)
        store = self.server.service.store
        store.journal.write(
            store.clock.now(), "refused", kind=route.kind, status=refusal.status, code=refusal.code
        )
        return Answer(refusal.status, error_body(refusal.code, refusal.message))

    def _refuse(
        self, status: int, code: int, message: str, retry_after: float | None = None
    ) -> None:
        headers = {}
        if retry_after is not None:
            headers["Retry-After"] = str(round(self.server.service.store.clock.real(retry_after)))
        self._send(Answer(status, error_body(code, message)), headers)

    def _send(
        self, answer: Answer, headers: dict[str, str] | None = None, *, cut: bool = False
    ) -> None:
        content = answer.content
        text = content if isinstance(content, str) else json.dumps(content)
        data = b"" if answer.status == 204 else text.encode()
        self.send_response(answer.status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        self.wfile.flush()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _count(self, kind: str) -> None:
        with self.server.counting:
            self.server.requests[kind] += 1


def settings_from(arguments: list[str]) -> tuple[Settings, bool]:
    """Settings from a command line, and whether the end of standard input ends the server."""
    parser = argparse.ArgumentParser(prog="python -m tests.ibm.server", description=__doc__)
    parser.add_argument("--backend", action="append", help="a fake backend; may be repeated")
    parser.add_argument("--plan", choices=get_args(Plan))
    parser.add_argument("--execution", choices=get_args(Execution))
    parser.add_argument("--seed", type=lambda text: None if text == "none" else int(text))
    parser.add_argument("--paced", action="store_true")
    parser.add_argument("--fault", action="append", dest="faults", help="a fault as JSON")
    for name in ("speed", "queue-delay", "tag-delay", "usage-delay", "usage-limit", "token-life"):
        parser.add_argument(f"--{name}", type=float)
    for name in ("lanes", "pending-limit"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("api-key", "crn", "journal"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--until-stdin-ends", action="store_true")
    lists = ("backend", "faults")
    defaults = {each.name: each.default for each in fields(Settings) if each.name not in lists}
    parser.set_defaults(**defaults)
    given = vars(parser.parse_args(arguments))
    until_stdin_ends = given.pop("until_stdin_ends")
    given["backend"] = tuple(given["backend"] or Settings.backend)
    given["faults"] = tuple(Fault(**json.loads(text)) for text in given["faults"] or ())
    return Settings(**given), until_stdin_ends


def main() -> None:
    """Serve until terminated."""
    settings, until_stdin_ends = settings_from(sys.argv[1:])
    server = Server(settings)
    print(server.url, flush=True)  # noqa: T201 - who started it reads the address
    loading.begin()
    if until_stdin_ends:
        sys.stdin.read()
    else:
        threading.Event().wait()
    server.close()


if __name__ == "__main__":
    main()
