"""A device as data: what its calibration says of each qubit and gate, and what follows from it.

The error of a gate is 1 − F, with F the average gate fidelity. As in Qiskit Aer's
`NoiseModel.from_backend`, a gate is followed by depolarizing, then by thermal relaxation of each of
its qubits for the time of the gate, and the depolarizing is what is missing of the gate's error
after the relaxation. Data that no channel has are used as Aer uses them:

    T2 > 2·T1            T2 is 2·T1
    T1 or T2 missing     no decay; T2 is 2·T1
    an error too large   the largest there is, 2^n/(2^n + 1)
    relaxation alone worse than the error   relaxation alone

Idle qubits do not decay: a circuit has gates, but no waiting times.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator, model_validator

from qstore_ray.backends.noise.channels import (
    AnyChannel,
    Channel,
    DepolarizingChannel,
    PhaseDampingChannel,
    ThermalRelaxationChannel,
    averaged,
    process_fidelity,
)
from qstore_ray.backends.noise.entries import Confusion, check_confusion
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError

Qubits = Annotated[tuple[int, ...], Field(min_length=1, max_length=2)]
Placed = tuple[Channel, tuple[int, ...]]
"""A channel, and the places among the gate's qubits that it acts on."""


class DeviceQubit(Config):
    """What is known of a qubit.

    Args:
        t1, t2: seconds; None if not calibrated.
        readout: the confusion matrix P(read i | prepared j); None if it is read rightly.
    """

    t1: float | None = Field(default=None, gt=0.0)
    t2: float | None = Field(default=None, gt=0.0)
    readout: Confusion | None = None

    @field_validator("readout")
    @classmethod
    def _is_a_confusion(cls, readout: Confusion | None) -> Confusion | None:
        if readout is not None:
            check_confusion(readout, "")
        return readout


class DeviceGate(Config):
    """A gate of the device.

    Args:
        gate: its name in Qiskit.
        qubits: on which it acts, in order; None for any.
        error: 1 − average gate fidelity; None if not calibrated.
        time: seconds.
        channel: the noise itself, if it is known in place of the error.
    """

    gate: str
    qubits: Qubits | None = None
    error: float | None = Field(default=None, ge=0.0)
    time: float | None = Field(default=None, ge=0.0)
    channel: AnyChannel | None = None

    @property
    def is_faulty(self) -> bool:
        """Whether the calibration failed, which is written as an error of 1."""
        return self.error is not None and self.error >= 1.0


