"""A refusal, in the form of the service's API."""

from __future__ import annotations

import json

MORE = "https://quantum.cloud.ibm.com/docs/errors"

UNAUTHORIZED = 1200
CREDENTIALS = 1201
TOO_MANY_REQUESTS = 1202
SESSION_CLOSED = 1217
RAN_TOO_LONG = 1305
SESSION_NOT_IN_PLAN = 1352
TOO_MANY_JOBS = 3458
INTERNAL = 1000


class RefusalError(Exception):
    """The request has no effect and is answered with `status` and the error `code`."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def error_body(code: int, message: str) -> str:
    """The JSON text of an error answer."""
    error = {"code": code, "message": message, "solution": "", "more_info": MORE}
    return json.dumps({"errors": [error], "trace": "loopback"})
