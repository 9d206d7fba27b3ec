"""The gateways of the open runs of one sign-in and device, in one process.

Each run has a gateway of its own, with its ledger, budget and thread; they share the cap of jobs in
flight. A run does not wait for another one that is being opened or closed. A gateway that nobody
has called for `IDLE_SECONDS` is closed: its driver was killed.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress

from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.gateway.run_gateway import RunGateway
from qstore_ray.backends.ibm.queue.shared_cap import SharedCap
from qstore_ray.errors import QStoreError

IDLE_SECONDS = 1800.0


class GatewayHost:
    """Opens and closes gateways; any thread may use it.

    Args:
        wait: seconds to wait for an earlier process to close a ledger.
    """

    def __init__(self, wait: float = 0.0) -> None:
        self._wait, self._lock, self._shared_cap = wait, threading.RLock(), SharedCap()
        self._runs: dict[tuple[str, str | None], RunGateway] = {}

    def gateway(self, config: GatewayConfig) -> Gateway:
        """The gateway of a run; the first call opens it.

        A run whose driver was killed has one already. It is taken over, and opened again if the
        settings differ.

        Raises:
            ConfigError, BackendError, ServiceError, LedgerError: see `RunGateway.opened`.
        """
        at = config.run, config.ledger
        with ExitStack() as stack:
            with self._lock:
                self._runs = {at: one for at, one in self._runs.items() if one.is_open}
                if at not in self._runs:
                    self._runs[at] = RunGateway(self._lock, self._wait, self._shared_cap)
                one = self._runs[at]
                stack.enter_context(one.in_use())
            return one.opened(config)

    def of_run(self, run: str) -> list[RunGateway]:
        """The gateways of a run that are open, or are being opened or closed."""
        with self._lock:
            return [one for at, one in self._runs.items() if at[0] == run and one.is_open]

    def is_empty(self) -> bool:
        """Whether no gateway is open."""
        with self._lock:
            return not any(one.is_open for one in self._runs.values())

    def close(self, run: str | None = None) -> None:
        """Close the gateways of a run, or all.

        Raises:
            ServiceError: a session could not be closed; all else was.
        """
        with self._lock:
            chosen = [one for at, one in self._runs.items() if run is None or at[0] == run]
        with ExitStack() as closing:
            for one in chosen:
                if one.is_open:  # else what went wrong was said to whoever closed it
                    closing.callback(one.close)

    def close_idle(self) -> None:
        """Close the gateways that nobody has called for long."""
        with self._lock:
            idle = [one for one in self._runs.values() if one.idle_seconds > IDLE_SECONDS]
        for one in idle:
            with suppress(QStoreError):  # its session ends by itself
                one.close()
