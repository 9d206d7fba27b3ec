"""`profile`: a dataset in numbers, for people and programs: findings, statistics, distributions.

    result = profile(dataset)
    result.to_json()
    result.write(folder)        profile.json and profile.html

Statistics are of train, as the source has it; what is compared between splits says so. A wide
dataset has all its columns in the table, and the most informative ones (whose variance the label
explains best) in histograms and in the matrix of correlations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import TypeAdapter

from qstore_ray.data.quality.config import QualityConfig
from qstore_ray.data.quality.drift import ColumnDrift, measure_drift
from qstore_ray.data.quality.finding import Finding
from qstore_ray.data.quality.outliers import OutlierDetector
from qstore_ray.data.quality.parts import Split, read_splits
from qstore_ray.data.quality.report import report_of
from qstore_ray.data.quality.statistics import (
    ColumnStatistics,
    Correlations,
    Spectrum,
    column_statistics,
    correlations,
    spectrum,
    telling,
)
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.types import AnyArray, FloatArray

_HISTOGRAMS: Final = 12
_MATRIX_COLUMNS: Final = 32
_BINS: Final = 24
_METHODS: Final = ("iqr", "zscore", "robust_zscore", "isolation_forest")


@dataclass(frozen=True)
class ClassCounts:
    """Rows of one split, and of each class in it; `counts` is empty for a regression."""

    split: str
    n_rows: int
    counts: tuple[int, ...]


@dataclass(frozen=True)
class OutlierCount:
    """Outlying rows of a split by a rule fitted on train; the forest skips rows with NaN."""

    method: str
    threshold: float
    split: str
    n_rows: int
    outliers: int
    judged_columns: int


@dataclass(frozen=True)
class Histogram:
    """Rows of train in equal bins of one column: `counts[class][bin]`, bins between `edges`.

    A regression has one row of counts. `explained` is the share of the variance that the label
    explains.
    """

    name: str
    explained: float
    edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class SplitDrift:
    """Drift of one split's columns from train; columns of fewer than 10 values are absent."""

    split: str
    columns: tuple[ColumnDrift, ...]


@dataclass(frozen=True)
class Profile:
    """A dataset in numbers, JSON-ready.

    Args:
        name: what the dataset is called.
        task: classification or regression.
        fingerprint: of its content and preparation.
        provenance: where it comes from, in words.
        class_names: what the classes are called; empty for a regression.
        prepared: whether rows are looked at prepared, or as the source has them.
        findings: what the checks found, errors first.
        splits: rows and rows by class of every split.
        columns: statistics of every column of train.
        correlations: of train.
        outliers: by method and split.
        histograms: of the most informative columns.
        drift: of every other split from train.
        spectrum: principal components of train.
    """

    name: str
    task: str
    fingerprint: str
    provenance: dict[str, str]
    class_names: tuple[str, ...]
    prepared: bool
    findings: tuple[Finding, ...]
    splits: tuple[ClassCounts, ...]
    columns: tuple[ColumnStatistics, ...]
    correlations: Correlations
    outliers: tuple[OutlierCount, ...]
    histograms: tuple[Histogram, ...]
    drift: tuple[SplitDrift, ...]
    spectrum: Spectrum

    def to_json(self) -> str:
        """The profile as JSON, read back by `from_json`."""
        return TypeAdapter(Profile).dump_json(self, indent=1).decode()

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """The profile that `to_json` wrote."""
        return TypeAdapter(Profile).validate_json(text)

    def write(self, folder: Path | str) -> tuple[Path, Path]:
        """Write profile.json and profile.html, a page that needs no other file; their paths.

        Raises:
            DataError: the folder or a file cannot be written.
        """
        from qstore_ray.data.quality.page import render

        paths = (Path(folder) / "profile.json", Path(folder) / "profile.html")
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            for path, text in zip(paths, (self.to_json(), render(self)), strict=True):
                path.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise DataError(
                f"cannot write the profile: {exc.strerror or exc}",
                field="folder",
                value=str(folder),
                fix="Name a folder that can be written to.",
            ) from exc
        return paths


