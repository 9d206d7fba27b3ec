"""Noise as data: which channels follow which gates, and how often a readout is wrong.

    [trainer.noise]
    trajectories = 1
    readout = 0.02

    [[trainer.noise.gates]]
    on = "two_qubit"
    channel = {name = "depolarizing", p = 0.01}

A job, a run's fingerprint and a model file hold it as it is written here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field, field_validator, model_validator

from qstore_ray.backends.noise.channels import AnyChannel
from qstore_ray.circuits.gates import GATES
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

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


class NoiseConfig(Config):
    """What a circuit suffers: channels after gates, rotations that are too large, wrong readout.

    Args:
        gates: channels after gates, in the order in which they act.
        over_rotation: every angle of a rotation gate is (1 + over_rotation) times what it should
            be: a constant, coherent error.
        readout: probability that a qubit is read wrongly, the same for 0 and 1; or a confusion
            matrix P(read i | prepared j) for all qubits; or one of both for each named qubit.
        trajectories: random trajectories of a row at each evaluation in training.
        test_trajectories: the same for validation and test.
        twirl: replace channels that are no Pauli channels by their Pauli twirl. Without it they are
            an error on a backend that has Pauli noise alone.

    Examples:
        noise = NoiseConfig(gates=[{"channel": {"name": "bit_flip", "p": 0.01}}], readout=0.02)
        assert noise.gates[0].follows("rx", (0,))
    """

    gates: tuple[GateNoise, ...] = ()
    over_rotation: float = Field(default=0.0, gt=-1.0, lt=1.0)
    readout: float | Confusion | dict[int, float | Confusion] = 0.0
    trajectories: int = Field(default=1, ge=1)
    test_trajectories: int = Field(default=16, ge=1)
    twirl: bool = False

    @field_validator("readout")
    @classmethod
    def _are_confusions(cls, readout: Any) -> Any:
        if not isinstance(readout, dict):
            _check_confusion(readout, "")
            return readout
        for qubit, entry in readout.items():
            if qubit < 0:
                raise ConfigError("qubits are numbers from 0", value=qubit)
            _check_confusion(entry, str(qubit))
        return readout

    @model_validator(mode="after")
    def _fits_gates(self) -> NoiseConfig:
        """Check every channel on the widths of gates that it follows."""
        for place, entry in enumerate(self.gates):
            width = GATES[entry.on].n_qubits if entry.on in GATES else 0
            widths = {"one_qubit": (1,), "two_qubit": (2,), "all": ()}.get(entry.on, (width,))
            for n_qubits in widths:
                if entry.qubits is not None and len(entry.qubits) != n_qubits:
                    raise ConfigError(
                        f"{entry.on} acts on {n_qubits} qubits",
                        field=f"gates.{place}.qubits",
                        value=list(entry.qubits),
                    )
                if entry.channel.n_qubits is None and n_qubits <= 2:
                    entry.channel.kraus(n_qubits)
        return self

    def confusion(self, qubit: int) -> FloatArray:
        """P(read i | prepared j) of a qubit, (2, 2)."""
        entry: Any = self.readout
        if isinstance(entry, dict):
            entry = entry.get(qubit, 0.0)
        if isinstance(entry, float | int):
            return np.array([[1.0 - entry, entry], [entry, 1.0 - entry]])
        return np.array(entry, float)

    @property
    def n_qubits(self) -> int:
        """The least number of qubits of a circuit that has all qubits named here."""
        named = [q for entry in self.gates for q in entry.qubits or ()]
        if isinstance(self.readout, dict):
            named += list(self.readout)
        return max(named, default=-1) + 1


def _check_confusion(entry: float | Confusion, field: str) -> None:
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
