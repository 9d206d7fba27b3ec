"""Numbers of the same channels in other libraries: from theirs to ours, and back.

The same name means different numbers. With d = 4^n Pauli strings on n qubits:

    depolarizing       Aer        p: I/2^n with probability p; here too
                       Cirq       p: some Pauli string but I, each with p/(d − 1)
                       PennyLane  the same on one qubit; it has none on two
    bit, phase flip    all        p: X or Z with probability p
    amplitude damping  all        γ: |1⟩ decays with probability γ
    phase damping      all        γ: the coherence is multiplied by √(1 − γ)
    thermal            Aer        (T1, T2, time, population of |1⟩ in equilibrium)
                       PennyLane  (population, T1, T2, time)
                       Cirq       none

Braket's numbers are Cirq's: its `Depolarizing`, `TwoQubitDepolarizing`, `BitFlip`, `PhaseFlip`,
`AmplitudeDamping` and `PhaseDamping`.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast

from qstore_ray.backends.noise.channels import (
    AmplitudeDampingChannel,
    AnyChannel,
    BitFlipChannel,
    BitPhaseFlipChannel,
    DepolarizingChannel,
    PhaseDampingChannel,
    PhaseFlipChannel,
    ThermalRelaxationChannel,
)
from qstore_ray.errors import ConfigError, unknown_name_error

Library: TypeAlias = Literal["aer", "pennylane", "cirq", "braket"]
Numbers: TypeAlias = tuple[float, ...]

LIBRARIES: tuple[Library, ...] = ("aer", "pennylane", "cirq", "braket")
_NUMBERS = {
    "depolarizing": ("p",),
    "bit_flip": ("p",),
    "phase_flip": ("p",),
    "bit_phase_flip": ("p",),
    "amplitude_damping": ("gamma",),
    "phase_damping": ("gamma",),
}
_OURS: dict[str, type[Any]] = {
    "bit_flip": BitFlipChannel,
    "phase_flip": PhaseFlipChannel,
    "bit_phase_flip": BitPhaseFlipChannel,
    "amplitude_damping": AmplitudeDampingChannel,
    "phase_damping": PhaseDampingChannel,
}
_THERMAL = {"aer": ("t1", "t2", "time", "excited"), "pennylane": ("excited", "t1", "t2", "time")}


def from_library(library: Library, name: str, *numbers: float, n_qubits: int = 1) -> AnyChannel:
    """Our channel with the numbers of another library.

    Args:
        library: `aer`, `pennylane`, `cirq` or `braket`.
        name: of our channel: `depolarizing`, `bit_flip`, `thermal_relaxation`, …
        numbers: in the order of the library's own function.
        n_qubits: that a depolarizing channel acts on.

    Raises:
        UnknownNameError: an unknown library or channel.
        ConfigError: a number out of the range of its convention; a channel that the library lacks;
            relaxation towards another state than |0⟩.

    Examples:
        assert abs(from_library("cirq", "depolarizing", 0.075).p - 0.1) < 1e-15
    """
    _check(library, name, n_qubits)
    if name == "thermal_relaxation":
        return _relaxation(library, numbers)
    if len(numbers) != 1:
        raise ConfigError(f"{name} has one number", field=name, value=list(numbers))
    if name != "depolarizing":
        return cast("AnyChannel", _OURS[name](**{_NUMBERS[name][0]: numbers[0]}))
    if library == "aer":
        found = DepolarizingChannel(p=numbers[0])
        found.kraus(n_qubits)  # the range of p depends on n
        return found
    return DepolarizingChannel.from_error(numbers[0], n_qubits)


def to_library(library: Library, channel: AnyChannel, n_qubits: int = 1) -> Numbers:
    """The numbers of our channel in another library, in the order of its own function.

    Raises:
        UnknownNameError: an unknown library, or a channel without such numbers.
        ConfigError: a channel that the library lacks.
    """
    _check(library, channel.name, n_qubits)
    if isinstance(channel, ThermalRelaxationChannel):
        known = {"t1": channel.t1, "t2": channel.t2, "time": channel.time, "excited": 0.0}
        return tuple(known[each] for each in _THERMAL[library])
    if isinstance(channel, DepolarizingChannel) and library != "aer":
        return (channel.p * (4**n_qubits - 1) / 4**n_qubits,)
    return tuple(getattr(channel, field) for field in _NUMBERS[channel.name])


def _relaxation(library: str, numbers: Numbers) -> ThermalRelaxationChannel:
    order = _THERMAL[library]
    if library == "aer" and len(numbers) == 3:
        numbers = (*numbers, 0.0)
    if len(numbers) != 4:
        raise ConfigError(
            f"thermal_relaxation has the numbers {', '.join(order)}",
            field="thermal_relaxation",
            value=list(numbers),
        )
    known = dict(zip(order, numbers, strict=True))
    if known.pop("excited"):
        raise ConfigError(
            "relaxation goes to |0⟩ alone: the population of |1⟩ in equilibrium is 0",
            field="thermal_relaxation",
            value=list(numbers),
            fix="Give 0, or the channel's Kraus operators as a kraus channel.",
        )
    return ThermalRelaxationChannel(**known)


def _check(library: str, name: str, n_qubits: int) -> None:
    if library not in LIBRARIES:
        raise unknown_name_error("library", library, LIBRARIES, field="library")
    if name not in {*_NUMBERS, "thermal_relaxation"}:
        raise unknown_name_error("channel", name, (*_NUMBERS, "thermal_relaxation"), field="name")
    lacking = (name == "thermal_relaxation" and library not in _THERMAL) or (
        name == "bit_phase_flip" and library in {"pennylane", "cirq", "braket"}
    )
    if lacking:
        raise ConfigError(f"{library} has no {name}", field="name", value=name)
    if n_qubits != 1 and (name != "depolarizing" or library == "pennylane" or n_qubits != 2):
        raise ConfigError(
            f"{library} has no {name} on {n_qubits} qubits", field="n_qubits", value=n_qubits
        )
