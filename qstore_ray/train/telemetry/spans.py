"""The spans of a run's epochs and steps, made by worker 0 if its environment asks for spans."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qstore_ray.telemetry.spans import flush_spans, parent_context, tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from qstore_ray.backends.paid import RunIdentity
    from qstore_ray.track.base import Record
    from qstore_ray.train.run.state import TrainState

_VALUES = ("train_loss", "val_loss", "circuit_evaluations", "shots")


class TracedSteps:
    """Epochs as children of the span of `fit`, and steps as children of their epoch.

    Args:
        identity: its run and trial are attributes.
        traceparent: the span of `fit`, in the form of W3C.
    """

    def __init__(self, identity: RunIdentity, traceparent: str) -> None:
        self._tracer = tracer()
        self._traceparent = traceparent
        self._attributes = {"qstore.run": identity.run, "qstore.trial": identity.trial}
        self._epoch: Span | None = None
        self._last = 0

    def start(self) -> None:
        """Training begins or continues."""
        self._last = time.time_ns()

    def step(self, state: TrainState, loss: float) -> None:
        """A step was done since the last call."""
        if self._tracer is None:
            return
        from opentelemetry.trace import set_span_in_context

        if self._epoch is None:
            self._epoch = self._tracer.start_span(
                "qstore.epoch",
                parent_context(self._traceparent),
                start_time=self._last,
                attributes={**self._attributes, "qstore.epoch": state.epoch},
            )
        step = self._tracer.start_span(
            "qstore.step",
            set_span_in_context(self._epoch),
            start_time=self._last,
            attributes={**self._attributes, "qstore.step": state.step, "qstore.loss": loss},
        )
        self._last = time.time_ns()
        step.end(self._last)

    def epoch(self, record: Record) -> None:
        """An epoch was validated and is over."""
        if self._epoch is None:
            return
        values = {name: record[name] for name in _VALUES if name in record}
        self._epoch.set_attributes({f"qstore.{name}": value for name, value in values.items()})
        self._last = time.time_ns()
        self._epoch.end(self._last)
        self._epoch = None

    def close(self) -> None:
        """Send what there is, however the loop has ended; an epoch that is not whole says so."""
        if self._tracer is None:
            return
        if self._epoch is not None:
            self._epoch.set_attribute("qstore.incomplete", value=True)
            self._epoch.end()
            self._epoch = None
        flush_spans()
