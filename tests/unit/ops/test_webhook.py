"""The webhook: signed, tried again, given up in time, and never waited for."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qstore_ray.deadline import TimedCall
from qstore_ray.errors import ConfigError, RefusedError, TransientError
from qstore_ray.ops.alerts import Alert
from qstore_ray.ops.notify.webhook import (
    WebhookNotifier,
    WebhookTarget,
    deliver,
    find_target,
    read_secret,
    signature,
)

ALERT = Alert(run="digits", rule="jump", severity="warning", opened=12.0, message="it jumped")
QUICK = {"first_pause": 0.001, "attempt_seconds": 5.0}


class Receiver(ThreadingHTTPServer):
    """Answers with the given statuses in turn, the last one for ever; keeps what it got."""

    daemon_threads = True

    def __init__(self, *statuses: int, hangs: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses, self.hangs = list(statuses), hangs
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.got.append((dict(self.headers), body))
        if server.hangs:
            server.release.wait(30.0)
        status = server.statuses.pop(0) if len(server.statuses) > 1 else server.statuses[0]
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def receiver(*statuses: int, hangs: bool = False) -> Iterator[Receiver]:
    with Receiver(*statuses, hangs=hangs) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()


def test_a_message_is_json_and_its_signature_is_that_of_its_bytes():
    with receiver(204) as server:
        deliver(WebhookTarget(url=server.url, secret="s3cret", **QUICK), ALERT)
    [(headers, body)] = server.got
    assert json.loads(body) == {"version": 1, "event": "opened", **ALERT.as_dict()}
    stamp, _, given = headers["Qstore-Signature"].partition(",v1=")
    assert abs(int(stamp.removeprefix("t=")) - time.time()) < 300
    signed = stamp.removeprefix("t=").encode() + b"." + body
    assert hmac.compare_digest(given, hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest())
    assert signature("s3cret", 5, b"a") != signature("s3cret", 6, b"a")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_may_pass_is_asked_for_again(status: int):
    with receiver(status, status, 200) as server:
        deliver(WebhookTarget(url=server.url, **QUICK), ALERT)
    assert len(server.got) == 3
    assert len({headers["Qstore-Delivery"] for headers, _ in server.got}) == 1
    assert all("Qstore-Signature" not in headers for headers, _ in server.got)


def test_a_receiver_that_keeps_failing_is_given_up():
    with receiver(500) as server, pytest.raises(TransientError, match="answers 500"):
        deliver(WebhookTarget(url=server.url, attempts=3, **QUICK), ALERT)
    assert len(server.got) == 3


@pytest.mark.parametrize(
    ("status", "said"), [(302, "redirect, which is not followed"), (404, "answers 404")]
)
def test_a_refusal_and_a_redirect_are_final(status: int, said: str):
    with receiver(status) as server, pytest.raises(RefusedError, match=said):
        deliver(WebhookTarget(url=server.url, **QUICK), ALERT)
    assert len(server.got) == 1


def test_nobody_listening_is_said():
    with receiver(200) as server:
        url = server.url
    with pytest.raises(TransientError, match="cannot be reached"):
        deliver(WebhookTarget(url=url, attempts=2, **QUICK), ALERT)


def test_a_certificate_that_nobody_has_signed_is_refused(tmp_path: Path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiver(200) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = server.url.replace("http:", "https:")
        with pytest.raises(RefusedError, match="certificate is not trusted"):
            deliver(WebhookTarget(url=url, **QUICK), ALERT)
    assert server.got == []


def test_a_receiver_that_hangs_delays_nobody():
    said: list[str] = []
    with receiver(200, hangs=True) as server:
        notifier = WebhookNotifier(WebhookTarget(url=server.url), said.append)
        for _ in range(1002):
            notifier.notify(ALERT)  # returns, although the first one is not answered
        assert server.got == [] or len(server.got) == 1
        notifier.close(0.05)
    assert "1000 alerts wait; this one is dropped" in said[0]
    assert "not answered in time" in said[-1]
    assert "/hook" not in " ".join(said)


def test_what_waits_is_sent_before_the_end():
    with receiver(500, 200) as server:
        notifier = WebhookNotifier(WebhookTarget(url=server.url, **QUICK))
        notifier.notify(ALERT)
        notifier.notify(ALERT)
        notifier.close(30.0)
    assert len(server.got) == 3


@pytest.mark.parametrize("secret", ["snö", "\udcff\udcfe", "a\nb"])
def test_any_bytes_are_a_secret_and_any_name_of_a_run_is_sent(secret: str):
    said: list[str] = []
    alert = replace(ALERT, run="\udcffœ", value=math.nan)
    with receiver(200) as server:
        notifier = WebhookNotifier(
            WebhookTarget(url=server.url, secret=secret, **QUICK), said.append
        )
        notifier.notify(alert)
        notifier.close(30.0)
    [(headers, body)] = server.got
    stamp, _, given = headers["Qstore-Signature"].partition(",v1=")
    signed = stamp.removeprefix("t=").encode() + b"." + body
    key = secret.encode("utf-8", "surrogateescape")
    assert given == hmac.new(key, signed, hashlib.sha256).hexdigest()
    assert json.loads(body)["run"] == "\udcffœ"
    assert said == []


def test_the_environment_neither_leads_astray_nor_adds_a_login(tmp_path: Path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password pw\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with receiver(200) as server:
        deliver(WebhookTarget(url=server.url, attempts=1, **QUICK), ALERT)
    [(headers, _)] = server.got
    assert "Authorization" not in headers
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    with pytest.raises(RefusedError, match="certificates of authorities cannot be read"):
        deliver(WebhookTarget(url="https://127.0.0.1:9/", attempts=1, **QUICK), ALERT)


def test_an_attempt_has_a_limit_however_slow_the_receiver_is():
    with receiver(200, hangs=True) as server, pytest.raises(TransientError, match="timed out"):
        deliver(WebhookTarget(url=server.url, attempts=1, attempt_seconds=0.1), ALERT)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b", "example.org", "https://", "http://ann:pw@h/x", "http://[::1", "http://h:99999/",
        "http://h:port/", "http://h:0/", "http://a..b/", "http://.h/", "http://*/", "http://h/a b",
        "http://h\n/", "http://h/\udcff", f"http://{'a' * 64}.org/", f"http://{'a.' * 130}org/",
    ],
    ids=range(16),
)  # fmt: skip
def test_a_url_that_is_none_is_refused_without_showing_it(url: str):
    with pytest.raises(ConfigError) as caught:
        WebhookTarget(url=url)
    assert "pw" not in str(caught.value)
    assert "pw" not in repr(caught.value)


def test_a_secret_comes_from_a_file_of_its_own_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("QSTORE_WEBHOOK", raising=False)
    assert find_target() is None
    monkeypatch.setenv("QSTORE_WEBHOOK", "https://h.example/secret-path")
    monkeypatch.setenv("QSTORE_WEBHOOK_SECRET", "from-variable")
    target = find_target()
    assert target is not None
    assert target.secret == "from-variable"
    assert "secret-path" not in repr(target) + target.shown
    assert "from-variable" not in repr(target)
    file = tmp_path / "secret"
    file.write_text("from-file\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        read_secret(str(file))
    file.chmod(0o600)
    assert read_secret(str(file)) == "from-file"
    file.write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        read_secret(str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret(str(tmp_path / "absent"))


def test_a_call_with_a_time_limit_returns_raises_or_times_out():
    assert TimedCall(lambda: 5).result(10.0) == 5
    with pytest.raises(KeyError):
        TimedCall(lambda: {}["x"]).result(10.0)
    never = threading.Event()
    with pytest.raises(TransientError, match="timed out after"):
        TimedCall(never.wait).result(0.01)
    never.set()
