"""Estimators in Ray workers, through joblib: the scores of this process; and the example."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from ray.util.joblib import register_ray
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_validate

from qstore_ray.estimator import QuantumClassifier, QuantumKernelClassifier

X, Y = load_iris(return_X_y=True)


def _scores(model, x, y) -> dict[str, float]:
    return {"score": model.score(x, y), "process": os.getpid()}


@pytest.mark.parametrize(
    "model", [QuantumClassifier(epochs=3, random_state=0), QuantumKernelClassifier()]
)
def test_ray_s_workers_find_the_scores_of_this_process(ray_cluster, model):
    here = cross_validate(model, X, Y, cv=3, scoring=_scores)
    register_ray()
    with parallel_config("ray", n_jobs=2):
        there = cross_validate(model, X, Y, cv=3, scoring=_scores)
    np.testing.assert_array_equal(there["test_score"], here["test_score"])
    assert set(here["test_process"]) == {os.getpid()}
    assert os.getpid() not in there["test_process"]


def test_the_example_searches_its_grid_on_ray(repository: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / "sklearn_pipeline.py"), "--ray"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (accuracy,) = (
        line.split()[-1] for line in done.stdout.splitlines() if line.startswith("test accuracy")
    )
    assert float(accuracy) > 0.9
    assert list(tmp_path.iterdir()) == []
