"""What a run's metrics say, on curves whose answers are known, and runs compared seed by seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray.errors import ConfigError, DataError, RunError, UnknownNameError
from qstore_ray.track.base import RunInfo
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.track.reading.compare import compare
from qstore_ray.track.reading.metrics import Best, MetricsTracker, better_mode, interval_over_runs
from qstore_ray.track.reading.statistics import mean_interval

TRAIN = [1.0, 0.8, 0.6, 0.4, 0.2]
VAL = [1.1, 0.9, 0.8, 0.9, 1.0]


def _records(**curves: list[float]) -> list[dict[str, Any]]:
    rows = zip(*curves.values(), strict=True)
    return [
        {"event": "epoch", "epoch": epoch, "step": 5 * (epoch + 1)}
        | dict(zip(curves, row, strict=True))
        for epoch, row in enumerate(rows)
    ]


def _run(name: str, accuracy: float, **trainer: Any) -> MetricsTracker:
    records = _records(val_accuracy=[0.1, accuracy, 0.2], val_loss=[3.0, 1 - accuracy, 2.0])
    return MetricsTracker(records, name=name, config={"trainer": trainer})


@pytest.fixture
def run() -> MetricsTracker:
    return MetricsTracker(_records(train_loss=TRAIN, val_loss=VAL, val_accuracy=[0.5] * 5))


def test_a_run_folder_is_read_as_it_is(tmp_path: Path):
    RunInfo(name="digits", run_dir=tmp_path, config={"trainer": {"seed": 3}}).save()
    with MetricsFile(tmp_path / "metrics.jsonl") as metrics:
        metrics.append({"event": "start", "generation": 1})
        for record in _records(val_loss=VAL):
            metrics.append(record)
        metrics.append({"event": "epoch", "epoch": 4, "step": 25, "val_loss": 0.5, "note": "again"})
    run = MetricsTracker.of(tmp_path)
    assert (run.name, run.config, run.names) == ("digits", {"trainer.seed": 3}, ("val_loss",))
    epochs, values = run.history("val_loss")
    assert epochs.tolist() == [0, 1, 2, 3, 4]
    assert values.tolist() == [1.1, 0.9, 0.8, 0.9, 0.5]
    with pytest.raises(RunError):
        MetricsTracker.of(tmp_path / "another")


def test_a_metric_of_some_epochs_has_those_alone():
    records = _records(loss=[3.0, 2.0, 1.0])
    records[1].pop("loss")
    epochs, values = MetricsTracker(records).history("loss")
    assert (epochs.tolist(), values.tolist()) == ([0, 2], [3.0, 1.0])


def test_a_metric_that_was_not_recorded_is_named_with_the_nearest(run: MetricsTracker):
    with pytest.raises(UnknownNameError) as caught:
        run.history("val_los")
    assert (caught.value.field, caught.value.value) == ("name", "val_los")
    assert "val_loss" in caught.value.fix


def test_smoothing_starts_at_the_first_value_and_follows(run: MetricsTracker):
    smooth = run.smoothed("train_loss", 0.5)
    assert smooth[:2] == pytest.approx([1.0, (0.5 * 0.5 * 1.0 + 0.5 * 0.8) / 0.75])


def test_the_best_epoch_is_the_first_of_the_best(run: MetricsTracker):
    assert run.best("val_loss") == Best(epoch=2, value=0.8)
    assert run.best("val_accuracy").epoch == 0
    assert run.best("val_loss", "max").epoch == 0


@pytest.mark.parametrize(
    ("name", "mode"),
    [("val_loss", "min"), ("test_error", "min"), ("accuracy", "max"), ("norm", None)],
)
def test_what_is_better_follows_from_the_name(name: str, mode: str | None):
    assert better_mode(name) == mode


def test_a_name_that_does_not_tell_needs_a_mode():
    run = MetricsTracker(_records(norm=[1.0, 2.0]))
    assert run.best("norm", "max").value == 2.0
    with pytest.raises(ConfigError) as caught:
        run.best("norm")
    assert caught.value.field == "mode"
    assert "mode='min'" in caught.value.fix


def test_a_trend_is_that_of_the_window(run: MetricsTracker):
    assert run.trend("val_loss").verdict == "flat"
    last = run.trend("val_loss", window=3)
    assert last.slope == pytest.approx(0.1)
    assert last.verdict == "rising"
    assert run.trend("train_loss").slope == pytest.approx(-0.2)
    with pytest.raises(DataError) as caught:
        run.trend("val_loss", window=2)
    assert caught.value.field == "window"


def test_the_gap_of_an_overfitted_run_grows(run: MetricsTracker):
    gap = run.overfitting_gap()
    assert gap.best_epoch == 2
    assert gap.at_best == pytest.approx(0.2)
    assert gap.at_end == pytest.approx(0.8)
    assert gap.trend is not None
    # gaps 0.1, 0.1, 0.2, 0.5, 0.8: Σ(x−2)g / Σ(x−2)² = (−0.2 − 0.1 + 0.5 + 1.6) / 10
    assert gap.trend.slope == pytest.approx(0.18)
    assert gap.trend.verdict == "rising"


def test_a_gap_needs_both_curves(run: MetricsTracker):
    with pytest.raises(UnknownNameError):
        run.overfitting_gap("accuracy")
    records = [*_records(train_loss=[1.0])]
    records.append({"event": "epoch", "epoch": 1, "step": 10, "val_loss": 1.0})
    with pytest.raises(DataError) as caught:
        MetricsTracker(records).overfitting_gap()
    assert caught.value.field == "metric"
    assert "validation data" in caught.value.fix


def test_two_epochs_have_a_gap_and_no_trend():
    run = MetricsTracker(_records(train_loss=[1.0, 0.5], val_loss=[1.0, 0.75]))
    gap = run.overfitting_gap()
    assert (gap.at_end, gap.trend) == (0.25, None)


def test_a_value_from_shots_has_an_interval():
    run = MetricsTracker(_records(energy=[0.4, 0.5], energy_variance=[0.04, 0.01]))
    assert run.interval("energy").high == pytest.approx(0.5 + 0.1959964)
    assert run.interval("energy", epoch=0).high == pytest.approx(0.4 + 2 * 0.1959964)
    with pytest.raises(DataError) as caught:
        run.interval("energy", epoch=9)
    assert (caught.value.field, caught.value.value) == ("epoch", 9)
    with pytest.raises(UnknownNameError):
        run.interval("energy_variance")


def test_an_accuracy_has_wilsons_interval_of_its_rows():
    run = MetricsTracker(_records(val_accuracy=[0.3, 0.8]))
    found = run.accuracy_interval("val_accuracy", rows=10)
    assert (found.low, found.high) == (
        pytest.approx(0.4902, abs=1e-4),
        pytest.approx(0.9433, abs=1e-4),
    )
    with pytest.raises(DataError) as caught:
        run.accuracy_interval("val_accuracy", rows=7)
    assert (caught.value.field, caught.value.value) == ("val_accuracy", 0.8)


def test_runs_of_several_seeds_have_students_interval():
    values = [0.80, 0.84, 0.79, 0.85]
    runs = [_run(f"r{k}", value, seed=k) for k, value in enumerate(values)]
    assert interval_over_runs(runs, "val_accuracy") == mean_interval(values)
    with pytest.raises(DataError):
        interval_over_runs(runs[:1], "val_accuracy")


# -------------------------------------------------------------------------------------- comparison


FIRST, SECOND = [0.70, 0.80, 0.90], [0.75, 0.86, 0.94]


@pytest.fixture
def six() -> list[MetricsTracker]:
    """Two optimizers with three seeds each: seeds differ by 0.1, optimizers by about 0.05."""
    return [
        _run(f"{name}-{seed}", value, optimizer=name, seed=seed, epochs=3)
        for name, values in (("sgd", FIRST), ("adam", SECOND))
        for seed, value in enumerate(values)
    ]


def test_a_table_has_the_runs_what_differs_and_the_metrics(six):
    table = compare(six, ["val_accuracy", "val_loss"])
    assert table.columns == (
        "run", "trainer.optimizer", "trainer.seed", "val_accuracy", "val_loss"
    )  # fmt: skip
    assert table.rows[4] == {
        "run": "adam-1", "trainer.optimizer": "adam", "trainer.seed": 1, "val_accuracy": 0.86,
        "val_loss": pytest.approx(0.14),
    }  # fmt: skip
    lines = table.to_text().splitlines()
    assert lines[0].split() == list(table.columns)
    assert lines[5].split() == ["adam-1", "adam", "1", "0.86", "0.14"]


def test_groups_are_compared_seed_by_seed(six):
    table = compare(six, ["val_accuracy"])
    (found,) = table.differences
    assert found.first == (("trainer.optimizer", '"sgd"'),)
    assert found.second == (("trainer.optimizer", '"adam"'),)
    assert found.seeds == (0, 1, 2)
    differences = np.subtract(SECOND, FIRST)
    assert found.interval == mean_interval(differences)
    # t(0.975, 2) = 4.3027; 0.05, 0.06, 0.04 have mean 0.05 and deviation 0.01
    assert found.interval.value == pytest.approx(0.05)
    assert found.interval.high == pytest.approx(0.05 + 4.302653 * 0.01 / np.sqrt(3), rel=1e-6)
    assert found.significant
    groups = table.groups
    assert groups[found.first, "val_accuracy"] == mean_interval(FIRST)
    assert groups[found.first, "val_accuracy"].high > groups[found.second, "val_accuracy"].low


def test_only_shared_seeds_are_paired(six):
    (found,) = compare(six[:2] + six[3:], ["val_accuracy"]).differences
    assert found.seeds == (0, 1)
    assert not found.significant
    assert compare([six[0], *six[3:]], ["val_accuracy"]).differences == ()


def test_a_run_without_the_metric_has_none_in_the_table(six):
    bare = MetricsTracker([], name="bare", config={"trainer": {"optimizer": "sgd", "seed": 9}})
    table = compare([*six, bare], ["val_accuracy"])
    assert table.rows[-1]["val_accuracy"] is None
    assert table.to_text().splitlines()[-1].split()[-1] == "–"


def test_the_same_run_twice_is_no_second_measurement(six):
    with pytest.raises(DataError) as caught:
        compare([six[0], six[0], six[1]], ["val_accuracy"])
    assert (caught.value.field, caught.value.value) == ("trainer.seed", 0)


def test_nothing_is_no_comparison():
    with pytest.raises(DataError) as caught:
        compare([], ["val_loss"])
    assert caught.value.field == "runs"
