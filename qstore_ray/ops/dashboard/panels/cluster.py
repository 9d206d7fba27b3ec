"""The Ray cluster of this machine: what its record says, and what Ray's own server answers.

Nothing is started, joined or removed. Ray's server is asked over HTTP, with the cluster's token.
"""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any, Final
from urllib.request import ProxyHandler, Request, build_opener

from qstore_ray.cluster.processes import is_supervised
from qstore_ray.cluster.record import read_record, read_token, state_folder
from qstore_ray.tune.dashboards.pages import ray_page
from qstore_ray.types import Table

_SECONDS: Final = 2.0
_LARGEST: Final = 2**22
_MOST_JOBS: Final = 20


def cluster_panel() -> Table:
    """The warm cluster, or another Ray whose dashboard answers on this machine."""
    record = read_record(state_folder())
    if record is None or record.state != "running" or not is_supervised(record):
        other = ray_page()
        return {"running": False, "other": None if other is None else other.url}
    url = record.dashboard if "://" in record.dashboard else f"http://{record.dashboard}"
    return {
        "running": True,
        "address": record.address,
        "dashboard": url,
        "cpus": record.cpus,
        "nodes": record.nodes,
        "object_store_mb": record.object_store_mb,
        "ray": record.ray,
        **_asked(url),
    }


def _asked(url: str) -> Table:
    """What Ray's server says of nodes and jobs; `problem` if it does not answer."""
    try:
        token = read_token(state_folder())
        nodes = _get(f"{url}/nodes?view=summary", token)["data"]["summary"]
        jobs = _get(f"{url}/api/jobs/", token)
        return {"machines": [_node(each) for each in nodes], "jobs": _jobs(jobs), "problem": ""}
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError) as exc:
        reason = f"{type(exc).__name__}: {exc}"
        return {"machines": [], "jobs": [], "problem": f"Ray's server does not answer ({reason})"}


def _get(url: str, token: str) -> Any:
    request = Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - of a record
    with build_opener(ProxyHandler({})).open(request, timeout=_SECONDS) as answer:
        return json.loads(answer.read(_LARGEST))


def _node(node: dict[str, Any]) -> Table:
    raylet = node.get("raylet", {})
    total, available, _, used = (*node.get("mem", ()), None, None, None, None)[:4]
    return {
        "address": node.get("ip", ""),
        "state": raylet.get("state", "unknown"),
        "is_head": bool(raylet.get("isHeadNode")),
        "cpu_percent": node.get("cpu"),
        "memory_bytes": total,
        "memory_used_bytes": used if used is not None or total is None else total - available,
        "workers": raylet.get("numWorkers"),
    }


def _jobs(jobs: list[dict[str, Any]]) -> list[Table]:
    found: list[Table] = [
        {
            "id": job.get("submission_id") or job.get("job_id"),
            "status": job.get("status"),
            "entrypoint": job.get("entrypoint"),
            "started": job.get("start_time"),
            "ended": job.get("end_time"),
        }
        for job in jobs
    ]
    found.sort(key=lambda job: job["started"] or 0, reverse=True)
    return found[:_MOST_JOBS]
