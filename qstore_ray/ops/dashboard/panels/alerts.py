"""The alerts of the runs of a storage folder, from the log that whoever watches them writes."""

from __future__ import annotations

from typing import Final

from qstore_ray.ops.alerts import Alert, AlertLog
from qstore_ray.ops.dashboard.answers import id_of
from qstore_ray.ops.watch.standing import standing_alerts
from qstore_ray.storage.address import storage_folder
from qstore_ray.types import Table

_MOST_CLOSED: Final = 50


class AlertPanel:
    """Reads the log.

    Args:
        storage: the folder of runs, or its address.
    """

    def __init__(self, storage: str) -> None:
        self._storage, self._folder = storage, storage_folder(storage)
        self._log = AlertLog(storage)

    def __call__(self) -> Table:
        """Open alerts that still hold, the latest first, the last closed ones, and how many lines
        are damaged.
        """
        latest = self._log.read()[::-1]
        closed = [self._shown(alert) for alert in latest if not alert.is_open]
        return {
            "open": [self._shown(alert) for alert in standing_alerts(latest, self._storage)],
            "closed": closed[:_MOST_CLOSED],
            "damaged": self._log.damaged,
        }

    def _shown(self, alert: Alert) -> Table:
        return {**alert.as_dict(), "id": id_of(self._folder / alert.run, self._folder)}
