"""Recording a metric on Ray's Prometheus endpoint, from any process of a Ray cluster.

A process without Ray records nothing and imports nothing. Where Ray runs, a value costs about two
microseconds; Ray's node agent collects it every ten seconds (`RAY_metrics_report_interval_ms`) and
serves it at the node's metrics port. A gauge is served for as long as it is set again and again, a
counter until the node ends.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from qstore_ray.telemetry.families import MetricFamily


def is_exporting() -> bool:
    """Whether this process belongs to a Ray cluster, which serves what is recorded."""
    is_initialized = getattr(sys.modules.get("ray"), "is_initialized", None)
    return is_initialized is not None and bool(is_initialized())


def record(family: MetricFamily, value: float, labels: Mapping[str, str]) -> None:
    """Increase a counter, set a gauge or observe a value; does nothing where Ray does not run.

    Args:
        value: nothing is added to a counter if it is not above 0.
        labels: one for each of the family's names.
    """
    if not is_exporting() or (family.kind == "counter" and value <= 0):
        return
    _recorder(family)(float(value), dict(labels))


@cache
def _recorder(family: MetricFamily) -> Any:
    """The method of Ray's metric that takes a value; Ray keeps one metric a name."""
    from ray.util import metrics

    if family.kind == "histogram":
        bounds = list(family.boundaries)
        return metrics.Histogram(family.name, family.description, bounds, family.labels).observe
    if family.kind == "gauge":
        return metrics.Gauge(family.name, family.description, family.labels).set
    return metrics.Counter(family.name, family.description, family.labels).inc
