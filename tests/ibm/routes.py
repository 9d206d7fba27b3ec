"""The endpoints: which function answers which method and path."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.ibm import devices
from tests.ibm.account import Account
from tests.ibm.faults import Fault
from tests.ibm.settings import PATH
from tests.ibm.store import Store


@dataclass
class Service:
    """What the endpoints stand on."""

    store: Store
    account: Account


class Request(NamedTuple):
    """A request whose path matched: the path's part, the query, and the decoded body."""

    name: str
    query: dict[str, list[str]]
    body: Any


class Answer(NamedTuple):
    """Status and content: JSON unless it is text."""

    status: int
    content: Any = None


def _token(service: Service, request: Request) -> Answer:
    return Answer(200, service.account.token(request.body.get("apikey", [""])[0]))


def _search(service: Service, request: Request) -> Answer:
    return Answer(200, service.account.instances())


def _catalog(service: Service, request: Request) -> Answer:
    return Answer(200, service.account.plan())


def _usage(service: Service, request: Request) -> Answer:
    return Answer(200, service.account.usage(service.store.consumed()))


def _queue(service: Service) -> int:
    return sum(job.status == "Queued" for job in list(service.store.jobs.values()))


def _paused(service: Service) -> bool:
    return service.store.clock.now() < service.store.faults.paused_until


def _backends(service: Service, request: Request) -> Answer:
    status = {"name": "offline" if _paused(service) else "online", "reason": ""}
    found = [
        {
            "name": name,
            "status": status,
            "is_simulator": False,
            "qubits": devices.configuration(name)["n_qubits"],
            "queue_length": _queue(service),
        }
        for name in service.store.settings.backend
    ]
    return Answer(200, {"devices": found})


def _configuration(service: Service, request: Request) -> Answer:
    return Answer(200, devices.configuration(request.name))


def _properties(service: Service, request: Request) -> Answer:
    return Answer(200, devices.properties(request.name))


def _status(service: Service, request: Request) -> Answer:
    paused = _paused(service)
    status = {
        "state": not paused,
        "status": "maintenance" if paused else "active",
        "length_queue": _queue(service),
        "backend_version": "1.0.0",
    }
    return Answer(200, status)


def _open_session(service: Service, request: Request) -> Answer:
    session = service.store.open_session(request.body)
    return Answer(200, session.describe(service.store.clock.now(), 0.0))


def _session(service: Service, request: Request) -> Answer:
    session = service.store.session(request.name)
    elapsed = service.store.elapsed(session)
    return Answer(200, session.describe(service.store.clock.now(), elapsed))


def _close_session(service: Service, request: Request) -> Answer:
    service.store.session(request.name).accepting = bool(request.body["accepting_jobs"])
    service.store.session(request.name)
    return Answer(204)


def _cancel_session(service: Service, request: Request) -> Answer:
    service.store.end_session(request.name, "user")
    return Answer(204)


def _submit(service: Service, request: Request) -> Answer:
    job = service.store.submit(request.body)
    return Answer(200, {"id": job.id, "backend": job.backend})


def _jobs(service: Service, request: Request) -> Answer:
    def first(name: str, default: str | None = None) -> str | None:
        return request.query.get(name, [default])[0]

    pending = {"true": True, "false": False, None: None}[first("pending")]
    jobs = service.store.search(request.query.get("tags", []), first("session_id"), pending)
    if first("sort") != "ASC":
        jobs.reverse()
    start, limit = int(first("offset", "0")), int(first("limit", "200"))
    page = [job.describe(with_params=False) for job in jobs[start : start + limit]]
    return Answer(200, {"jobs": page, "count": len(jobs), "limit": limit, "offset": start})


def _job(service: Service, request: Request) -> Answer:
    short = request.query.get("exclude_params", [""])[0] == "true"
    return Answer(200, service.store.job(request.name).describe(with_params=not short))


def _results(service: Service, request: Request) -> Answer:
    return Answer(200, service.store.result(request.name))


