"""Jobs on paid hardware of all ledgers of this user, what they cost, and how much may be spent.

A ledger is read again only if it changed; a damaged one is a line that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from qstore_ray.backends.ibm.budget import Spending
from qstore_ray.backends.ibm.ledger.place import ledger_root
from qstore_ray.backends.ibm.ledger.replay import LEDGER, LedgerContents, replay
from qstore_ray.config import read_toml
from qstore_ray.errors import QStoreError
from qstore_ray.track.logs.text import is_number
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.types import Table

_MOST_JOBS: Final = 200
_LIMITS: Final = ("seconds", "money", "executions", "jobs")


class HardwarePanel:
    """Reads the ledgers.

    Args:
        storage: the folder of runs, whose configurations have the budgets.
        root: of the ledgers; by default where they are kept.
    """

    def __init__(self, storage: Path, root: Path | None = None) -> None:
        self._storage = storage
        self._root = ledger_root() if root is None else root
        self._read: dict[Path, tuple[tuple[int, int], Table]] = {}

    def __call__(self) -> Table:
        """The ledgers, and their newest jobs."""
        paths = sorted(self._root.glob(f"*/*/*/{LEDGER}"))
        ledgers = [self._ledger(path) for path in paths]
        jobs = [{**job, "run": each["run"]} for each in ledgers for job in each["listed"]]
        jobs.sort(key=lambda job: str(job["changed"]), reverse=True)
        shown = [{k: v for k, v in each.items() if k != "listed"} for each in ledgers]
        return {"ledgers": shown, "jobs": jobs[:_MOST_JOBS], "more": max(0, len(jobs) - _MOST_JOBS)}

    def _ledger(self, path: Path) -> Table:
        found = path.stat()
        signature = (found.st_mtime_ns, found.st_size)
        known = self._read.get(path)
        if known is None or known[0] != signature:
            self._read[path] = known = (signature, self._described(path.parent))
        return known[1]

    def _described(self, folder: Path) -> Table:
        try:
            contents = replay(folder)
        except QStoreError as exc:
            return {"run": folder.name, "problem": exc.message, "listed": []}
        run = contents.owner.run if contents.owner else folder.name
        spending = Spending.of(contents.records.values())
        return {
            "run": run,
            "backend": contents.owner.backend if contents.owner else "",
            "problem": contents.notice,
            "jobs": spending.total.jobs,
            "open": sum(record.is_open for record in contents.records.values()),
            "executions": spending.total.executions,
            "seconds": spending.total.billed_seconds,
            "pending_seconds": spending.pending_seconds,
            "money": spending.total.money,
            "budget": self._budget(run),
            "listed": _jobs(contents),
        }

    def _budget(self, run: str) -> Mapping[str, float]:
        """The limits of the run with this id, if its folder is in the storage folder."""
        folder = self._storage / run.rpartition("-")[0]
        try:
            if read_run_record(folder).get("id") != run:
                return {}
            options = read_toml(folder / "config.toml").get("trainer", {}).get("backend_options")
        except QStoreError:  # no such run here, or one that is listed as damaged
            return {}
        limits = options.get("budget") if isinstance(options, dict) else None
        named = limits if isinstance(limits, dict) else {}
        return {name: named[name] for name in _LIMITS if is_number(named.get(name))}


def _jobs(contents: LedgerContents) -> list[dict[str, Any]]:
    return [
        {
            "tag": job.key[:12],
            "state": str(job.state),
            "job": job.job_id,
            "executions": job.executions,
            "seconds": job.usage.get(job.job_id),
            "forecast_seconds": job.forecast_seconds,
            "began": job.began,
            "changed": job.changed,
            "reason": job.reason,
        }
        for job in contents.records.values()
    ]
