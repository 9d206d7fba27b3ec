"""`validate`: every check of data quality on every split of a dataset, as one report.

    report = validate(dataset)
    print(report.describe())
    report.raise_for_errors()

Rows are looked at as the source has them, before preparation; whether they fit a circuit is looked
at on prepared rows. Duplicates, labels and ranges are looked at within each split, leakage and
drift of each split against train.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from qstore_ray.data.quality.classes import (
    find_imbalance,
    find_label_leaks,
    find_missing_classes,
)
from qstore_ray.data.quality.columns import (
    find_bad_shape,
    find_bad_values,
    find_constant,
    find_out_of_range,
)
from qstore_ray.data.quality.config import QualityConfig
from qstore_ray.data.quality.drift import find_drift
from qstore_ray.data.quality.finding import SEVERITIES, Finding
from qstore_ray.data.quality.parts import Split, read_splits
from qstore_ray.data.quality.qubits import find_unfit
from qstore_ray.data.quality.rows import find_duplicates, find_near, find_shared
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset


@dataclass(frozen=True)
class Report:
    """What the checks found, errors first."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings may be there."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def raise_for_errors(self) -> None:
        """Raise the first error, and say how many more there are.

        Raises:
            DataError: there is one.
        """
        if self.ok:
            return
        first, more = self.errors[0], len(self.errors) - 1
        also = f"; {more} more errors were found" if more else ""
        rows = f" (rows {', '.join(map(str, first.rows))})" if first.rows else ""
        raise DataError(
            f"{first.message}{rows}{also}", field=first.field, value=first.value, fix=first.fix
        )

    def describe(self) -> str:
        """The findings as text, one a line."""
        return "\n".join(map(str, self.findings)) or "no findings"

    def to_json(self) -> str:
        """The report as JSON, read back by `from_json`."""
        return TypeAdapter(Report).dump_json(self, indent=1).decode()

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report that `to_json` wrote."""
        return TypeAdapter(Report).validate_json(text)


def validate(dataset: Dataset, config: QualityConfig | None = None) -> Report:
    """Run every check on every split of `dataset`.

    Args:
        dataset: what to look at; all its rows are read.
        config: thresholds; the defaults where left out.

    Raises:
        ConfigError: thresholds that do not fit the columns, or an unknown encoding.
        DataError: the source cannot be read any more, or has changed.

    Examples:
        data = DatasetLoader.from_arrays(np.eye(20), np.arange(20) % 2)
        print(validate(data).findings)
    """
    config = QualityConfig() if config is None else config
    return report_of(dataset, read_splits(dataset, prepared=config.prepared), config)


def report_of(dataset: Dataset, splits: Mapping[str, Split], config: QualityConfig) -> Report:
    """The report of `validate` on splits that were read already; errors first.

    Raises:
        ConfigError: as for `validate`.
        DataError: likewise.
    """
    findings = check_splits(splits, dataset.schema.class_names, config)
    if config.encoding is not None and config.n_qubits is not None:
        prepared = splits if config.prepared else read_splits(dataset, prepared=True)
        for split in prepared.values():
            findings += find_unfit(split.x, config.encoding, config.n_qubits, split.origin)
    unique = dict.fromkeys(findings)
    return Report(tuple(sorted(unique, key=lambda finding: SEVERITIES.index(finding.severity))))


def check_splits(
    splits: Mapping[str, Split], class_names: tuple[str, ...], config: QualityConfig
) -> list[Finding]:
    """The findings of every check that needs rows and labels only.

    Args:
        splits: rows by split, one of them `train`.
        class_names: what the classes are called; empty for a regression.
        config: thresholds.

    Raises:
        DataError: no split is called train.
    """
    if "train" not in splits:
        raise DataError("there is no split called train", value=sorted(splits))
    train = splits["train"]
    width = train.x.shape[1] if train.x.ndim == 2 else None
    shapes = [
        finding
        for split in splits.values()
        for finding in find_bad_shape(split.x, split.y, width, split.origin)
    ]
    if shapes:
        return shapes  # the other checks compare columns with columns
    findings: list[Finding] = []
    for split in splits.values():
        findings += find_bad_values(split.x, split.origin)
        findings += find_out_of_range(split.x, config.low, config.high, split.origin)
        findings += find_duplicates(split.x, split.y, split.origin)
        if class_names:
            findings += find_missing_classes(split.y, class_names, split.origin)
        if split is not train:
            findings += _against_train(train, split, config)
    findings += find_constant(train.x, config.near_constant, train.origin)
    findings += find_label_leaks(train.x, train.y, regression=not class_names, origin=train.origin)
    if class_names:
        findings += find_imbalance(
            train.y,
            class_names,
            min_per_class=config.min_per_class,
            max_imbalance=config.max_imbalance,
            origin=train.origin,
        )
    return findings


def _against_train(train: Split, split: Split, config: QualityConfig) -> list[Finding]:
    found = find_shared(
        train.x,
        split.x,
        max_leaked=config.max_leaked,
        train_origin=train.origin,
        origin=split.origin,
    )
    found += find_near(
        train.x,
        split.x,
        near=config.near,
        max_rows=config.max_rows,
        seed=config.seed,
        train_origin=train.origin,
        origin=split.origin,
    )
    return found + find_drift(
        train.x,
        split.x,
        false_drift=config.false_drift,
        max_psi=config.max_psi,
        origin=split.origin,
    )