def profile(dataset: Dataset, config: QualityConfig | None = None) -> Profile:
    """Look at every row of `dataset` and put it in numbers.

    Args:
        dataset: what to look at.
        config: thresholds of the checks, and whether rows are looked at prepared.

    Raises:
        ConfigError: thresholds that do not fit the columns, or an unknown encoding.
        DataError: the source cannot be read any more, or has changed.

    Examples:
        data = DatasetLoader.from_arrays(np.eye(20), np.arange(20) % 2)
        assert profile(data).class_names == ("0", "1")
    """
    config = QualityConfig() if config is None else config
    splits = read_splits(dataset, prepared=config.prepared)
    class_names = dataset.schema.class_names
    train = splits["train"]
    names = [train.origin.column(j) for j in range(train.x.shape[1])]
    explained = telling(train.x, train.y, regression=not class_names)
    best = np.argsort(-explained, kind="stable")
    return Profile(
        name=dataset.config.name,
        task=dataset.config.task,
        fingerprint=dataset.fingerprint,
        provenance={**dataset.provenance},
        class_names=class_names,
        prepared=config.prepared,
        findings=report_of(dataset, splits, config).findings,
        splits=tuple(_class_counts(split, class_names) for split in splits.values()),
        columns=tuple(column_statistics(train.x[:, j], names[j]) for j in range(len(names))),
        correlations=correlations(train.x, names, shown=sorted(best[:_MATRIX_COLUMNS].tolist())),
        outliers=_outliers(splits, config.seed),
        histograms=tuple(
            histogram(train.x[:, j], train.y, names[j], len(class_names), float(explained[j]))
            for j in best[:_HISTOGRAMS].tolist()
        ),
        drift=tuple(
            SplitDrift(
                name,
                measure_drift(
                    train.x, split.x, false_drift=config.false_drift, max_psi=config.max_psi
                ),
            )
            for name, split in splits.items()
            if name != "train"
        ),
        spectrum=spectrum(train.x),
    )


def _class_counts(split: Split, class_names: tuple[str, ...]) -> ClassCounts:
    counts = np.bincount(split.y, minlength=len(class_names)).tolist() if class_names else []
    return ClassCounts(split.origin.split, len(split.y), tuple(counts))


def _outliers(splits: Mapping[str, Split], seed: int) -> tuple[OutlierCount, ...]:
    found = []
    for method in _METHODS:
        detector = OutlierDetector(method, seed=seed)
        whole = {name: _usable(split.x, method) for name, split in splits.items()}
        if not len(whole["train"]):
            continue  # nothing to learn from; the findings name every column
        fitted = detector.fit(whole["train"])
        found += [
            OutlierCount(
                method, detector.limit, name, len(x), int(fitted.mask(x).sum()), fitted.judged
            )
            for name, x in whole.items()
        ]
    return tuple(found)


def _usable(x: FloatArray, method: str) -> FloatArray:
    """The rows (N, F) that the method can judge: all, or for the forest those that are finite."""
    return x[np.isfinite(x).all(axis=1)] if method == "isolation_forest" else x


def histogram(
    values: FloatArray, y: AnyArray, name: str, n_classes: int, explained: float = 0.0
) -> Histogram:
    """Counts of a column (N,) in at most 24 bins, by class; without finite values no bins."""
    known = np.isfinite(values)
    finite, labels = values[known], y[known]
    n_rows = max(n_classes, 1)
    if not len(finite):
        return Histogram(name, explained, (), ((),) * n_rows)
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        largest, reach = float(np.finfo(np.float64).max), max(abs(low) * 1e-3, 0.5)
        low, high = max(low - reach, -largest), min(high + reach, largest)
    n_bins = max(min(_BINS, len(np.unique(finite))), 1)
    # Quarters, so that the span of huge values does not overflow.
    edges = 4 * np.linspace(low / 4, high / 4, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, finite, side="right") - 1, 0, n_bins - 1)
    groups = [labels == k for k in range(n_classes)] if n_classes else [slice(None)]
    counts = tuple(tuple(np.bincount(bins[g], minlength=n_bins).tolist()) for g in groups)
    return Histogram(name, explained, tuple(edges.tolist()), counts)
