"""Entries of a noise: a channel after each gate of a kind, and how a qubit is read wrongly."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field, field_validator

from qstore_ray.backends.noise.channels import AnyChannel
from qstore_ray.circuits.gates import GATES
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, unknown_name_error

CLASSES = ("all", "one_qubit", "two_qubit")
"""Names for many gates at once, in the place of a gate's name."""

Confusion: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
"""P(read i | prepared j): ((P(0|0), P(0|1)), (P(1|0), P(1|1))); each column adds up to 1."""


class GateNoise(Config):
    """A channel after each gate of a kind.

    Args:
        on: a gate's name (`cx`), or `one_qubit`, `two_qubit`, `all`.
        qubits: only where the gate acts on these qubits, in this order: `[3]`, `[0, 1]`; None for
            any.
        channel: what happens to the gate's qubits. A one-qubit channel after a two-qubit gate acts
            on each of the two.
    """

    on: str = "all"
    qubits: Annotated[tuple[int, ...], Field(min_length=1, max_length=2)] | None = None
    channel: AnyChannel

    @field_validator("on")
    @classmethod
    def _is_known(cls, on: str) -> str:
        if on not in CLASSES and on not in GATES:
            raise unknown_name_error("gate class", on, (*CLASSES, *GATES))
        return on

    @field_validator("qubits")
    @classmethod
    def _are_distinct(cls, qubits: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if qubits and (min(qubits) < 0 or len(set(qubits)) < len(qubits)):
            raise ConfigError("qubits are different numbers from 0", value=list(qubits))
        return qubits

    def follows(self, gate: str, qubits: tuple[int, ...]) -> bool:
        """Whether the channel follows this gate on these qubits."""
        kinds = {gate, "all"}
        if len(qubits) <= 2:
            kinds.add(CLASSES[len(qubits)])
        return self.on in kinds and self.qubits in (None, qubits)


class ChannelPlace(Config):
    """A channel at a place of one circuit.

    Args:
        after: how many gates of the circuit come before it.
        qubits: that it acts on, in the order of the channel.
        channel: what happens to them.
    """

    after: int = Field(ge=1)
    qubits: Annotated[tuple[int, ...], Field(min_length=1, max_length=2)]
    channel: AnyChannel


def check_confusion(entry: float | Confusion, field: str) -> None:
    """Raise `ConfigError` unless an entry is a probability or a confusion matrix."""
    if isinstance(entry, float | int):
        if not 0.0 <= entry <= 1.0:
            raise ConfigError("a probability is between 0 and 1", field=field, value=entry)
        return
    matrix = np.array(entry, float)
    if (matrix < 0.0).any() or np.abs(matrix.sum(axis=0) - 1.0).max() > 1e-9:
        raise ConfigError(
            "each column of a confusion matrix is a distribution: it adds up to 1",
            field=field,
            value=[list(row) for row in entry],
            fix="Write [[P(0|0), P(0|1)], [P(1|0), P(1|1)]]: P(i|j) reads i for a prepared j.",
        )
