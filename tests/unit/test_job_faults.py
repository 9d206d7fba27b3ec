"""Jobs that leave little to compare or to learn, and what is no job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qstore_ray.baseline import constant_baseline
from qstore_ray.cli.app import main
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, UsageError
from qstore_ray.figures import base
from qstore_ray.job import JobConfig, run_job, run_search
from qstore_ray.learn.targets import nothing_to_learn
from qstore_ray.learn.weights import check_sample_weight
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.trainer import QuantumTrainer

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

X = np.random.default_rng(0).normal(size=(80, 2))


def job(folder: Path, y: AnyArray, *, task: str, **fields: Any) -> JobConfig:
    """A job of one epoch on these targets."""
    np.savez(folder / "rows.npz", x=X, y=y)
    data = {"name": "d", "source": "local", "task": task, "params": {"path": "rows.npz"}}
    return JobConfig.from_dict(
        {"name": "run", "storage": str(folder / "runs"), "trainer": {"epochs": 1},
         "dataset": {**data, "params": {"path": str(folder / "rows.npz")}},
         "model": {"n_qubits": 2}, "track": {"mlflow": False}, **fields}
    )  # fmt: skip


@pytest.mark.parametrize("baseline", [True, False])
def test_a_constant_target_is_warned_of_and_the_verdict_gives_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], baseline: bool
) -> None:
    result = run_job(job(tmp_path, np.full(80, 5.0), task="regression", baseline=baseline))
    assert result.verdict.startswith("not compared with a simple one: R² is undefined")
    assert result.verdict.endswith("there is nothing to learn")
    assert "the target is the same in all rows of train" in capsys.readouterr().err
    events = read_records(result.run_dir / "metrics.jsonl")
    assert any("nothing to learn" in str(event) for event in events)
    assert "R² is undefined" in (result.run_dir / "report.html").read_text(encoding="utf-8")


def test_targets_that_vary_are_not_warned_of() -> None:
    assert not nothing_to_learn(X)
    assert nothing_to_learn(np.c_[X, np.ones(80)]).startswith("target 3 is the same")


@pytest.mark.parametrize(
    ("y", "task", "rival"),
    [
        ((X[:, 0] > 0).astype(int), "classification", "the majority class: "),
        (X[:, 0], "regression", "the mean of the targets: R² "),
    ],
)
def test_without_a_baseline_the_simplest_model_is_compared(
    tmp_path: Path, y: AnyArray, task: str, rival: str
) -> None:
    result = run_job(job(tmp_path, y, task=task, baseline=False))
    assert rival in result.verdict
    assert "verdict_difference" in result.metrics
    assert not any(name.startswith("baseline_") for name in result.metrics)
    assert result.verdict in (result.run_dir / "report.html").read_text(encoding="utf-8")
    data = DatasetLoader.from_arrays(X, y, task=task)
    assert constant_baseline(data).linear is None


@pytest.mark.parametrize("call", [run_job, run_search])
@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("x.toml", "JobConfig.load('x.toml')"),
        (Path("x.toml"), "JobConfig.load('x.toml')"),
        ({"name": "x"}, "JobConfig"),
        (None, "JobConfig"),
    ],
)
def test_what_is_no_job_is_refused_with_what_to_write(call: Any, given: Any, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(given)
    assert fix in caught.value.fix
    assert call.__name__ in str(caught.value)


def test_features_and_labels_are_no_dataset() -> None:
    trainer: Any = QuantumTrainer()
    for given in ((X, X[:, 0]), (X,)):
        with pytest.raises(UsageError, match=r"DatasetLoader\.from_arrays\(x, y\)") as caught:
            trainer.fit(*given)
        assert caught.value.field == "dataset"


@pytest.mark.parametrize(
    "weights",
    [
        ["1"] * 4,
        np.array(["1", 2.0, 3.0, 4.0], dtype=object),
        [b"1"] * 4,
        np.array(["2020-01-01"] * 4, dtype="datetime64[D]"),
    ],
    ids=["text", "objects", "bytes", "dates"],
)
def test_weights_that_only_look_like_numbers_are_refused(weights: Any) -> None:
    with pytest.raises(ConfigError, match="weights are numbers: they are of type") as caught:
        check_sample_weight(weights, 4)
    assert caught.value.fix == "Give one number a row."
    assert check_sample_weight(np.array([1, 2, 0, 1], dtype=object), 4).tolist() == [1, 2, 0, 1]


def test_the_report_says_which_name_a_numbered_class_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_OTHER_WRITINGS", ())
    base._fonts.cache_clear()
    base._drawable.cache_clear()
    y = np.array(["猫", "Größe <b>$x$</b>"])[(X[:, 0] > 0).astype(int)]
    result = run_job(job(tmp_path, y, task="classification"))
    base._fonts.cache_clear()
    base._drawable.cache_clear()
    page = (result.run_dir / "report.html").read_text(encoding="utf-8")
    assert "class 0: Größe &lt;b&gt;$x$&lt;/b&gt;" in page
    assert "class 1: 猫" in page
    assert "<b>$x$" not in page


def test_runs_of_numbers_are_listed_in_their_own_units(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_job(job(tmp_path, 5e4 + 1e3 * X[:, 0], task="regression"))
    assert main(["runs", "--storage", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    for split in ("val", "test"):
        assert result.metrics[f"{split}_rmse"] > 100.0
        assert f"RMSE {result.metrics[f'{split}_rmse']:.4g}" in said
