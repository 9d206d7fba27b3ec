"""An HTTP proxy on loopback in front of a server; requests meet the faults that a test plans."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["", "503", "403", "507", "denied", "denied each", "expired", "cut", "lost", "blind"]
"""How a request is answered: as it should be; with this status; refused to the keys, as a whole or
for each object, with status 200; refused as the keys have expired; the connection ends in the
middle of its body; it is carried out, and the answer is lost; its conditions are ignored."""

Plan = Callable[[int, str, str], Fault]
"""The fault of a request, by its number, method and path."""

_CODES = {
    "503": (503, "SlowDown"),
    "403": (403, "InvalidAccessKeyId"),
    "507": (507, "InsufficientStorage"),
    "denied": (403, "AccessDenied"),
    "denied each": (200, "AccessDenied"),
    "expired": (400, "ExpiredToken"),
}
_CONDITIONS = ("if-match", "if-none-match")


class FaultyProxy:
    """Attributes: `address` of the proxy; `met`, the faults so far; `plan` may be replaced."""

    def __init__(self, target: str, plan: Plan, at: tuple[str, int]) -> None:
        self.plan, self.met = plan, list[str]()
        self._number = 0
        self._lock = threading.Lock()
        about = {"proxy": self, "target": urlsplit(target).netloc}
        handler = type("Handler", (_Handler,), about)
        self._server = ThreadingHTTPServer(at, handler)
        self._server.daemon_threads = True
        self.address = f"http://{at[0]}:{self._server.server_port}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self, method: str, path: str) -> Fault:
        with self._lock:
            self._number += 1
            fault = self.plan(self._number, method, path)
            if fault:
                self.met.append(f"{fault} {method}")
        return fault


class _Handler(BaseHTTPRequestHandler):
    """Handles one connection to a proxy, which a class made from it names."""

    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy
    target: str

    def _handle(self) -> None:
        fault = self.proxy.next_fault(self.command, self.path)
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length // 2 if fault == "cut" else length)
        if fault in _CODES:
            status, code = _CODES[fault]
            key = re.search(b"<Key>.*?</Key>", body)
            error = f"{key[0].decode() if key else ''}<Code>{code}</Code><Message>No</Message>"
            text = f"<Error>{error}</Error>"
            whole = f"<DeleteResult>{text}</DeleteResult>" if status == 200 else text
            self._answer(status, {}, whole.encode())
            return
        headers = dict(self.headers.items())
        if fault == "blind":
            headers = {name: headers[name] for name in headers if name.lower() not in _CONDITIONS}
        if fault != "cut":
            upstream = HTTPConnection(self.target, timeout=10)
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            data = answer.read()
            upstream.close()
        if fault in ("cut", "lost"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._answer(answer.status, dict(answer.getheaders()), data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815 - its names

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        length = headers.get("Content-Length", "0") if is_head else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        if not is_head:
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Nothing: a test prints no requests."""


@contextmanager
def faulty_proxy(
    target: str, plan: Plan, at: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[FaultyProxy]:
    """A proxy at an address and port in front of a server, for the time of the block."""
    proxy = FaultyProxy(target, plan, at)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join()
