"""The gateway of one run in this process: opened by the first call, closed with the run.

Opening and closing ask the service, which may take long. Meanwhile only calls of the same run wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from qstore_ray.backends.ibm.budget import Spending
from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.gateway.opening import open_gateway
from qstore_ray.backends.ibm.queue.shared_cap import SharedCap
from qstore_ray.errors import ConfigError, QStoreError


class RunGateway:
    """Any thread may use it.

    Args:
        counting: guards the number of its users; of the host.
        wait: seconds to wait for an earlier process to close the ledger.
        shared_cap: the cap of jobs in flight that it shares.
    """

    def __init__(self, counting: threading.RLock, wait: float, shared_cap: SharedCap) -> None:
        self._counting, self._wait, self._shared_cap = counting, wait, shared_cap
        self._users = 0
        self._changing = threading.Lock()
        """Held while the gateway is opened or closed."""
        self._noting = threading.Lock()
        self._closing = threading.Event()
        self._config: GatewayConfig | None = None
        self._gateway: Gateway | None = None
        self._withdrawn: list[str] = []

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Count as open until the end of the block, so that nobody forgets it."""
        with self._counting:
            self._users += 1
        try:
            yield
        finally:
            with self._counting:
                self._users -= 1

    @property
    def is_open(self) -> bool:
        """Whether the gateway is open, or is being opened or closed."""
        gateway = self._gateway
        return self._users > 0 or (gateway is not None and gateway.is_alive)

    @property
    def idle_seconds(self) -> float:
        """For how long nobody has called; 0 while it is opened, or a job is in flight."""
        gateway = self._gateway
        return 0.0 if self._users or gateway is None else gateway.idle_seconds

    def opened(self, config: GatewayConfig) -> Gateway:
        """The gateway, which is opened if it is not; again, if the settings differ.

        Raises:
            ConfigError: the run is being evaluated with other settings.
            BackendError: the run was closed while the service did not answer.
            ServiceError, LedgerError: see `opening.open_gateway`.
        """
        with self._changing:
            before, gateway = self._config, self._gateway
            if before is not None and gateway is not None:
                if gateway.is_alive and _settings(before) == _settings(config):
                    gateway.budget = config.budget
                    return gateway
                if gateway.is_alive and not gateway.idle_seconds:
                    raise _other_settings_error(before, config)
                with suppress(QStoreError):  # said to whoever closed it
                    self._close()
            gateway = open_gateway(
                config, wait=self._wait, shared_cap=self._shared_cap, closing=self._closing
            )
            with self._noting:
                self._config, self._gateway = config, gateway
                withdrawn, self._withdrawn = self._withdrawn, []
            for trial in withdrawn:
                gateway.withdraw(trial)
            return gateway

    def withdraw(self, trial: str) -> None:
        """See `Gateway.withdraw`; what is being opened gets it afterwards."""
        with self._noting:
            gateway = self._gateway
            self._withdrawn += [trial] if gateway is None else []
        if gateway is not None:
            gateway.withdraw(trial)

    def spending(self) -> Spending:
        """See `Gateway.spending`; nothing while it is being opened."""
        gateway = self._gateway
        return Spending() if gateway is None else gateway.spending()

    def close(self) -> None:
        """Close the gateway; an opening that waits for the service ends.

        Raises:
            ServiceError: a session could not be closed; all else was.
        """
        with self.in_use():
            self._closing.set()
            with self._changing:
                self._closing.clear()
                self._close()

    def _close(self) -> None:
        with self._noting:
            gateway, self._gateway, self._withdrawn = self._gateway, None, []
        if gateway is not None:
            gateway.close()


def _settings(config: GatewayConfig) -> str:
    return config.model_dump_json(exclude={"budget"})


def _other_settings_error(before: GatewayConfig, config: GatewayConfig) -> ConfigError:
    one, other = before.model_dump(exclude={"budget"}), config.model_dump(exclude={"budget"})
    name = next(name for name in one if one[name] != other[name])
    return ConfigError(
        f"the run {config.run!r} is being evaluated with other settings of the gateway",
        field=f"backend_options.{name}",
        value=other[name],
        fix="Wait for it to end, or take the same settings for all evaluations of a run.",
    )
