"""Alerts sent to a URL: signed, tried again, given up in time.

    POST URL
    Content-Type: application/json
    Qstore-Delivery: 5f0c…                      the same for every attempt at this alert
    Qstore-Signature: t=1767225600,v1=9c0e…     HMAC-SHA256 over "1767225600." and the body

    {"version": 1, "event": "opened", "run": "digits", "rule": "jump", "severity": "warning", …}

A receiver computes the signature with the same secret, compares it in constant time, and refuses a
time that is more than five minutes away, so that nobody can repeat an old message. An attempt
whose connection breaks, that times out, or that is answered by 429 or 5xx is made again, after a
pause that doubles and is random by up to half. Any other answer decides: 2xx is delivered, a
redirect is not followed, since the new address was never asked for, and 4xx is refused.

A proxy of the environment is used, but not to reach this machine itself. Logins of ~/.netrc are not
sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import random
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from qstore_ray.data.service.client.address import is_loopback
from qstore_ray.deadline import TimedCall
from qstore_ray.errors import ConfigError, RefusedError, ServiceError, TransientError
from qstore_ray.files import expanded
from qstore_ray.ops.alerts import Alert
from qstore_ray.track.logs.logging import announce

if TYPE_CHECKING:
    from requests import PreparedRequest

URL_VARIABLE: Final = "QSTORE_WEBHOOK"
SECRET_VARIABLE: Final = "QSTORE_WEBHOOK_SECRET"  # noqa: S105 - its name
_MOST: Final = 1000
"""Alerts that wait; one more is dropped, and said."""
_DRAWS: Final = random.SystemRandom()
_HOST: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_NO_PROXIES: Final = dict.fromkeys(("http", "https", "all"), "")


@dataclass(frozen=True, kw_only=True)
class WebhookTarget:
    """Where alerts are sent, and how patiently.

    Args:
        url: http or https, without a login.
        secret: signs the messages; empty sends them without a signature. Never shown.
        attempts: for each alert. attempt_seconds: for each of them, in all.
        first_pause: seconds after the first failure; doubled each time, at most `longest_pause`.

    Raises:
        ConfigError: not the URL of a server, or one with a login.
    """

    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    attempts: int = 5
    attempt_seconds: float = 10.0
    first_pause: float = 1.0
    longest_pause: float = 60.0

    def __post_init__(self) -> None:
        try:
            _check_url(self.url)
        except ValueError as exc:
            raise ConfigError(
                "not the URL of a webhook",
                field="webhook",
                value=self.shown,
                fix="Write https://HOST/PATH.",
            ) from exc
        if "@" in urlsplit(self.url).netloc:
            raise ConfigError(
                "the URL of a webhook has no login",
                field="webhook",
                value=self.shown,
                fix="Leave it out; messages are signed with the secret.",
            )

    @property
    def shown(self) -> str:
        """The server alone: of many services, the path is a secret."""
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return "…"
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}/…" if host else "…"


def _check_url(url: str) -> None:
    """Raise ValueError unless it is the URL of a server that can be asked."""
    if not url.isprintable() or " " in url:
        raise ValueError("not one word")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or parts.port == 0:
        raise ValueError("not http or https")
    name = host.encode("idna").decode("ascii")  # UnicodeError for an empty label, or a long one
    if ":" not in host and (len(name) > 253 or not _HOST.fullmatch(name)):
        raise ValueError("not the name of a host")


def read_secret(file: str | None) -> str:
    """The secret in a file of mode 0600, else of the variable QSTORE_WEBHOOK_SECRET, else empty.

    Raises:
        ConfigError: the file cannot be read, others can read it, or it is empty.
    """
    if file is None:
        return os.environ.get(SECRET_VARIABLE, "").strip()
    path = expanded(file)
    try:
        mode, secret = stat.S_IMODE(path.stat().st_mode), path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise _secret_error(f"cannot be read: {type(exc).__name__}", path) from exc
    if mode & 0o077:
        raise _secret_error(f"can be read by others (mode {mode:04o})", path, f"chmod 600 {path}")
    if not secret:
        raise _secret_error("is empty", path)
    return secret


def find_target(url: str | None = None, secret_file: str | None = None) -> WebhookTarget | None:
    """The target of a URL, or of the variable QSTORE_WEBHOOK; None if neither is given.

    Args:
        secret_file: see `read_secret`.

    Raises:
        ConfigError: not the URL of a webhook, or a file that cannot be used.
    """
    address = url or os.environ.get(URL_VARIABLE, "").strip()
    return WebhookTarget(url=address, secret=read_secret(secret_file)) if address else None


class WebhookNotifier:
    """Sends alerts from a thread of its own.

    Args:
        target: where to. failed: gets a line for each alert that was given up.
    """

    def __init__(self, target: WebhookTarget, failed: Callable[[str], None] | None = None) -> None:
        self._target = target
        self._failed = failed or (lambda text: announce("warning", text))
        self._waiting: queue.Queue[Alert | None] = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._deliver, name="webhook", daemon=True)
        self._thread.start()

    def notify(self, alert: Alert) -> None:
        """Put the alert into the queue."""
        if self._waiting.qsize() >= _MOST:
            self._failed(f"{self._target.shown}: {_MOST} alerts wait; this one is dropped")
            return
        self._waiting.put(alert)

    def close(self, seconds: float) -> None:
        """Send what waits for at most so many seconds."""
        self._waiting.put(None)
        self._thread.join(seconds)
        self._stop.set()
        left = self._waiting.qsize()
        if self._thread.is_alive():
            self._failed(f"{self._target.shown}: not answered in time; {left} alerts are not sent")

    def _deliver(self) -> None:
        # gate: QS103 because `close` puts None, and the thread keeps no process alive
        while (alert := self._waiting.get()) is not None and not self._stop.is_set():
            try:
                deliver(self._target, alert, self._stop)
            except ServiceError as exc:
                self._failed(f"{self._target.shown}: {alert.run} {alert.rule}: {exc.message}")


def deliver(target: WebhookTarget, alert: Alert, stop: threading.Event | None = None) -> None:
    """Send one alert, as often as it takes and may be.

    Args:
        stop: ends the pauses between attempts.

    Raises:
        RefusedError: the receiver has decided against it, or redirects, or is not trusted.
        TransientError: it did not answer in any of the attempts.
    """
    stop = stop or threading.Event()
    event = "opened" if alert.is_open else "closed"
    body = json.dumps({"version": 1, "event": event, **alert.as_dict()}).encode()
    delivery, pause = secrets.token_hex(16), target.first_pause
    for left in reversed(range(target.attempts)):
        try:
            TimedCall(lambda: _post(target, body, delivery), "webhook-post").result(
                target.attempt_seconds
            )
        except TransientError:
            if not left or stop.is_set():
                raise
            stop.wait(pause * _DRAWS.uniform(0.75, 1.25))
            pause = min(2.0 * pause, target.longest_pause)
        else:
            return


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of `Qstore-Signature` for a message; bytes of the environment that are no text are
    a secret as well.

    Examples:
        assert signature("secret", 1, b"{}").startswith("t=1,v1=")
    """
    key = secret.encode("utf-8", "surrogateescape")
    signed = hmac.new(key, f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={signed.hexdigest()}"


def _post(target: WebhookTarget, body: bytes, delivery: str) -> None:
    import requests

    headers = {"Content-Type": "application/json", "Qstore-Delivery": delivery}
    if target.secret:
        # gate: QS206 because a signature has its date
        headers["Qstore-Signature"] = signature(target.secret, int(time.time()), body)
    try:
        answer = requests.post(
            target.url, body, headers=headers, timeout=target.attempt_seconds,
            allow_redirects=False, stream=True, auth=_without_login,
            proxies=_NO_PROXIES if is_loopback(urlsplit(target.url).hostname or "") else None,
        )  # fmt: skip
    except requests.exceptions.SSLError as exc:
        raise RefusedError(
            "its certificate is not trusted",
            fix="Set REQUESTS_CA_BUNDLE to a file with the certificate of its authority.",
        ) from exc
    except requests.Timeout as exc:  # the limit of the whole call comes at the same moment
        raise TransientError(f"timed out after {target.attempt_seconds:g} s") from exc
    except ValueError as exc:  # of a proxy of the environment, for example
        raise RefusedError(f"cannot be asked ({type(exc).__name__})") from exc
    except requests.RequestException as exc:
        raise TransientError(f"cannot be reached ({type(exc).__name__})") from exc
    except OSError as exc:  # requests looks for the file before it connects
        raise RefusedError(
            "the certificates of authorities cannot be read",
            fix="Set REQUESTS_CA_BUNDLE to a file that exists, or unset it.",
        ) from exc
    answer.close()
    _check(answer.status_code)


def _without_login(request: PreparedRequest) -> PreparedRequest:
    """Else requests takes a login from ~/.netrc, and sends it along."""
    return request


def _check(status: int) -> None:
    if status == 429 or status >= 500:
        raise TransientError(f"answers {status}")
    if 300 <= status < 400:
        raise RefusedError(f"answers {status}, a redirect, which is not followed")
    if status >= 400:
        raise RefusedError(f"answers {status}")


def _secret_error(message: str, path: Path, fix: str = "") -> ConfigError:
    return ConfigError(
        f"the file with the webhook's secret {message}",
        field="secret_file",
        value=str(path),
        fix=f"Run: {fix}" if fix else "Write the secret into it, and nothing else.",
    )
