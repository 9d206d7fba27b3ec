"""Metrics of real runs on Ray's endpoint: those that the dashboard of clusters/grafana asks for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.telemetry.families import FAMILIES
from qstore_ray.train.callbacks.base import Callback
from tests.clusters.dashboard import metrics_of, queries
from tests.ibm.launch import ROOT, in_thread
from tests.otlp_collector import Collector, attributes
from tests.ray.heads import ray_head

Samples = dict[str, list[tuple[dict[str, str], float]]]


class DiesOnce(Callback):
    """The worker that has it is killed in the second epoch, once."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def on_epoch_begin(self, run):
        if run.state.epoch == 1 and not self._mark.exists():
            self._mark.touch()
            os._exit(1)


class Slow(Callback):
    """A step that takes long enough to be recorded."""

    def on_batch_end(self, run, batch):
        time.sleep(0.3)


class Stays(Callback):
    """The worker that has it ends when its last numbers were read: Ray forgets them soon after."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def on_train_end(self, run):
        deadline = time.monotonic() + 120.0
        while not self._mark.exists() and time.monotonic() < deadline:
            time.sleep(0.1)


def drive(storage: Path) -> None:
    """A run of two workers that loses one, and a run with shots on the stand-in of the service."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    data = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))
    track = TrackConfig(mlflow=False, figures=False)
    QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(epochs=3, batch_size=20, num_workers=2),
        name="exact", storage=storage, track=track,
        callbacks=[DiesOnce(storage / "died"), Slow(), Stays(storage / "seen-exact")],
    ).fit(data)  # fmt: skip
    options = {
        "device": "fake_manila", "shots": 16, "level": 1, "mode": "batch",
        "ledger": str(storage / "ledgers"), "policy": {"first_poll": 0.05, "longest_poll": 0.2},
    }  # fmt: skip
    hardware = TrainerConfig(
        epochs=1, batch_size=90, num_workers=1, optimizer="spsa", backend="ibm",
        backend_options=options,
    )  # fmt: skip
    model = ModelConfig(n_qubits=2, layers=1)
    QuantumTrainer(
        model, hardware, name="paid", storage=storage, track=track,
        callbacks=[Stays(storage / "seen-paid")],
    ).fit(data)  # fmt: skip


WANTED = set().union(*map(metrics_of, queries()))


def scraped(targets: Path) -> Samples:
    """What Prometheus would read from the nodes in Ray's list, of the metrics asked for."""
    found: Samples = {}
    for group in json.loads(targets.read_text()):
        for target in group["targets"]:
            try:
                text = requests.get(f"http://{target}/metrics", timeout=10).text
            except requests.ConnectionError:
                continue  # Ray lists its dashboard, too, which listens on loopback alone
            lines = [line for line in text.splitlines() if re.split(r"[ {]", line)[0] in WANTED]
            for family in text_string_to_metric_families("\n".join(lines)):
                for sample in family.samples:
                    found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def _check_spans(collector: Collector) -> None:
    """Epochs of the workers are in the trace of `fit`, which is in the driver."""
    fits = {span.span_id: attributes(span)["qstore.name"] for span in collector.named("qstore.fit")}
    assert sorted(fits.values()) == ["exact", "paid"]
    epochs = collector.named("qstore.epoch")
    found = [fits[epoch.parent_span_id] for epoch in epochs]
    assert found.count("exact") >= 3
    assert found.count("paid") == 1
    assert {
        attributes(job)["qstore.outcome"] for job in collector.named("qstore.hardware_job")
    } == {"finished"}


@pytest.mark.slow
def test_real_runs_export_what_the_dashboard_asks_for(tmp_path):
    seen: Samples = {}
    fast = {"RAY_metrics_report_interval_ms": "1000"}
    with (
        in_thread() as ibm,
        closing(Collector()) as collector,
        ray_head(
            {
                **os.environ, **ibm.environment(tmp_path), **fast,
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            },
            3, dashboard=True,
        ) as head,
    ):  # fmt: skip
        environment, folder = head
        targets = folder / "prom_metrics_service_discovery.json"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.ray.test_metrics_ray", str(tmp_path)],
            cwd=ROOT, env=environment,
        ) as process:  # fmt: skip
            try:
                while process.poll() is None:
                    time.sleep(1.0)
                    with suppress(FileNotFoundError):  # Ray still starts
                        seen |= scraped(targets)
                    if sum(value for _, value in seen.get("ray_qstore_epochs_total", ())) >= 3:
                        (tmp_path / "seen-exact").touch()
                    if "ray_qstore_shots_total" in seen:
                        (tmp_path / "seen-paid").touch()
            finally:
                process.kill()
        assert process.returncode == 0
        time.sleep(3.0)
        seen |= scraped(targets)

    _check_spans(collector)
    assert WANTED - set(seen) == set()
    for family in FAMILIES:
        for name in WANTED & set(family.exported):
            labels, _ = seen[name][0]
            assert set(family.labels) <= set(labels)
    ids = {
        name: json.loads((tmp_path / name / "run.json").read_text())["id"]
        for name in ("exact", "paid")
    }

    def total(name: str, run: str) -> float:
        return sum(value for labels, value in seen[name] if labels.get("run") == ids[run])

    assert total("ray_qstore_worker_restarts_total", "exact") == 1
    assert total("ray_qstore_epochs_total", "exact") == 3
    last = [json.loads(line) for line in (tmp_path / "exact" / "metrics.jsonl").open()]
    steps = [record["step"] for record in last if record["event"] == "epoch"]
    assert total("ray_qstore_steps_total", "exact") == steps[-1]
    assert total("ray_qstore_hardware_jobs_total", "paid") > 0
    bill = json.loads((tmp_path / "paid" / "run.json").read_text())["metrics"]["hardware_seconds"]
    assert total("ray_qstore_qpu_seconds_total", "paid") == pytest.approx(bill)
    assert total("ray_qstore_shots_total", "paid") > 0


if __name__ == "__main__":
    drive(Path(sys.argv[1]))
