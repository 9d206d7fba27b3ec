"""The dashboard of clusters/grafana, and the metrics that its queries ask for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "clusters" / "grafana" / "qstore.json").read_text("utf-8")
)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]

RAY_METRICS = frozenset(
    {"ray_node_cpu_utilization", "ray_node_mem_used", "ray_node_mem_total"}
    | {"ray_object_store_memory"}
)
"""Those of Ray itself that the dashboard shows; tests/ray sees that Ray exports them."""


def drawn() -> list[str]:
    """The queries of the panels, with a duration for Grafana's variable."""
    written = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
    return [query.replace("$__rate_interval", "5m") for query in written]


def queries() -> list[str]:
    """All queries: of the panels, and of the variables."""
    variables = [each for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    chosen = [re.fullmatch(r"label_values\((.*), \w+\)", each["definition"]) for each in variables]
    assert all(chosen)
    return [*drawn(), *(match[1] for match in chosen if match)]


def metrics_of(query: str) -> set[str]:
    """The names of the metrics in a query."""
    return set(re.findall(r"\bray_\w+", query))