class Device(Config):
    """The calibration of a device.

    Args:
        name: of the backend.
        version: of the data, and when they were measured.
        basis: names of the gates it has, in Qiskit.
        qubits: each physical qubit.
        gates: what is known of each gate; an entry with qubits goes before one for any.
        coupled: gates of two qubits act on the pairs of `gates` alone, otherwise on any pair.
        readout: of qubits that are not in `qubits`, or have none of their own.
        left_out: what the source says and is not modelled here.
    """

    name: str
    version: str = ""
    basis: tuple[str, ...] = Field(min_length=1)
    qubits: tuple[DeviceQubit, ...] = ()
    gates: tuple[DeviceGate, ...] = ()
    coupled: bool = True
    readout: Confusion | None = None
    left_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Device:
        for place, gate in enumerate(self.gates):
            known = len(self.qubits) if self.coupled else max(gate.qubits or (0,)) + 1
            if gate.qubits and not all(0 <= q < known for q in gate.qubits):
                raise ConfigError(
                    f"{self.name} has {known} qubits",
                    field=f"gates.{place}.qubits",
                    value=list(gate.qubits),
                    fix="Name only its qubits; the first is 0.",
                )
            if gate.channel is not None and gate.qubits and gate.channel.n_qubits is None:
                gate.channel.kraus(len(gate.qubits))
        return self

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of physical qubits with a working gate, the smaller number first."""
        found = {
            (min(g.qubits), max(g.qubits))
            for g in self.gates
            if g.qubits is not None and len(g.qubits) == 2 and not g.is_faulty
        }
        return tuple(sorted(found))

    @property
    def clamped(self) -> tuple[int, ...]:
        """Qubits whose calibrated T2 is above 2·T1, and is taken as 2·T1."""
        return tuple(q for q, each in enumerate(self.qubits) if _is_too_long(each))

    @property
    def faulty(self) -> tuple[tuple[int, ...], ...]:
        """Qubits of gates that the calibration calls faulty; no circuit uses them."""
        return tuple(sorted({g.qubits for g in self.gates if g.is_faulty and g.qubits}))

    def gate(self, name: str, qubits: tuple[int, ...]) -> DeviceGate | None:
        """What is known of a gate on these physical qubits."""
        return self._known.get((name, qubits)) or self._known.get((name, None))

    def confusion(self, qubit: int) -> Confusion | None:
        """P(read i | prepared j) of a physical qubit."""
        own = self.qubits[qubit].readout if qubit < len(self.qubits) else None
        return own or self.readout

    def readout_error(self, qubit: int) -> float:
        """The mean probability of a wrong result of a physical qubit."""
        found = self.confusion(qubit)
        return 0.0 if found is None else (found[1][0] + found[0][1]) / 2

    def channels(self, name: str, qubits: tuple[int, ...]) -> tuple[Placed, ...] | None:
        """The channels that follow a gate, in order; None if nothing is known of the gate."""
        known = self.gate(name, qubits)
        if known is None:
            return None
        if known.channel is not None:
            if known.channel.n_qubits == 1:
                return tuple((known.channel, (k,)) for k in range(len(qubits)))
            return ((known.channel, tuple(range(len(qubits)))),)
        if known.error is None and not known.time:
            return None
        return self._recipe(known, qubits)

    def error(self, name: str, qubits: tuple[int, ...]) -> float:
        """1 − average gate fidelity of the channels that follow a gate."""
        # Depolarizing of all qubits acts alike on any state that the other channels leave.
        n, process, lost = len(qubits), 1.0, 0.0
        for channel, places in self.channels(name, qubits) or ():
            if isinstance(channel, DepolarizingChannel) and len(places) == n:
                lost = channel.p
            else:
                process *= process_fidelity(channel, len(places))
        return 1.0 - averaged((1.0 - lost) * process + lost / 4**n, n)

    def _recipe(self, known: DeviceGate, qubits: tuple[int, ...]) -> tuple[Placed, ...]:
        relaxed = [
            (channel, (k,))
            for k, qubit in enumerate(qubits)
            if (channel := self._relaxation(qubit, known.time or 0.0)) is not None
        ]
        dim = 2 ** len(qubits)
        process = float(np.prod([process_fidelity(channel, 1) for channel, _ in relaxed]))
        fidelity = averaged(process, len(qubits))
        error = min(known.error or 0.0, dim / (dim + 1.0))
        if error <= 1.0 - fidelity:
            return tuple(relaxed)
        p = dim * (error - (1.0 - fidelity)) / (dim * fidelity - 1.0)
        p = min(p, dim**2 / (dim**2 - 1.0))
        return ((DepolarizingChannel(p=p), tuple(range(len(qubits)))), *relaxed)

    def _relaxation(self, qubit: int, time: float) -> Channel | None:
        known = self.qubits[qubit] if qubit < len(self.qubits) else DeviceQubit()
        t1, t2 = known.t1, known.t2
        if not time or (t1 is None and t2 is None):
            return None
        if t1 is None:
            assert t2 is not None
            return PhaseDampingChannel(gamma=-float(np.expm1(-2.0 * time / t2)))
        t2 = 2.0 * t1 if t2 is None else min(t2, 2.0 * t1)
        return ThermalRelaxationChannel(t1=t1, t2=t2, time=time)

    @cached_property
    def _known(self) -> dict[tuple[str, tuple[int, ...] | None], DeviceGate]:
        return {(gate.gate, gate.qubits): gate for gate in self.gates}


def _is_too_long(qubit: DeviceQubit) -> bool:
    return qubit.t1 is not None and qubit.t2 is not None and qubit.t2 > 2.0 * qubit.t1


def as_calibrated(gates: Sequence[DeviceGate], qubits: Sequence[DeviceQubit]) -> list[DeviceGate]:
    """The gates, those of a qubit that is not calibrated as faulty: no circuit uses it.

    It has no readout error, and others have one, so it would look like the best qubit.
    """
    read = {(q,) for q, each in enumerate(qubits) if each.readout is not None}

    def is_lost(gate: DeviceGate) -> bool:
        one = len(gate.qubits or ()) == 1 and bool(gate.error or gate.time)
        return one and bool(read) and gate.qubits not in read

    return [g.model_copy(update={"error": 1.0}) if is_lost(g) else g for g in gates]