def _metrics(service: Service, request: Request) -> Answer:
    return Answer(200, service.store.job(request.name).metrics(service.store.clock.now()))


def _logs(service: Service, request: Request) -> Answer:
    return Answer(200, service.store.job(request.name).reason or "")


def _cancel(service: Service, request: Request) -> Answer:
    service.store.cancel(request.name, "user")
    return Answer(204)


def _tags(service: Service, request: Request) -> Answer:
    service.store.tag(request.name, request.body["tags"])
    return Answer(204)


def _delete(service: Service, request: Request) -> Answer:
    service.store.delete(request.name)
    return Answer(204)


def _inject(service: Service, request: Request) -> Answer:
    fault = Fault(**request.body)
    if fault.what == "revoke_tokens":
        service.account.revoke()
    service.store.inject(fault)
    return Answer(204)


def _clear(service: Service, request: Request) -> Answer:
    service.store.clear_faults()
    return Answer(204)


def _advance(service: Service, request: Request) -> Answer:
    service.store.advance(request.body["seconds"])
    return Answer(204)


def _control_jobs(service: Service, request: Request) -> Answer:
    jobs = list(service.store.jobs.values())
    return Answer(200, [{**job.describe(with_params=False), "reads": job.reads} for job in jobs])


def _control_usage(service: Service, request: Request) -> Answer:
    return Answer(200, service.store.consumed())


def _control_journal(service: Service, request: Request) -> Answer:
    return Answer(200, service.store.journal.entries)


class Route(NamedTuple):
    """A kind of request, which is also the name that a fault and the counters use."""

    kind: str
    method: str
    path: re.Pattern[str]
    answer: Callable[[Service, Request], Answer]


def _route(
    kind: str, method: str, path: str, answer: Callable[[Service, Request], Answer]
) -> Route:
    return Route(kind, method, re.compile(path.replace("{name}", "(?P<name>[^/]+)") + "$"), answer)


ROUTES = [
    _route("token", "POST", "/iam/identity/token", _token),
    _route("search", "POST", "/search/v3/resources/search", _search),
    _route("catalog", "GET", "/catalog/{name}", _catalog),
    _route("usage", "GET", PATH + "/instances/usage", _usage),
    _route("backends", "GET", PATH + "/backends", _backends),
    _route("configuration", "GET", PATH + "/backends/{name}/configuration", _configuration),
    _route("properties", "GET", PATH + "/backends/{name}/properties", _properties),
    _route("status", "GET", PATH + "/backends/{name}/status", _status),
    _route("open_session", "POST", PATH + "/sessions", _open_session),
    _route("session", "GET", PATH + "/sessions/{name}", _session),
    _route("close_session", "PATCH", PATH + "/sessions/{name}", _close_session),
    _route("cancel_session", "DELETE", PATH + "/sessions/{name}/close", _cancel_session),
    _route("submit", "POST", PATH + "/jobs", _submit),
    _route("jobs", "GET", PATH + "/jobs", _jobs),
    _route("job", "GET", PATH + "/jobs/{name}", _job),
    _route("results", "GET", PATH + "/jobs/{name}/results", _results),
    _route("metrics", "GET", PATH + "/jobs/{name}/metrics", _metrics),
    _route("logs", "GET", PATH + "/jobs/{name}/logs", _logs),
    _route("cancel", "POST", PATH + "/jobs/{name}/cancel", _cancel),
    _route("tags", "PUT", PATH + "/jobs/{name}/tags", _tags),
    _route("delete", "DELETE", PATH + "/jobs/{name}", _delete),
]

CONTROL = [
    _route("inject", "POST", "/control/faults", _inject),
    _route("clear", "DELETE", "/control/faults", _clear),
    _route("advance", "POST", "/control/clock", _advance),
    _route("jobs", "GET", "/control/jobs", _control_jobs),
    _route("usage", "GET", "/control/usage", _control_usage),
    _route("journal", "GET", "/control/journal", _control_journal),
]
"""For tests: not counted, not refused, not delayed."""
