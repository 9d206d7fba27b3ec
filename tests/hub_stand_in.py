"""A stand-in for the Hugging Face hub on loopback: a real HTTP server that serves datasets.

    hub = HubStandIn()
    hub.add("me/digits", {"data/train-00000-of-00001.parquet": content})
    …params={"path": "me/digits", "endpoint": hub.url}…
    hub.close()

It answers what `huggingface_hub` asks for: repository information, trees, and files with their
ETag, commit, length and ranges. What a hub can do wrong is switched on by the fields of
`HubStandIn`. Everything that was asked is kept in `asked`, with the token that came along.
"""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

if TYPE_CHECKING:
    import numpy as np


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    token: str | None
    bytes_range: str | None


@dataclass
class Repository:
    """Commits by name of the revision, and the files of every commit."""

    revisions: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False
    moved_to: str | None = None


class HubStandIn:
    """Serves `repositories` until `close`.

    Args:
        hang: seconds to wait before any answer.
        hang_files: the same, for files only.
        drip: send bodies a byte every tenth of a second.
        html: answer every question with a page.
        status: answer every question with this status.
        broken: how many of the next questions get no answer, but a closed connection.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[Asked] = []
        self.hang = 0.0
        self.hang_files = 0.0
        self.drip = False
        self.html = False
        self.status: int | None = None
        self.broken = 0
        self.closed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        serve = {"poll_interval": 0.01}
        threading.Thread(target=self._server.serve_forever, kwargs=serve, daemon=True).start()

    def add(self, name: str, files: dict[str, bytes], revision: str = "main") -> str:
        """Make `revision` of the dataset `name` a new commit with `files`; returns the commit."""
        content = [name, revision, *(f"{path}{len(data)}" for path, data in files.items())]
        repository = self.repositories.setdefault(name, Repository())
        content.append(str(len(repository.commits)))
        commit = hashlib.sha1("\n".join(content).encode(), usedforsecurity=False).hexdigest()
        repository.revisions[revision] = commit
        repository.commits[commit] = dict(files)
        return commit

    def close(self) -> None:
        """Take no more questions; who still waits for an answer gets it now."""
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hub: HubStandIn

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: who met a deadline does not wait for the answer."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""

    def _answer(self, body: bytes = b"") -> None:
        path = urlsplit(self.path).path
        token, span = self.headers.get("Authorization"), self.headers.get("Range")
        self.server.hub.asked.append(Asked(self.command, path, token, span))
        self.server.hub.closed.wait(
            self.server.hub.hang + (self.server.hub.hang_files if "/resolve/" in path else 0.0)
        )
        if self.server.hub.broken:
            self.server.hub.broken -= 1
            self.close_connection = True
        elif self.server.hub.status is not None:
            self._send(self.server.hub.status, b"")
        elif self.server.hub.html:
            self._send(200, b"<html>sign in</html>", {"Content-Type": "text/html"})
        else:
            self._route(path, body)

    def _route(self, path: str, body: bytes) -> None:
        api = path.startswith("/api/datasets/")
        pieces = path.removeprefix("/api").removeprefix("/datasets/").split("/")
        verbs = ("revision", "tree", "paths-info", "resolve")
        at = next((k for k, piece in enumerate(pieces) if piece in verbs), len(pieces))
        name, rest = "/".join(pieces[:at]), pieces[at:] or ["revision", "main"]
        repository = self.server.hub.repositories.get(name)
        if repository is None:
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif repository.moved_to:
            target = path.replace(name, repository.moved_to, 1)
            self._send(307, b"", {"Location": target})
        elif repository.gated and not (api and rest[0] == "revision"):
            self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        else:
            self._serve(name, repository, rest, body)

    def _serve(self, name: str, repository: Repository, rest: list[str], body: bytes) -> None:
        revision, inner = unquote(rest[1]), unquote("/".join(rest[2:]))
        commit = repository.revisions.get(revision, revision)
        files = repository.commits.get(commit)
        if files is None:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif rest[0] == "revision":
            siblings = [{"rfilename": file} for file in files]
            info = {"_id": "0", "id": name, "sha": commit, "siblings": siblings}
            info |= {"private": False, "gated": repository.gated, "tags": [], "downloads": 0}
            self._json(info)
        elif rest[0] == "tree":
            self._json([_entry(path, files) for path in _inside(inner, files)])
        elif rest[0] == "paths-info":
            paths = json.loads(body)["paths"]
            self._json([_entry(path, files) for path in paths if path in files])
        elif inner not in files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            self._file(files[inner], commit)

    def _file(self, content: bytes, commit: str) -> None:
        etag = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        span = self.headers.get("Range")
        if span is None:
            self._send(200, content, headers)
            return
        low, _, high = span.removeprefix("bytes=").partition("-")
        start, stop = int(low), min(int(high or len(content)) + 1, len(content))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        self._send(206, content[start:stop], headers)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(body), 1 if self.server.hub.drip else max(len(body), 1)):
            self.wfile.write(body[start : start + 1] if self.server.hub.drip else body)
            self.server.hub.closed.wait(0.1 if self.server.hub.drip else 0.0)


def _inside(folder: str, files: dict[str, bytes]) -> list[str]:
    """Every path below `folder`, files and the folders on the way to them."""
    paths = set(files)
    for file in files:
        pieces = file.split("/")
        paths |= {"/".join(pieces[:k]) for k in range(1, len(pieces))}
    prefix = f"{folder}/" if folder else ""
    return sorted(path for path in paths if path.startswith(prefix) and path != folder)


def _entry(path: str, files: dict[str, bytes]) -> dict[str, Any]:
    oid = hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()
    if path not in files:
        return {"type": "directory", "path": path, "oid": oid, "size": 0}
    return {"type": "file", "path": path, "oid": oid, "size": len(files[path])}


def png(pixels: np.ndarray) -> bytes:
    """The image `pixels` (height, width) or (height, width, 3) as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def parquet(
    columns: dict[str, Any], *, names: tuple[str, ...] | None = None, group: int = 7
) -> bytes:
    """Columns as the hub stores them: lists of PNG bytes become images, `names` the label's."""
    arrays = {
        name: pa.array([{"bytes": cell, "path": None} for cell in values])
        if len(values) and isinstance(values[0], bytes)
        else pa.array(values)
        for name, values in columns.items()
    }
    table = pa.table(arrays)
    if names is not None:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}}
        metadata = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": metadata})
    stream = io.BytesIO()
    pq.write_table(table, stream, row_group_size=group)
    return stream.getvalue()
