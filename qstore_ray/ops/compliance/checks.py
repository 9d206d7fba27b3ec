"""What is measured for the document: the data read again, the model scored again, and twin runs.

The record of a run says what was true when it was trained. These checks say what is true now: that
the data are still those of the run, that the saved model still scores what was recorded, and that
another run of the same configuration and data ended with the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.data.quality.finding import Finding
from qstore_ray.data.quality.report import validate
from qstore_ray.errors import QStoreError, RunError
from qstore_ray.track.logs.text import is_number
from qstore_ray.train.run.find import run_folders
from qstore_ray.train.run.summary import RunRecord, read_record

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.types import AnyArray

_RESULTS = ("test_", "val_", "train_loss", "train_accuracy")


@dataclass(frozen=True)
class DataCheck:
    """The data of the run, loaded again when the document is written.

    Attributes:
        same: whether their fingerprint is that of the run; None if they were not loaded.
        why: why they were not loaded, or could not be checked.
        findings: of the quality check; None if it was not made.
        accuracy: of the saved model on the test rows, and their number; None if not scored.
    """

    same: bool | None = None
    why: str = ""
    findings: tuple[Finding, ...] | None = None
    accuracy: tuple[float, int] | None = None


class TwinRun(NamedTuple):
    """Another run of the same configuration and data.

    Attributes:
        compared: results that both have. differing: the names of those that differ.
        seconds: of its training and scoring; 0 if they are not recorded.
    """

    name: str
    compared: int
    differing: tuple[str, ...]
    seconds: float = 0.0


def check_data(
    dataset: Dataset | None, confusion: AnyArray | None = None, why: str = ""
) -> DataCheck:
    """Check the data that a caller has loaded again, equal to those of the run.

    Args:
        dataset: None if they could not be loaded.
        confusion: counts (K, K) of the saved model on the test split, true classes first.
        why: why there is no dataset or no confusion matrix.
    """
    if dataset is None:
        return DataCheck(same=None, why=why)
    accuracy = None
    if confusion is not None and confusion.sum():
        n = int(confusion.sum())
        accuracy = (float(confusion.trace()) / n, n)
    if dataset.streamed:
        held = "the rows are streamed, and the quality check needs them all in memory"
        return DataCheck(same=True, why=why or held, accuracy=accuracy)
    try:
        findings = validate(dataset).findings
    except QStoreError as exc:
        return DataCheck(same=True, why=exc.message, accuracy=accuracy)
    return DataCheck(same=True, why=why, findings=findings, accuracy=accuracy)


def twins_of(folder: Path, record: RunRecord) -> list[TwinRun]:
    """The finished runs beside this one that have its fingerprints, with the results that differ.

    Compared are losses and scores, not times; they are equal only if all digits are.
    """
    found = []
    for other in run_folders(str(folder.parent)):
        if other == folder:
            continue
        try:
            theirs = read_record(other)
        except RunError:
            continue  # a damaged run says nothing about this one
        if theirs.status == "finished" and theirs.fingerprints == record.fingerprints:
            found.append(_compared(other.name, record, theirs))
    return found


def _compared(name: str, one: RunRecord, other: RunRecord) -> TwinRun:
    names = [
        metric
        for metric in sorted(one.metrics.keys() & other.metrics.keys())
        if metric.startswith(_RESULTS)
    ]
    differing = [metric for metric in names if one.metrics[metric] != other.metrics[metric]]
    seconds = other.metrics.get("train_seconds")
    known = float(seconds) if is_number(seconds) else 0.0
    return TwinRun(name, len(names), tuple(differing), known)


def by_severity(findings: Sequence[Finding], severity: str) -> list[Finding]:
    """The findings of one severity."""
    return [finding for finding in findings if finding.severity == severity]
