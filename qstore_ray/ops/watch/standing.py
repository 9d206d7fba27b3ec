"""Which open alerts still hold.

An alert is closed by whoever watches its run. If nobody does, its run may end, be started again or
be deleted while the log has the alert as open.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qstore_ray.errors import QStoreError, RunError
from qstore_ray.files import is_there
from qstore_ray.ops.alerts import Alert
from qstore_ray.ops.watch.monitor import OUTLIVE
from qstore_ray.storage.address import storage_folder
from qstore_ray.train.run.lock import is_held
from qstore_ray.train.run.writing import read_run_record


def standing_alerts(alerts: Iterable[Alert], storage: str | Path) -> list[Alert]:
    """The open ones among `alerts` of the runs in `storage` that still hold, in their order."""
    folder = storage_folder(storage)
    return [alert for alert in alerts if alert.is_open and stands(alert, folder / alert.run)]


def stands(alert: Alert, run_dir: Path) -> bool:
    """Whether an open alert of the run in `run_dir` still holds: the run exists, it is running or
    the rule says how it ended, and no attempt has begun since.
    """
    if not is_there(run_dir) or alert.attempt not in {"", attempt_of(run_dir)}:
        return False
    return alert.rule in OUTLIVE or held(run_dir) is not False


def attempt_of(run_dir: Path) -> str:
    """The id of a run and the number of its last attempt; empty if its record cannot be read."""
    try:
        record = read_run_record(run_dir)
    except RunError:
        return ""
    return f"{record.get('id', '')}/{record['generation']}"


def held(run_dir: Path) -> bool | None:
    """Whether a process has the run open; None if the object store does not say so now."""
    try:
        return is_held(run_dir)
    except QStoreError:
        return None
