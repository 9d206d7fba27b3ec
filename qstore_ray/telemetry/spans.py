"""Spans of OpenTelemetry, sent where the standard OTEL_* variables say.

    with span("qstore.fit", {"qstore.run": run}):
        ...

Off, which costs a look into the environment and imports nothing, unless OTEL_TRACES_EXPORTER names
an exporter, or OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set. The SDK
reads all other variables itself. A process that has configured a tracer provider keeps it.
Each process of a run reads its own environment: workers have that of their Ray cluster.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

Attributes = Mapping[str, str | int | float]

_log = logging.getLogger(__name__)
_SCOPE = "qstore_ray"
_EXPORTERS = {"otlp": "otlp_proto_http"}
_GROUP = "opentelemetry_traces_exporter"
_FLUSH_SECONDS = 3.0


def is_tracing() -> bool:
    """Whether the environment asks for spans."""
    return bool(_exporter_names())


@contextmanager
def span(name: str, attributes: Attributes | None = None) -> Iterator[None]:
    """A span around the block, within the current one or the one of TRACEPARENT; errors mark it.

    Raises:
        ConfigError: OTEL_TRACES_EXPORTER names an unknown exporter.
    """
    found = tracer()
    if found is None:
        yield
        return
    from opentelemetry import trace

    inside = trace.get_current_span().get_span_context().is_valid
    parent = None if inside else parent_context(os.environ.get("TRACEPARENT", ""))
    with found.start_as_current_span(name, parent, attributes=attributes):
        yield


def current_traceparent() -> str:
    """The current span in the form of W3C, for a process that continues its trace; "" if none."""
    if not is_tracing():
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def parent_context(traceparent: str) -> Context:
    """The context of a span of another process; an empty one for a text that names no span."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


def tracer() -> Tracer | None:
    """What makes spans; None if the environment does not ask for them, or the SDK is missing.

    Raises:
        ConfigError: OTEL_TRACES_EXPORTER names an unknown exporter.
    """
    names = _exporter_names()
    provider = _provider(names, os.getpid()) if names else None
    return None if provider is None else provider.get_tracer(_SCOPE)


def flush_spans() -> None:
    """Send what has ended, within a few seconds; a collector that does not answer gets no more."""
    names = _exporter_names()
    provider = _provider(names, os.getpid()) if names else None
    if provider is not None:
        sending = threading.Thread(target=provider.force_flush, name="spans", daemon=True)
        sending.start()
        sending.join(_FLUSH_SECONDS)


def _exporter_names() -> tuple[str, ...]:
    environ = os.environ
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    named = [name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",")]
    if any(named):
        return tuple(name for name in named if name not in {"", "none"})
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return ("otlp",) if any(environ.get(name) for name in endpoints) else ()


@lru_cache(maxsize=1)
def _provider(names: tuple[str, ...], process: int) -> TracerProvider | None:
    """The provider of this process; a forked one makes its own."""
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning("no spans are sent: install qstore-ray[otel], or unset the OTEL_ variables")
        return None
    configured = trace.get_tracer_provider()
    if isinstance(configured, TracerProvider):
        return configured
    service = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": _SCOPE}
    resource = Resource.create({**service, "process.pid": process})
    # The provider would wait for a collector that does not answer, at the end of the process.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    atexit.register(flush_spans)
    for name in names:
        wanted = _EXPORTERS.get(name, name)
        found = list(entry_points(group=_GROUP, name=wanted))
        if not found:
            known = sorted({each.name for each in entry_points(group=_GROUP)})
            raise ConfigError(
                "no exporter of this name is installed",
                field="OTEL_TRACES_EXPORTER",
                value=name,
                fix=f"Install qstore-ray[otel], or name one of {', '.join([*known, 'none'])}.",
            )
        provider.add_span_processor(BatchSpanProcessor(found[0].load()()))
    return provider
