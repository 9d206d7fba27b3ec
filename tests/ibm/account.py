"""Access tokens, the instance, its plan and its usage: what the client asks before any job."""

from __future__ import annotations

import base64
import json
import threading
import time
from itertools import count
from typing import Any

from tests.ibm import errors
from tests.ibm.errors import RefusalError
from tests.ibm.settings import Settings

PRICING = {"open": "free", "paygo": "paygo", "premium": "subscription"}
PLAN_ID = "plan-0001"


class Account:
    """Gives out access tokens and checks them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._number = count(1)
        self._valid: dict[str, float] = {}

    def token(self, api_key: str) -> dict[str, Any]:
        """The answer to POST /identity/token; the client decodes the token as a JWT."""
        if api_key != self._settings.api_key:
            raise RefusalError(400, errors.CREDENTIALS, "Provided API key could not be found.")
        now = time.time()
        life = max(round(self._settings.token_life), 1)
        with self._lock:
            claims = {"iat": int(now), "exp": int(now) + life, "jti": next(self._number)}
            token = ".".join(map(_part, ({"alg": "RS256", "typ": "JWT"}, claims, "signature")))
            self._valid[token] = now + self._settings.token_life
        return {
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": life,
            "expiration": claims["exp"],
        }

    def revoke(self) -> None:
        """Refuse all tokens given out before."""
        with self._lock:
            self._valid.clear()

    def check(self, authorization: str, crn: str | None) -> bool:
        """True if the raw API key was sent; raises RefusalError if access is denied."""
        scheme, _, value = authorization.partition(" ")
        raw = scheme == "apikey"
        if raw:
            known = value == self._settings.api_key
        else:
            with self._lock:
                known = self._valid.get(value, 0.0) > time.time()
        if not known:
            raise RefusalError(401, errors.CREDENTIALS, "Invalid credentials.")
        if crn is not None and crn != self._settings.crn:
            message = "You are not authorized to perform this action."
            raise RefusalError(403, errors.UNAUTHORIZED, message)
        return raw

    def instances(self) -> dict[str, Any]:
        """The answer to the search for instances."""
        item = {
            "crn": self._settings.crn,
            "name": "loopback",
            "tags": [],
            "service_plan_unique_id": PLAN_ID,
            "doc": {"extensions": {"quantum": True}},
        }
        return {"items": [item] if self._settings.crn else [], "limit": 100}

    def plan(self) -> dict[str, Any]:
        """The answer to the catalog's entry of the instance's plan."""
        plan = self._settings.plan
        return {
            "id": PLAN_ID,
            "overview_ui": {"en": {"display_name": plan.capitalize()}},
            "metadata": {"pricing": {"type": PRICING[plan]}},
        }

    def usage(self, consumed: float) -> dict[str, Any]:
        """The answer to GET /instances/usage."""
        limit = self._settings.limit
        answer = {
            "instance_id": self._settings.crn,
            "plan_id": PLAN_ID,
            "usage_consumed_seconds": consumed,
            "usage_limit_reached": limit is not None and consumed >= limit,
        }
        if limit is not None:
            answer["usage_limit_seconds"] = limit
        return answer


def _part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
