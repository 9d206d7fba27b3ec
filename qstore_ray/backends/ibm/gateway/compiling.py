"""Circuits of calls as a device runs them, with the values of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstore_ray.backends.ibm.service.estimator import estimator_pubs
from qstore_ray.backends.ibm.service.isa import Pub, compile_isa

if TYPE_CHECKING:
    from qstore_ray.backends.ibm.call import HardwareCall
    from qstore_ray.backends.ibm.requests import CircuitRequest
    from qstore_ray.backends.ibm.service.client import IbmClient


class CallCompiler:
    """Makes the PUBs of calls.

    Args:
        client: of the device. seed, level: of the transpiler.
    """

    def __init__(self, client: IbmClient, seed: int, level: int) -> None:
        self._client, self._seed, self._level = client, seed, level

    def pubs(self, call: HardwareCall, piece: CircuitRequest) -> list[Pub]:
        """The PUBs of a piece of a call, one for each basis, or several for the Estimator.

        Raises:
            CircuitError, ResourceError: the device cannot run the circuit.
        """
        circuits = compile_isa(
            call.template, call.observables, self._client.device, self._client.target,
            seed=self._seed, level=self._level, compiled=call.compiled,
            measured=not call.is_estimated,
        )  # fmt: skip
        bindings = call.rows(piece.first_row, piece.rows)
        if call.is_estimated:
            return [pub for each in circuits for pub in estimator_pubs(each, bindings)]
        return [Pub(each.circuit, each.values(bindings)) for each in circuits]
