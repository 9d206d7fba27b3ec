"""The gateways of the open runs of one sign-in and device, in one process.

Each run has a gateway of its own, with its ledger, budget and thread; they share the cap of jobs in
flight. A gateway that nobody has called for `IDLE_SECONDS` is closed: its driver was killed.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress

from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.gateway.opening import open_gateway
from qstore_ray.backends.ibm.queue.shared_cap import SharedCap
from qstore_ray.errors import ConfigError, QStoreError

IDLE_SECONDS = 1800.0


class GatewayHost:
    """Opens and closes gateways; any thread may use it.

    Args:
        wait: seconds to wait for an earlier process to close a ledger.
    """

    def __init__(self, wait: float = 0.0) -> None:
        self._wait, self._lock, self._shared_cap = wait, threading.Lock(), SharedCap()
        self._open: dict[tuple[str, str | None], tuple[GatewayConfig, Gateway]] = {}

    def gateway(self, config: GatewayConfig) -> Gateway:
        """The gateway of a run; the first call opens it.

        A run whose driver was killed has one already. It is taken over, and opened again if the
        settings differ.

        Raises:
            ConfigError: the run is being evaluated with other settings.
            ServiceError, LedgerError: see `opening.open_gateway`.
        """
        at = config.run, config.ledger
        with self._lock:
            if at in self._open:
                before, gateway = self._open[at]
                if gateway.is_alive and _settings(before) == _settings(config):
                    gateway.budget = config.budget
                    return gateway
                if gateway.is_alive and not gateway.idle_seconds:
                    raise _other_settings_error(before, config)
                del self._open[at]
                with suppress(QStoreError):  # said to whoever closed it
                    gateway.close()
            gateway = open_gateway(config, wait=self._wait, shared_cap=self._shared_cap)
            self._open[at] = config, gateway
            return gateway

    def of_run(self, run: str) -> list[Gateway]:
        """The open gateways of a run."""
        with self._lock:
            return [g for at, (_, g) in self._open.items() if at[0] == run and g.is_alive]

    def is_empty(self) -> bool:
        """Whether no gateway is open."""
        with self._lock:
            return not any(gateway.is_alive for _, gateway in self._open.values())

    def close(self, run: str | None = None) -> None:
        """Close the gateways of a run, or all.

        Raises:
            ServiceError: a session could not be closed; all else was.
        """
        with self._lock:
            places = [at for at in self._open if run is None or at[0] == run]
            gateways = [self._open.pop(at)[1] for at in places]
        with ExitStack() as closing:
            for gateway in gateways:
                if gateway.is_alive:  # else what went wrong was said to whoever closed it
                    closing.callback(gateway.close)

    def close_idle(self) -> None:
        """Close the gateways that nobody has called for long."""
        with self._lock:
            idle = [at for at, (_, g) in self._open.items() if g.idle_seconds > IDLE_SECONDS]
            gateways = [self._open.pop(at)[1] for at in idle]
        for gateway in gateways:
            with suppress(QStoreError):  # its session ends by itself
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
