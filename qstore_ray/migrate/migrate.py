"""Old configurations to jobs: `migrate_file` and `migrate_paths`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from qstore_ray.config import apply_overrides, dump_toml
from qstore_ray.errors import ConfigError, DataError, UsageError
from qstore_ray.files import write_new
from qstore_ray.migrate.callbacks import take_mlflow
from qstore_ray.migrate.datasets import take_dataset
from qstore_ray.migrate.draft import JobDraft, known
from qstore_ray.migrate.key import MigratedKey
from qstore_ray.migrate.old_table import OldTable, Unread
from qstore_ray.migrate.python_source import OldUse, plain_tables
from qstore_ray.migrate.qemlflow import take_qemlflow
from qstore_ray.migrate.reading import (
    SUFFIXES,
    TRAINING_FIELDS,
    OldConfiguration,
    may_be_old,
    read_old,
)
from qstore_ray.migrate.training import take_training
from qstore_ray.migrate.tuning import take_search
from qstore_ray.types import Table

_SEARCHES: Final = ("OptunaConfig", "GridSearch", "RandomSearch", "BayesianOptimizer")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class MigratedJob:
    """One job, and what became of every key.

    Args:
        toml: the job; incomplete if `missing` says so.
        keys: of the old configuration.
        missing: why no job can be made of it yet, as an error says it; empty if one can.
    """

    toml: str
    keys: Sequence[MigratedKey]
    missing: str = ""


@dataclass(frozen=True)
class MigratedFile:
    """What one old file becomes.

    Args:
        path: of the file. product: `q_store` or `qemlflow`.
        jobs: one for each old training. uses: lines of Python with old names.
        strange: keys that nothing is known of.
        problem: why a file of a folder was not read, though it has old names; empty if it was.
    """

    path: Path
    product: str
    jobs: Sequence[MigratedJob] = ()
    uses: Sequence[OldUse] = ()
    strange: Sequence[str] = field(default_factory=tuple)
    problem: str = ""


def migrate_paths(path: Path, changes: Sequence[str] = ()) -> list[MigratedFile]:
    """Every old configuration in a file or folder.

    Args:
        path: a file, or a folder that is searched with all folders in it.
        changes: `a.b=c` for every job, such as what the old configuration does not say.

    Raises:
        DataError: a file that was named cannot be read, or nothing old is in it.
        UsageError: no such file, or a suffix of none.
        ConfigError: a change that no job takes.
    """
    if not path.exists():
        raise UsageError(
            "no such file or folder", field="PATH", value=str(path), fix="Check how it is written."
        )
    if not path.is_dir():
        alone = migrate_file(path, changes)
        if not alone.product:
            raise _nothing_error(path)
        return [alone]
    found = [each for file in _files(path) if (each := _tried(file, changes)) is not None]
    if not found:
        raise _nothing_error(path)
    return found


def migrate_file(path: Path, changes: Sequence[str] = ()) -> MigratedFile:
    """What one file becomes; without a product if there is nothing old in it.

    Raises:
        DataError: it cannot be read.
        UsageError: a suffix of none of the old files.
        ConfigError: a change that no job takes.
    """
    old = read_old(path)
    if not old.product:
        return MigratedFile(path, "")
    name = _NOT_IN_NAMES.sub("-", path.stem).strip("-._") or "job"
    drafts = _of_qemlflow(old, name) if old.product == "qemlflow" else _of_q_store(old, name)
    jobs = [_finished(draft, changes) for draft in drafts]
    uses = old.python.uses if old.python is not None else ()
    return MigratedFile(path, old.product, jobs, uses, old.strange)


def _tried(path: Path, changes: Sequence[str]) -> MigratedFile | None:
    """A file of a folder; one that is none of ours is passed over."""
    try:
        found = migrate_file(path, changes)
    except DataError as exc:
        return MigratedFile(path, "", problem=str(exc)) if may_be_old(path) else None
    return found if found.product else None


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_hidden = any(part.startswith(".") for part in parts)
        if path.suffix in SUFFIXES and not is_hidden and path.is_file():
            yield path


def _of_qemlflow(old: OldConfiguration, name: str) -> list[JobDraft]:
    if old.python is not None:
        return []
    draft = JobDraft(name)
    take_qemlflow(draft, old.values or {})
    return [draft]


def _of_q_store(old: OldConfiguration, name: str) -> list[JobDraft]:
    """One job for each TrainingConfig, else for each DatasetConfig."""
    tables = plain_tables(old.tables)
    trainings, datasets = tables.get("TrainingConfig", []), tables.get("DatasetConfig", [])
    wholes = trainings or datasets
    drafts = []
    for number, whole in enumerate(wholes, start=1):
        draft = JobDraft(name if len(wholes) == 1 else f"{name}-{number}")
        if trainings:
            model = _only(draft, tables.get("QuantumModel", []), whole, len(trainings))
            _of_training(draft, whole, datasets, model)
        else:
            take_dataset(draft, whole)
        tracking = _only(draft, tables.get("MLflowConfig", []), whole)
        if tracking is not None:
            take_mlflow(draft, tracking)
        searches = [table for kind in _SEARCHES for table in tables.get(kind, [])]
        search = _only(draft, searches, whole)
        if search is not None:
            take_search(draft, search, old.python.suggested if old.python is not None else ())
        if whole.has_more:
            draft.note(
                whole, "**", "unknown",
                text="more fields are given by a table of the program; write them yourself",
            )  # fmt: skip
        drafts.append(draft)
    return drafts


def _of_training(
    draft: JobDraft, table: OldTable, datasets: Sequence[OldTable], model: OldTable | None
) -> None:
    take_training(draft, table, model)
    source = known(table, "dataset_source")
    if source is not None:
        values = {
            "source": source,
            "name": table.values.get("dataset_name"),
            "source_params": table.values.get("dataset_params") or {},
        }
        lines = dict.fromkeys(values, table.lines.get("dataset_source", table.line))
        take_dataset(draft, OldTable("TrainingConfig.dataset", values, table.line, lines))
    elif (dataset := _only(draft, datasets, table)) is not None:
        take_dataset(draft, dataset)
    for key in table.values:
        if source is None and key.startswith("dataset_"):
            computed = isinstance(table.values.get("dataset_source"), Unread)
            text = "write [dataset] yourself" if computed else "no effect without dataset_source"
            draft.note(table, key, "unknown" if computed else "dropped", text=text)
        elif key not in TRAINING_FIELDS:
            draft.drop(table, key, "it is unknown in Q-Store, too")


def _only(
    draft: JobDraft, tables: Sequence[OldTable], whole: OldTable, wanted: int = 1
) -> OldTable | None:
    """The table that belongs to a training: the one in its function, or the one of the file.

    Which of several belongs to it is not known.
    """
    near = [table for table in tables if table.scope == whole.scope]
    if len(near) == 1 and (whole.scope or (len(tables) == 1 and wanted == 1)):
        return near[0]
    if len(tables) > 1 or (tables and wanted > 1):
        lines = ", ".join(str(table.line) for table in tables)
        draft.note(
            tables[0], "()", "unknown",
            text=f"of those of lines {lines} it cannot be known which one this training uses; add "
            "its fields yourself",
        )  # fmt: skip
        return None
    return tables[0] if tables else None


def _finished(draft: JobDraft, changes: Sequence[str]) -> MigratedJob:
    from qstore_ray.job import JobConfig

    job: Table = apply_overrides(_without_none(draft.job), changes)
    try:
        toml = JobConfig.from_dict(job).to_toml()
    except ConfigError as exc:
        return MigratedJob(dump_toml(job), tuple(draft.keys), str(exc))
    return MigratedJob(_short(job, toml), tuple(draft.keys))


def _without_none(value: Any) -> Any:
    """A value whose tables have no names of None, which TOML does not have."""
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_without_none(each) for each in value]
    return value


def _short(job: Table, whole: str) -> str:
    """The fields that were migrated, without all defaults, as long as both are the same job."""
    import tomllib

    from qstore_ray.job import JobConfig

    short = dump_toml(job)
    same = JobConfig.from_dict(tomllib.loads(short)) == JobConfig.from_dict(tomllib.loads(whole))
    return short if same else whole


def write_jobs(found: Sequence[MigratedFile]) -> list[Path]:
    """Write every complete job beside its old file, as `NAME.job.toml`; the paths.

    Raises:
        UsageError: a job is not complete, a file exists, or it cannot be written. Nothing is
            written then, or only the files before the one that failed.
    """
    wanted: list[tuple[Path, str]] = []
    for file in found:
        for number, job in enumerate(file.jobs, start=1):
            suffix = "" if len(file.jobs) == 1 else f"-{number}"
            path = file.path.with_name(f"{file.path.stem}{suffix}.job.toml")
            if job.missing:
                raise UsageError(
                    f"the job of {file.path.name} is not complete: {job.missing}",
                    field="write",
                    fix="Add what is missing as a change, such as dataset.params.path=x.npz",
                )
            wanted.append((path, job.toml))
    for path, _ in wanted:
        if path.exists():
            raise UsageError(
                "the file exists", field="write", value=str(path), fix="Move it away first."
            )
    for path, text in wanted:
        fix = "Copy the old file into a folder that may be written to."
        write_new(path, text, field="write", fix=fix)
    return [path for path, _ in wanted]


def _nothing_error(path: Path) -> DataError:
    return DataError(
        "nothing here is of Q-Store or QeMLflow",
        field="PATH",
        value=str(path),
        fix="Give a file that imports q_store or qemlflow, or has fields of TrainingConfig, "
        "DatasetConfig or QeMLflow's configuration.",
    )
