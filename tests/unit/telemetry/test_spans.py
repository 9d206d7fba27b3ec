"""Spans: off at no cost, sent to a real receiver, one trace for a run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.ibm.exported import ExportedJobs
from qstore_ray.backends.ibm.ledger import entries
from qstore_ray.backends.ibm.ledger.record import advance
from qstore_ray.errors import CallbackError, ConfigError
from qstore_ray.telemetry import spans
from qstore_ray.train.callbacks.base import Callback
from tests.otlp_collector import Collector, attributes


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT",
                 "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED", "TRACEPARENT"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    spans._provider.cache_clear()
    yield
    spans._provider.cache_clear()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
    yield found
    found.close()


class Fails(Callback):
    def on_batch_end(self, run, batch):
        if run.state.step == 2:
            raise RuntimeError("broken")


def train(storage: Path, callbacks=()) -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(epochs=2, batch_size=14),
        name="run", storage=storage, track=TrackConfig(mlflow=False, figures=False),
        callbacks=callbacks,
    ).fit(DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int)))  # fmt: skip


def test_a_run_is_one_trace_of_fit_epochs_and_steps(collector, tmp_path, monkeypatch):
    trace, outside = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    monkeypatch.setenv("TRACEPARENT", f"00-{trace}-{outside}-01")
    train(tmp_path)
    spans.flush_spans()
    assert {span.trace_id.hex() for span in collector.spans} == {trace}
    (fit,) = collector.named("qstore.fit")
    epochs, steps = collector.named("qstore.epoch"), collector.named("qstore.step")
    assert fit.parent_span_id.hex() == outside
    assert {epoch.parent_span_id for epoch in epochs} == {fit.span_id}
    assert [step.parent_span_id for step in steps] == [
        epoch.span_id for epoch in epochs for _ in range(2)
    ]
    assert [attributes(epoch)["qstore.epoch"] for epoch in epochs] == [0, 1]
    assert [attributes(step)["qstore.step"] for step in steps] == [1, 2, 3, 4]
    assert attributes(epochs[1])["qstore.val_loss"] > 0
    assert {attributes(step)["qstore.run"].rpartition("-")[0] for step in steps} == {"run"}
    for outer, inner in [*((fit, epoch) for epoch in epochs), (epochs[0], steps[1])]:
        assert outer.start_time_unix_nano <= inner.start_time_unix_nano
        assert inner.end_time_unix_nano <= outer.end_time_unix_nano
    assert collector.resources[0]["service.name"] == "qstore_ray"


def test_a_run_that_fails_is_marked_and_its_epoch_is_sent(collector, tmp_path):
    with pytest.raises(CallbackError):
        train(tmp_path, [Fails()])
    spans.flush_spans()
    (fit,), (epoch,) = collector.named("qstore.fit"), collector.named("qstore.epoch")
    assert fit.status.code == Status.STATUS_CODE_ERROR
    assert "broken" in attributes(fit.events[0])["exception.message"]
    assert attributes(epoch)["qstore.incomplete"]
    assert len(collector.named("qstore.step")) == 2


def test_a_hardware_job_is_a_span_from_its_intent_to_its_end(collector):
    owner = entries.LedgerOwner(run="run-1", instance="a" * 16, backend="fake_manila")
    jobs, key = ExportedJobs(owner), "b" * 32
    share = entries.RequestShare(key="c" * 32, trial="", executions=672, rows=42)
    intent = entries.IntentEntry(
        key=key, requests=(share,), shots=16, options="{}", forecast_seconds=1.0
    )
    job = advance(None, intent, "2026-01-01T00:00:00+00:00")
    began = time.time_ns()
    jobs.add(intent, job)
    jobs.add(entries.FailedEntry(key=key, reason="no"), replace(job, job_id="job-1"))
    jobs.close()
    (span,) = collector.named("qstore.hardware_job")
    assert began <= span.start_time_unix_nano <= span.end_time_unix_nano
    assert attributes(span) == {
        "qstore.run": "run-1", "qstore.device": "fake_manila", "qstore.job_id": "job-1",
        "qstore.requests": 1, "qstore.executions": 672, "qstore.outcome": "failed",
    }  # fmt: skip


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
    ],
)
def test_spans_are_off_unless_the_environment_asks_for_them(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not spans.is_tracing()
    assert spans.tracer() is None
    assert spans.current_traceparent() == ""
    with spans.span("nothing"):
        assert spans.current_traceparent() == ""


def test_off_imports_nothing(tmp_path):
    code = (
        "import sys\nfrom qstore_ray.telemetry.spans import span, tracer, flush_spans\n"
        "with span('x'): pass\n"
        "tracer(); flush_spans()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_exporter_is_refused(monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "jaeger")
    with pytest.raises(ConfigError, match="otlp_proto_http") as caught, spans.span("x"):
        pass
    assert (caught.value.field, caught.value.value) == ("OTEL_TRACES_EXPORTER", "jaeger")


def test_without_the_sdk_a_run_goes_on_with_a_warning(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with spans.span("x"):
        assert spans.tracer() is None
    assert "qstore-ray[otel]" in caplog.text


def test_a_collector_that_does_not_answer_holds_up_no_run(monkeypatch, tmp_path):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setattr(spans, "_FLUSH_SECONDS", 0.05)
    train(tmp_path)
    assert (tmp_path / "run" / "run.json").exists()
