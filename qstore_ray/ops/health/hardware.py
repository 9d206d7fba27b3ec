"""Ledgers of paid jobs: damage, jobs that are open although nobody waits, budgets nearly used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from qstore_ray.backends.ibm.budget import HardwareBudget, Spending
from qstore_ray.backends.ibm.ledger.place import ledger_root
from qstore_ray.backends.ibm.ledger.replay import LEDGER, LedgerContents, replay
from qstore_ray.config import read_toml
from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.errors import ConfigError, QStoreError, RunError
from qstore_ray.ops.health.scope import HealthScope
from qstore_ray.train.run.find import run_folders
from qstore_ray.train.run.lock import is_held
from qstore_ray.train.run.writing import read_run_record

_NEARLY: Final = 0.9
_LIMITS: Final = {
    "seconds": "billed_seconds",
    "money": "money",
    "executions": "executions",
    "jobs": "jobs",
}
"""Limit of a budget → what the jobs of a ledger have used of it."""


def examine_hardware(scope: HealthScope) -> Iterator[Diagnosis]:
    """Each ledger that needs a look, then how many there are; nothing without ledgers.

    Raises:
        UsageError: the folder of the runs is no folder, or may not be read.
    """
    root = ledger_root(scope.ledgers)
    folders = sorted(path.parent for path in root.glob(f"*/*/*/{LEDGER}"))
    if not folders:
        return
    runs = _runs(str(scope.storage))
    for folder in folders:
        try:
            contents = replay(folder)
        except QStoreError as error:
            yield Diagnosis.of_error(f"ledger {folder.name}", error)
            continue
        yield from _open_jobs(folder, contents, runs.get(folder.name))
        yield from _budget(folder, contents, runs.get(folder.name))
    count = len(folders)
    yield Diagnosis("hardware", "ok", f"{count} ledger{'s' * (count != 1)} in {root}")


def _runs(storage: str) -> dict[str, Path]:
    """Id of a run → its folder; without runs whose record cannot be read."""
    found = {}
    for path in run_folders(storage):
        with suppress(RunError):
            found[str(read_run_record(path).get("id"))] = path
    return found


def _open_jobs(folder: Path, contents: LedgerContents, run: Path | None) -> Iterator[Diagnosis]:
    left = [record for record in contents.records.values() if record.is_open]
    if left and run is not None and not is_held(run):
        yield Diagnosis(
            f"ledger {folder.name}", "note",
            f"{len(left)} jobs are open, and the run is not running; they may cost money",
            f"Call left_jobs({str(folder)!r}), or resume the run.",
        )  # fmt: skip


def _budget(folder: Path, contents: LedgerContents, run: Path | None) -> Iterator[Diagnosis]:
    budget = None if run is None else _budget_of(run)
    if budget is None:
        return
    total = Spending.of(contents.records.values()).total
    for name, attribute in _LIMITS.items():
        allowed, used = getattr(budget.run, name), getattr(total, attribute)
        if allowed is not None and used is not None and used >= _NEARLY * allowed:
            yield Diagnosis(
                f"budget {folder.name}", "note",
                f"{used:,.4g} of {allowed:,.4g} {name} are used",
                f"Allow more: trainer.backend_options.budget.run.{name}.",
            )  # fmt: skip


def _budget_of(run: Path) -> HardwareBudget | None:
    """The budget in a run's configuration; None without a readable one."""
    try:
        trainer: dict[str, Any] = read_toml(run / "config.toml").get("trainer", {})
        given = trainer.get("backend_options", {}).get("budget")
        return HardwareBudget.from_dict(given) if isinstance(given, dict) else None
    except (ConfigError, AttributeError):
        return None
