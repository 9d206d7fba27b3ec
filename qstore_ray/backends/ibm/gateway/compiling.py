"""Circuits of calls as a device runs them, with the values of their rows.

A circuit is compiled once: a training asks for the same few circuits with other values.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from qstore_ray.backends.ibm.service.estimator import estimator_pubs
from qstore_ray.backends.ibm.service.isa import IsaCircuit, Pub, compile_isa

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
