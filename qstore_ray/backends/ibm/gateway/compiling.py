"""Circuits of calls as a device runs them, with the values of their rows.

A circuit is compiled once: a training asks for the same few circuits with other values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from qstore_ray.backends.ibm.service.estimator import estimator_pubs
from qstore_ray.backends.ibm.service.isa import IsaCircuit, Pub, compile_isa, seconds_of
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.backends.device_circuit import DeviceCircuit
    from qstore_ray.backends.ibm.call import HardwareCall
    from qstore_ray.backends.ibm.requests import CircuitRequest
    from qstore_ray.backends.ibm.service.client import IbmClient
    from qstore_ray.circuits.observable import Observable
    from qstore_ray.circuits.template import Template

_CIRCUITS: Final = 64
"""How many compiled circuits are kept, the latest used ones."""


class CallCompiler:
    """Makes the PUBs of calls. Used by several threads.

    Args:
        client: of the device. seed, level: of the transpiler.
    """

    def __init__(self, client: IbmClient, seed: int, level: int) -> None:
        self._client, self._seed, self._level = client, seed, level
        self._circuits = lru_cache(_CIRCUITS)(self._compiled)

    def pubs(self, call: HardwareCall, piece: CircuitRequest) -> list[Pub]:
        """The PUBs of a piece of a call, one for each basis, or several for the Estimator.

        Raises:
            CircuitError, ResourceError: the device cannot run the circuit.
        """
        circuits = self._circuits(
            call.template, call.observables, call.compiled, not call.is_estimated
        )
        bindings = call.rows(piece.first_row, piece.rows)
        if call.is_estimated:
            return [pub for each in circuits for pub in estimator_pubs(each, bindings)]
        return [Pub(each.circuit, each.values(bindings)) for each in circuits]

    def check(self, calls: Sequence[HardwareCall], seconds: float) -> None:
        """Compile the circuits of calls, and compare their durations with a forecast's.

        Args:
            seconds: the duration of a circuit with its measurement that the forecast assumes.

        Raises:
            ConfigError: a circuit lasts longer on the device.
            CircuitError, ResourceError: see `pubs`.
        """
        pubs = [pub for call in calls for pub in self.pubs(call, call.request)]
        circuits = {id(pub.circuit): pub.circuit for pub in pubs}
        longest = max(
            (seconds_of(each, self._client.target) for each in circuits.values()), default=0.0
        )
        if longest > seconds:
            enough = math.ceil(longest * 1e6) / 1e6
            raise ConfigError(
                f"a circuit lasts {longest:.3g} s on {self._client.device.name}, and the forecast "
                f"and the budget count {seconds:g} s",
                field="backend_options.circuit_seconds",
                value=seconds,
                fix=f"Take fewer layers, or set circuit_seconds = {enough:g}.",
            )

    def _compiled(
        self,
        template: Template,
        observables: tuple[Observable, ...],
        compiled: DeviceCircuit,
        measured: bool,
    ) -> tuple[IsaCircuit, ...]:
        return compile_isa(
            template, observables, self._client.device, self._client.target,
            seed=self._seed, level=self._level, compiled=compiled, measured=measured,
        )  # fmt: skip
