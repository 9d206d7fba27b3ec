"""What can go wrong at IBM's service, as the gateway has to know it.

    translated      the one place where errors of the client library become ours
    TransientError  nothing is known, or nothing was done: look the job up, wait, try again
    RefusedError    the service has decided: trying again changes nothing

An answer of 400, 401, 403, 404 or 409 is a refusal, unless it says that the account has as many
jobs in the queue as its plan allows. Everything else may pass: 429, 5xx, a connection that was
dropped. Of these only 429 is sure to have had no effect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qstore_ray.backends.ibm.keys import redact_account
from qstore_ray.errors import (
    ConfigError,
    MissingDependencyError,
    QStoreError,
    RefusedError,
    ServiceError,
    TransientError,
)

_REFUSALS = frozenset({400, 401, 403, 404, 409, 413, 422})
_OF_CIRCUITS = frozenset({"IBMInputValueError", "TranspilerError", "CircuitError"})
"""Errors before anything is sent: the client cannot prepare what it is given."""
_PAGE = re.compile(r"<!doctype html|<html", re.IGNORECASE)
"""IBM's service answers in JSON: a page of HTML comes from a proxy or firewall before it."""
_FULL = re.compile(
    r"\(code (?:1012|3458)\)|\blimit of \d+ pending jobs|\bmaximum number (?:\(\d+\) )?of "
    r"(?:pending |concurrent )jobs",
    re.IGNORECASE,
)
"""The open plan takes three jobs at a time, also of other programs and of the web page."""
_RAY = re.compile(r"Ray ID:?\s*(?:<[^>]*>\s*)*(?P<ray>[0-9a-f]{8,})", re.IGNORECASE)
_MESSAGES = ("message", "errorMessage", "error_description", "detail", "error")
"""Where IBM's services write what is wrong: the runtime, the sign-in, what stands before them."""
_NESTED = 4
"""How many errors of the client may be around one another, and one more."""
_STATUS = re.compile(r"\b(?P<status>[45]\d\d) (?:Client|Server) Error")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Errors of the client library as ours.

    Args:
        doing: what was tried, as in "cannot `doing` at IBM's service".

    Raises:
        ConfigError: the account, its key or its instance is wrong.
        RefusedError, TransientError: see above.
        MissingDependencyError: the client library is not installed.
    """
    try:
        yield
    except ImportError as exc:
        raise MissingDependencyError(
            "IBM's client library is not installed",
            field="backend",
            fix="pip install qiskit-ibm-runtime",
        ) from exc
    except QStoreError:
        raise
    except Exception as exc:
        found = _ours(doing, exc)
        if found is None:
            raise
        # The client's errors may hold the key in the request that they keep: no cause is kept.
        raise found from None


def _ours(doing: str, exc: Exception) -> ServiceError | ConfigError | None:
    """The error of ours; None for one that is not the client's."""
    kinds = {kind.__name__ for kind in type(exc).__mro__}
    text = redact_account(str(exc)).strip().strip("'\"")
    status = status_of(exc)
    if status == 403 and _PAGE.search(text):
        blocked = RefusedError(
            f"cannot {doing} at IBM's service: a firewall or proxy blocked the request "
            f"(403){_ray_of(text)}",
            field="backend",
            fix="The key is not at fault. Look at the proxy of the gateway's node; if smaller jobs "
            "pass, set policy.caps.payload_bytes. Else report the page to IBM.",
        )
        blocked.status = status
        return blocked
    text = _said(_PAGE.split(text)[0]).strip()
    is_full = status in _REFUSALS and _FULL.search(text) is not None
    if "InvalidAccountError" in kinds and (why := _out_of_reach(exc, status)):
        return _transient_error(doing, redact_account(why), status)
    has_no_right = "IBMNotAuthorizedError" in kinds or status in {401, 403}
    if (has_no_right and not is_full) or "valid API token" in text:
        return ConfigError(
            f"the service does not accept the API key: {text}",
            field="backend_options.account",
            fix="Look at the key and its instance on quantum.cloud.ibm.com.",
        )
    if kinds & {"AccountNotFoundError", "InvalidAccountError"}:
        return ConfigError(
            f"there is no account to sign in with: {text}",
            field="backend_options.account",
            fix="Save one with QiskitRuntimeService.save_account on the gateway's node, or give "
            "token_file.",
        )
    if "QiskitBackendNotFoundError" in kinds:
        return ConfigError(text, field="backend_options.device", fix="Name one of the instance's.")
    if not kinds & {"QiskitError", "IBMError", "RequestException", "ApiException", "OSError"}:
        return None
    refused = status in _REFUSALS or (status is None and kinds & _OF_CIRCUITS)
    if is_full or not refused:
        passing = _transient_error(doing, text, status)
        passing.is_full = is_full
        return passing
    made = RefusedError(f"cannot {doing} at IBM's service: {text}")
    made.status = status
    return made


def _said(text: str) -> str:
    """The text, with what a body of JSON in it says in place of the body.

    The client reads the message of one form alone, {"error": {"message": …}}, and shows the body of
    any other. Each error around another writes its text as a literal, so quotes may be escaped.
    """
    start = text.find("{")
    body = text[start:] if start >= 0 else ""
    for _ in range(_NESTED):
        try:
            found, end = json.JSONDecoder().raw_decode(body)
        except ValueError:
            body = re.sub(r"\\(.)", r"\1", body)
            continue
        said = "; ".join(_messages(found))
        rest = body[end:].strip(" .'\"")
        return " ".join(filter(None, (text[:start].rstrip(), said, rest))) if said else text
    return text


def _messages(body: object) -> Iterator[str]:
    """The messages in an answer of IBM's services, each with its code and what to do."""
    if isinstance(body, list):
        for each in body:
            yield from _messages(each)
        return
    if not isinstance(body, dict):
        return
    message = next((body[name] for name in _MESSAGES if isinstance(body.get(name), str)), "")
    if message:
        code = body.get("code", body.get("errorCode", ""))
        solution = body.get("solution")
        yield message + (f" (code {code})" if code else "") + (f" {solution}" if solution else "")
        return
    for name in ("errors", "error"):
        yield from _messages(body.get(name))


def _transient_error(doing: str, text: str, status: int | None) -> TransientError:
    made = TransientError(f"cannot {doing} at IBM's service: {text}")
    made.status = status
    return made


def _ray_of(page: str) -> str:
    """The number by which Cloudflare finds the request again."""
    found = _RAY.search(page)
    return f", Ray ID {found['ray']}" if found else ""


def status_of(exc: BaseException | None) -> int | None:
    """The HTTP status behind an error: the client keeps it in the error that it hides."""
    seen: set[int] = set()
    waiting: list[Any] = [exc]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        for name in ("status_code", "code"):
            status = getattr(each, name, None)
            if isinstance(status, int) and 400 <= status < 600:
                return status
        if found := _STATUS.search(str(each)):
            return int(found["status"])
        waiting += [each.__cause__, each.__context__]
    return None


def _out_of_reach(exc: Exception, status: int | None) -> str:
    """What IBM's sign-in or its list of instances could not answer; "" if it has answered.

    The client takes every trouble with them for a wrong key.
    """
    causes = [each for each in (exc.__cause__, exc.__context__) if each is not None]
    if not causes or status in _REFUSALS:
        return ""
    has_no_answer = any(kind.__name__ == "RequestException" for kind in type(causes[0]).__mro__)
    return str(causes[0]) if has_no_answer or status is not None else ""
