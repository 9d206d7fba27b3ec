"""Everything that the parts of a compliance document are written from, gathered once.

Only `run.json` is needed: without it nobody knows what was run. Any other file that cannot be read
is a problem, which the document lists as a risk, and its facts are not recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from qstore_ray.backends.failover import on_last_backend
from qstore_ray.errors import QStoreError
from qstore_ray.ops.alerts import ALERTS, Alert, read_alerts
from qstore_ray.ops.compliance.checks import DataCheck, TwinRun, twins_of
from qstore_ray.ops.compliance.described import CheckpointModel, described
from qstore_ray.ops.compliance.document import PAGE, TABLE, StatedFact, StatedValue
from qstore_ray.ops.compliance.search import SearchFacts, search_of
from qstore_ray.storage.contents import is_study
from qstore_ray.track.logs.text import as_text, cut, redact
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.report.facts import RunFacts
from qstore_ray.train.report.gathering import gather
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.manifest import StoredManifest
from qstore_ray.train.run.provenance import DataOrigin
from qstore_ray.train.run.summary import RunRecord, read_record
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.types import Table

_LONGEST = 300
_NOT_HASHED: Final = frozenset({PAGE, TABLE, "privacy.key"})
"""The document itself, and the secret key of a private run that is under way."""


@dataclass(frozen=True)
class RunEvidence:
    """What is known about a run.

    Attributes:
        facts: what its report shows. record: of run.json, checked. stored: run.json as it is.
        manifest: of the newest readable checkpoint. model: what it says of the model and the data.
        digests: SHA-256 of the files of the run folder, by their paths in it.
        alerts: of this run; None if nothing ever watched the folder.
        data: the data checked again. twins: runs of the same configuration and data.
        search: the study around it.
        problems: what could not be read.
    """

    folder: Path
    facts: RunFacts
    record: RunRecord
    stored: Table
    manifest: StoredManifest | None
    model: CheckpointModel | None
    digests: Mapping[str, str]
    alerts: Sequence[Alert] | None
    data: DataCheck
    twins: Sequence[TwinRun]
    search: SearchFacts | None
    problems: Sequence[str]

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last known metrics by name."""
        return self.facts.summary.metrics

    @property
    def origin(self) -> DataOrigin | None:
        """What the checkpoint says about the data."""
        return self.model.data if self.model else None

    @property
    def is_federated(self) -> bool:
        """Whether clients trained it, each on rows of its own."""
        return "federation" in self.facts.config or "clients" in self.stored

    def setting(self, field: str) -> Any:
        """The value of a dotted field of config.toml; None if it is not there."""
        return inside(self.facts.config, field)

    def options(self, field: str) -> Table:
        """The table at a dotted field of config.toml; empty if it has none."""
        found = self.setting(field)
        return found if isinstance(found, dict) else {}

    def last_trainer(self) -> Table:
        """The `[trainer]` that ended the run, after the last fallback; empty if not recorded."""
        trainer = self.options("trainer")
        return on_last_backend(trainer, self.facts.summary.fallbacks) if trainer else {}

    def said(self, name: str, field: str) -> StatedFact:
        """The fact that a dotted field of config.toml states."""
        return StatedFact(name, shown(self.setting(field)), f"config.toml: {field}")

    def events(self, kind: str) -> list[Table]:
        """The records of one kind in metrics.jsonl."""
        return [record for record in self.facts.records if record.get("event") == kind]

    def attempts(self) -> list[Table]:
        """The attempts that run.json lists; none if an earlier version wrote it."""
        listed = self.stored.get("attempts")
        return (
            [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        )

    def began(self) -> str | None:
        """When the first attempt began, UTC; None if the list no longer has it."""
        if self.record.generation == 1:
            return self.record.started
        first = next(iter(self.attempts()), {})
        began = first.get("started") if first.get("generation") == 1 else None
        return began if isinstance(began, str) else None

    def resumed(self) -> int:
        """How many attempts continued from a checkpoint."""
        return sum(bool(start.get("resumed_from_step")) for start in self.events("start"))

    def rows_of(self, split: str) -> int | None:
        """The number of rows of a split; None if it is not recorded."""
        return self.origin.sizes.get(split) if self.origin else None

    def scored_rows(self) -> int | None:
        """The number of test rows, if the test split was scored."""
        scored = any(name.startswith("test_") for name in self.metrics)
        return self.rows_of("test") if scored else None


def gather_evidence(folder: Path, data: DataCheck) -> RunEvidence:
    """What a run folder, the study around it, its alerts and the runs beside it say.

    Raises:
        RunError: run.json is missing or damaged.
    """
    record = read_record(folder)
    stored = cast("Table", redact(read_run_record(folder)))
    facts = gather(folder)
    problems = list(facts.problems)
    _check_trainer(facts.config, problems)
    search = None
    try:
        search = search_of(folder)
    except QStoreError as exc:
        problems.append(f"The study around the run: {exc.message}.")
    return RunEvidence(
        folder=folder,
        facts=facts,
        record=record,
        stored=stored,
        manifest=_manifest(folder),
        model=_model(facts, problems),
        digests=file_digests(folder, problems),
        alerts=_alerts(folder, problems),
        data=data,
        twins=twins_of(folder, record),
        search=search,
        problems=tuple(problems),
    )


def shown(value: Any) -> StatedValue:
    """A value of a record as a fact has it: numbers and short texts as they are, lists as JSON."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return cut(as_text(value), _LONGEST)


def inside(table: Any, field: str) -> Any:
    """The value at a dotted field of nested tables; None if it is not there."""
    found = table
    for name in field.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def file_digests(folder: Path, problems: list[str]) -> dict[str, str]:
    """Path, relative to the run folder, → SHA-256 of the file, 64 hex digits; sorted.

    Hidden files, such as the lock, and the document itself are left out.

    Args:
        problems: what cannot be read is added here.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name in _NOT_HASHED or any(part.startswith(".") for part in name.split("/")):
            continue
        try:
            if path.is_file():
                found[name] = sha256_of(path)
        except OSError as exc:
            problems.append(f"{name} cannot be read: {exc.strerror or type(exc).__name__}.")
    return found


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest(folder: Path) -> StoredManifest | None:
    try:
        checkpoint, _ = latest_checkpoint(folder / "checkpoints")
    except QStoreError:
        return None  # gather() has reported it
    return None if checkpoint is None else checkpoint.manifest


def _model(facts: RunFacts, problems: list[str]) -> CheckpointModel | None:
    if facts.about is None:
        return None
    try:
        return described(facts.about)
    except QStoreError as exc:
        problems.append(f"The checkpoint: {exc.message}.")
        return None


def _check_trainer(config: Table, problems: list[str]) -> None:
    """Report a `[trainer]` that no run has written, and treat it as not recorded."""
    if not config:
        return
    try:
        TrainerConfig.from_dict(config.get("trainer", {}))
    except QStoreError as exc:
        problems.append(f"config.toml: trainer: {exc.message}.")
        config.pop("trainer", None)


def _alerts(folder: Path, problems: list[str]) -> list[Alert] | None:
    """The alerts of this run: those of a trial are in the log beside its study."""
    of_trial = is_study(folder.parent)
    storage = folder.parent.parent if of_trial else folder.parent
    name = f"{folder.parent.name}/{folder.name}" if of_trial else folder.name
    if not (storage / ALERTS).exists():
        return None
    try:
        return [alert for alert in read_alerts(storage) if alert.run == name]
    except QStoreError as exc:
        problems.append(f"{ALERTS}: {exc.message}.")
        return None
