"""What matrix product states leave out, read from Aer's log: it reports success for any of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any

NEGLIGIBLE = 1e-6
"""A discarded weight w changes a value by about √w at most times a small number."""

_DISCARDED = re.compile(r"discarded_value=([0-9.eE+-]+?)(?=[,}\s]|$)")
_log = logging.getLogger(__name__)


def discarded_weight(log: str) -> float:
    """The sum of the squared coefficients that truncations removed, from one circuit's log."""
    return sum(float(found) for found in _DISCARDED.findall(log))


class TruncationWatch:
    """Warns of the weight that truncation discards: once, and when it has grown tenfold."""

    def __init__(self, max_bond_dimension: int | None, truncation_threshold: float | None) -> None:
        self._limits = (max_bond_dimension, truncation_threshold)
        self._warned_of = NEGLIGIBLE / 10

    def look_at(self, metadata: Iterable[dict[str, Any]]) -> None:
        """Look at the metadata of the circuits of one run."""
        worst = max((discarded_weight(found.get("MPS_log_data", "")) for found in metadata),
                    default=0.0)  # fmt: skip
        if worst < 10 * self._warned_of:
            return
        self._warned_of = worst
        bond, threshold = self._limits
        _log.warning(
            "matrix product states are approximate here: truncation discarded a weight of %.3g of "
            "a state; max_bond_dimension = %s, truncation_threshold = %g",
            worst,
            "unlimited" if bond is None else bond,
            threshold,
        )
