"""How good the digits classifier is: accuracy on held-out images over five fixed seeds.

A seed decides the split and the start of the training. Every model sees the same features and the
same splits: the quantum model of `jobs/digits.toml`, logistic regression, and an SVM with RBF
kernel, the last two tuned on the validation rows. `--tune` repeats how the quantum model's
settings were chosen: by mean validation accuracy over the five seeds; test rows are not looked
at.

Run: python benchmarks/digits.py [--tune]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import write
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from qstore_ray import DatasetLoader, JobConfig, QuantumTrainer, TrackConfig
from qstore_ray.baseline import linear_baseline
from qstore_ray.config import apply_overrides, read_toml
from qstore_ray.data.dataset import Dataset

JOB = Path(__file__).parents[1] / "jobs" / "digits.toml"
SEEDS = (0, 1, 2, 3, 4)
STUDENT_95 = 2.776  # two-sided 95 % quantile of Student's t with four degrees of freedom
GRID = [
    (f"dataset.preprocessing.1.factor={scale}", f"trainer.learning_rate={rate}",
     f"model.layers={layers}", f"trainer.epochs={epochs}")
    for layers, epochs in ((4, 40), (6, 40), (6, 60))
    for scale in (0.03, 0.05, 0.07)
    for rate in (0.05, 0.1)
]  # fmt: skip


def job(seed: int, overrides: tuple[str, ...] = ()) -> JobConfig:
    """The job for one seed, in this process: the number of workers does not change its result."""
    fixed = (f"dataset.seed={seed}", f"trainer.seed={seed}", "trainer.num_workers=0")
    return JobConfig.from_dict(apply_overrides(read_toml(JOB), (*overrides, *fixed)))


def train(config: JobConfig, dataset: Dataset) -> dict[str, float]:
    """Metrics of one training."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = QuantumTrainer(
            config.model, config.trainer, storage=folder, track=TrackConfig(mlflow=False)
        )
        return dict(trainer.fit(dataset).metrics)


def svm_accuracy(dataset: Dataset) -> float:
    """Test accuracy of an RBF-SVM whose C and γ were chosen on the validation rows."""
    x, y = dataset.materialize("train")
    x_val, y_val = dataset.materialize("val")
    candidates = [
        make_pipeline(StandardScaler(), SVC(C=c, gamma=gamma)).fit(x, y)
        for c in (1, 10, 100)
        for gamma in (0.01, 0.03, 0.1)
    ]
    best = max(candidates, key=lambda model: model.score(x_val, y_val))
    return float(best.score(*dataset.materialize("test")))


def interval(values: list[float]) -> dict[str, float]:
    """Mean and the half-width of its 95 % confidence interval."""
    half = STUDENT_95 * statistics.stdev(values) / len(values) ** 0.5
    return {"mean": statistics.mean(values), "half_width_95": half}


def tune() -> None:
    """Mean validation accuracy of every setting of the grid."""
    rows: list[dict[str, Any]] = []
    for overrides in GRID:
        found = []
        for seed in SEEDS:
            config = job(seed, overrides)
            found.append(train(config, DatasetLoader.load(config.dataset))["val_accuracy"])
        rows.append({"settings": " ".join(overrides), "val_accuracy": statistics.mean(found)})
        print(rows[-1], flush=True)
    best = max(rows, key=lambda row: row["val_accuracy"])
    write("digits_tuning", SEEDS[0], rows, seeds=SEEDS, best=best["settings"])


def main() -> None:
    """Score the job's settings and both baselines on the same five splits."""
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        config = job(seed)
        dataset = DatasetLoader.load(config.dataset)
        metrics = train(config, dataset)
        rows.append(
            {"seed": seed, "quantum": metrics["test_accuracy"],
             "logistic_regression": linear_baseline(dataset)["baseline_accuracy"],
             "rbf_svm": svm_accuracy(dataset), "val": metrics["val_accuracy"],
             "seconds": metrics["train_seconds"]}
        )  # fmt: skip
        print(rows[-1], flush=True)
    models = ("quantum", "logistic_regression", "rbf_svm")
    scores = {model: interval([row[model] for row in rows]) for model in models}
    write("digits", SEEDS[0], rows, target="quantum mean at least 0.95", seeds=SEEDS, **scores)


if __name__ == "__main__":
    tune() if "--tune" in sys.argv[1:] else main()
