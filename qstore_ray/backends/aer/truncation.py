"""What matrix product states leave out: Aer keeps norm 1 and reports success for any of it.

The weight that truncations discard stands in Aer's log alone. That log belongs to the process, is
never emptied, and comes whole with every result, so it is asked for one row at a time, before and
after: at the 1st, 2nd, 4th, 8th, … evaluation of a circuit.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qstore_ray.backends.aer.options import AerOptions
from qstore_ray.circuits.template import Template

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from qstore_ray.backends.aer.circuits import BoundCircuits

NEGLIGIBLE = 1e-6
"""Discarded weights up to this one are not warned of; a value may be off by about 2√w."""
DEFAULT_THRESHOLD = 1e-16

_DISCARDED = re.compile(r"discarded_value=([0-9.eE+-]+?)(?=[,}\s]|$)")
_log = logging.getLogger(__name__)


class TruncationWatch:
    """Warns of the weight that truncation discards: once, and if it has grown tenfold."""

    def __init__(self, options: AerOptions) -> None:
        self._options = options
        self._evaluations: Counter[Template] = Counter()
        self._warned_of = NEGLIGIBLE / 10
        # Without a limit and with Aer's own threshold only rounding is discarded.
        self._truncates = options.method == "matrix_product_state" and not (
            options.max_bond_dimension is None
            and (options.truncation_threshold or 0.0) <= DEFAULT_THRESHOLD
        )

    def look_at(self, template: Template, row: BoundCircuits) -> None:
        """Look at one row of an evaluation of `template`, if it is due."""
        if not self._truncates:
            return
        self._evaluations[template] += 1
        count = self._evaluations[template]
        if count & (count - 1):
            return
        weight = self._discarded(row)
        if weight < 10 * self._warned_of:
            return
        self._warned_of = weight
        bond = self._options.max_bond_dimension
        _log.warning(
            "matrix product states are approximate here: truncations discarded a weight of %.3g "
            "of a state; max_bond_dimension = %s, truncation_threshold = %g",
            weight,
            "unlimited" if bond is None else bond,
            self._options.truncation_threshold,
        )

    def _discarded(self, row: BoundCircuits) -> float:
        """The sum of the squared coefficients that truncations removed from one row's state."""
        from qiskit import QuantumCircuit
        from qiskit_aer import AerSimulator

        options = self._options.simulator | {"max_parallel_experiments": 1, "mps_log_data": True}
        simulator = AerSimulator(**options)
        nothing = QuantumCircuit(1)
        nothing.save_statevector()
        before = _weights(simulator, nothing, None)
        (circuit,), binds = row
        return math.fsum(_weights(simulator, circuit, binds)[len(before) :])


def _weights(
    simulator: Any, circuit: QuantumCircuit, binds: Sequence[Mapping[Any, Any]] | None
) -> list[float]:
    """Every weight in the log of this process, in order."""
    result = simulator.run(circuit, parameter_binds=binds, shots=1).result()
    return discarded_weights(result.results[0].metadata["MPS_log_data"])


def discarded_weights(log: str) -> list[float]:
    """The weights that the truncations of a log discarded."""
    return [float(found) for found in _DISCARDED.findall(log)]
