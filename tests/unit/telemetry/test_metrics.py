"""Metrics: named by Prometheus' conventions, free without Ray, and counted once."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.ibm import exported as hardware
from qstore_ray.backends.ibm.ledger import entries
from qstore_ray.backends.ibm.ledger.record import HardwareJob
from qstore_ray.backends.paid import RunIdentity
from qstore_ray.telemetry import families, metrics
from qstore_ray.telemetry.families import FAMILIES, MetricFamily
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.run.state import TrainState
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.train.telemetry import metrics as exported
from qstore_ray.train.telemetry.metrics import ExportedMetrics
from tests.guides import DOCS

Seen = list[tuple[str, float, dict[str, str]]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What is recorded, as if Ray ran in this process."""
    found: Seen = []

    def recorder(family: MetricFamily):
        return lambda value, labels: found.append((family.name, value, labels))

    monkeypatch.setattr(metrics, "is_exporting", lambda: True)
    monkeypatch.setattr(exported, "is_exporting", lambda: True)
    monkeypatch.setattr(metrics, "_recorder", recorder)
    return found


def total(seen: Seen, family: MetricFamily) -> float:
    return sum(value for name, value, _ in seen if name == family.name)


def values(seen: Seen, family: MetricFamily) -> list[float]:
    return [value for name, value, _ in seen if name == family.name]


def test_names_follow_the_conventions_of_prometheus():
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert re.fullmatch(r"qstore_[a-z]+(_[a-z]+)*", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert bool(family.boundaries) == (family.kind == "histogram")
        assert not re.search(r"_(ms|milliseconds|minutes|percent|kb|mb)(_|$)", family.name)
        assert family.description.endswith(".")
    declared = [each for each in vars(families).values() if isinstance(each, MetricFamily)]
    assert set(declared) == set(FAMILIES)


def test_the_guide_lists_every_metric_with_its_labels():
    text = (DOCS / "monitoring.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `ray_(qstore_\w+)` \| ([^|]*?) \|", text, re.MULTILINE))
    assert {name: re.findall(r"`(\w+)`", labels) for name, labels in rows.items()} == {
        family.name: list(family.labels) for family in FAMILIES
    }


def test_without_ray_nothing_is_recorded_or_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    assert not metrics.is_exporting()
    metrics.record(families.STEPS, 1, {"run": "r", "trial": ""})
    assert "ray" not in sys.modules


def test_a_counter_never_falls(seen):
    metrics.record(families.STEPS, 0, {"run": "r", "trial": ""})
    metrics.record(families.STEPS, -1, {"run": "r", "trial": ""})
    metrics.record(families.TRAIN_LOSS, -1, {"run": "r", "trial": ""})
    assert [name for name, *_ in seen] == [families.TRAIN_LOSS.name]


def train(storage: Path, epochs: int, existing: str = "error") -> str:
    x = np.random.default_rng(0).normal(size=(40, 2))
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=epochs, batch_size=10, schedule="constant"),
        name="run", storage=storage, track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    data = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))
    trainer.fit(data, existing=existing)
    return read_run_record(storage / "run")["id"]


def test_a_run_exports_what_it_did_and_a_resumed_one_only_what_is_new(seen, tmp_path):
    run = train(tmp_path, 2)
    assert {frozenset(labels.items()) for *_, labels in seen} == {
        frozenset({"run": run, "trial": ""}.items())
    }
    (_, last) = epoch_records(read_records(tmp_path / "run" / "metrics.jsonl"))
    assert total(seen, families.EPOCHS) == 2
    assert total(seen, families.STEPS) == last["step"] > 0
    assert total(seen, families.SAMPLES) == last["samples"] > 0
    assert total(seen, families.CIRCUITS) == last["circuit_evaluations"] > 0
    assert total(seen, families.SHOTS) == 0, "the exact backend takes none"
    assert len(values(seen, families.TRAIN_LOSS)) >= 2
    assert all(norm > 0 for norm in values(seen, families.GRADIENT_NORM))

    seen.clear()
    train(tmp_path, 3, "resume")
    assert total(seen, families.EPOCHS) == 1
    assert total(seen, families.STEPS) == last["step"] / 2


def state(step: int, **more: object) -> TrainState:
    return TrainState(
        theta=np.zeros(1), optimizer={}, schedule={}, sums=np.array([0.0, 0.0, 0.0, 6.0]),
        learning_rate=0.1, step=step, samples=10 * step, **more,
    )  # fmt: skip


def test_steps_are_counted_once_between_steps_and_epochs(seen):
    run = ExportedMetrics(RunIdentity("run", "trial-0001", "part-1"))
    run.start(state(100, usage=np.array([50.0, 0.0])), restarted=True)
    run.step(state(103, step_in_epoch=3, usage=np.array([80.0, 8.0])), 0.5)
    run.epoch({"step": 104, "samples": 1040, "circuit_evaluations": 90, "shots": 8, "val_loss": 2})
    run.step(state(105, step_in_epoch=1, usage=np.array([100.0, 9.0])), 0.25)
    assert total(seen, families.RESTARTS) == 1
    assert total(seen, families.STEPS) == 5
    assert total(seen, families.SAMPLES) == 50
    assert total(seen, families.CIRCUITS) == 50
    assert total(seen, families.SHOTS) == 9
    assert values(seen, families.TRAIN_LOSS) == [0.5, 0.25]
    assert values(seen, families.GRADIENT_NORM) == [2.0, 6.0]
    assert values(seen, families.VALIDATION_LOSS) == [2.0, 2.0], "it is set again with each step"
    assert {labels["trial"] for *_, labels in seen} == {"trial-0001/part-1"}


def test_the_ledger_exports_ended_jobs_and_billed_seconds(seen):
    owner = entries.LedgerOwner(run="run-1", instance="a" * 16, backend="fake_manila")
    jobs = hardware.ExportedJobs(owner)
    job = HardwareJob("b" * 32, (), 1, "{}", 1.0, None, "", "")
    for entry in (
        entries.AcceptedEntry(key="b" * 32, job_id="j"),
        entries.FinishedEntry(key="b" * 32, arrays_sha256="0" * 64, details_sha256="0" * 64),
        entries.UsageEntry(key="b" * 32, job_id="j", seconds=2.5),
        entries.FailedEntry(key="b" * 32, reason="an error"),
    ):
        jobs.add(entry, job)
    labels = {"run": "run-1", "device": "fake_manila"}
    assert seen == [
        (families.HARDWARE_JOBS.name, 1, {**labels, "outcome": "finished"}),
        (families.QPU_SECONDS.name, 2.5, labels),
        (families.HARDWARE_JOBS.name, 1, {**labels, "outcome": "failed"}),
    ]


@pytest.mark.parametrize(
    ("timestamps", "waited"),
    [
        ({"created": "2026-01-01T00:00:00Z", "running": "2026-01-01T00:01:30.5Z"}, [90.5]),
        ({"created": "2026-01-01T00:00:00Z", "running": None}, []),
        ({"created": "2026-01-01T00:00:00Z"}, []),
        ({"created": "2026-01-01T00:00:01Z", "running": "2026-01-01T00:00:00Z"}, [0.0]),
        ({"created": "2026-01-01T00:00:01", "running": "2026-01-01T00:00:00Z"}, []),
        ({}, []),
    ],
)
def test_the_time_in_the_queue_is_the_service_own(seen, timestamps, waited):
    hardware.export_queue_time("fake_manila", timestamps)
    assert values(seen, families.QUEUE_SECONDS) == waited
