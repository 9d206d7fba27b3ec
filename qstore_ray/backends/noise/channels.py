"""Noise channels: what happens to one or two qubits, as Kraus operators from the definition.

Each channel is a configuration whose fields are the physical numbers. Libraries attach different
numbers to the same names; the convention of each is written at its field, and `conventions.py`
converts the others.

    depolarizing         the state is replaced by the maximally mixed one with probability p
    bit_flip             X with probability p
    phase_flip           Z with probability p
    bit_phase_flip       Y with probability p
    pauli                any Pauli string with a probability of its own
    amplitude_damping    |1⟩ decays to |0⟩ with probability gamma
    phase_damping        the coherence is multiplied by √(1 − gamma)
    thermal_relaxation   both, from T1, T2 and the time of the gate
    kraus                any channel, as its Kraus operators

A channel is a *Pauli channel* if it is a random Pauli string: ρ → Σ_P p_P P ρ P. The others can be
*twirled* into one: p_P = Σ_k |tr(P K_k)|² / 4^n keeps the diagonal of the channel's Pauli transfer
matrix and drops the rest (Wallman & Emerson 2016, Phys. Rev. A 94, 052325).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray, FloatArray

PAULIS: dict[str, ComplexArray] = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], complex),
    "Z": np.array([[1, 0], [0, -1]], complex),
    "Y": np.array([[0, -1j], [1j, 0]], complex),
}
"""In the order of the outcomes of a site: I, X, Z, Y."""

Probability: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]


class Channel(Config, ABC):
    """A completely positive, trace-preserving map of `n_qubits` qubits."""

    n_qubits: ClassVar[int | None] = 1
    """How many qubits it acts on; None: as many as the gate it follows."""

    name: str

    @abstractmethod
    def kraus(self, n_qubits: int) -> ComplexArray:
        """Kraus operators (K, 2^n, 2^n); qubit 0 is the lowest bit of an index."""


class DepolarizingChannel(Channel):
    """ρ → (1 − p) ρ + p I/2^n tr ρ.

    Args:
        p: Qiskit Aer's convention: the probability that the state is lost, from 0 to
            4^n/(4^n − 1). Each Pauli string but the identity has probability p/4^n. Cirq's and
            PennyLane's number for the same channel is p (4^n − 1)/4^n: 0.075 for p = 0.1 on one
            qubit.
    """

    n_qubits: ClassVar[int | None] = None

    name: Literal["depolarizing"] = "depolarizing"
    p: float = Field(ge=0.0, le=4 / 3)

    def kraus(self, n_qubits: int) -> ComplexArray:
        """√p_P P for every Pauli string P.

        Raises:
            ConfigError: p is larger than a channel of so many qubits has.
        """
        size = 4**n_qubits
        if self.p > size / (size - 1):
            raise ConfigError(
                f"a depolarizing channel of {n_qubits} qubits has p ≤ {size}/{size - 1}",
                field="p",
                value=self.p,
                fix="For a probability in the convention of PennyLane or Cirq, use "
                "DepolarizingChannel.from_error.",
            )
        weights = np.full(size, self.p / size)
        weights[0] = max(0.0, 1.0 - self.p * (size - 1) / size)
        return kraus_of(weights, n_qubits)

    @classmethod
    def from_error(cls, p: float, n_qubits: int = 1) -> DepolarizingChannel:
        """From the probability that an error happens: the convention of Cirq, PennyLane, Braket.

        Raises:
            ConfigError: not between 0 and 1.
        """
        if not 0.0 <= p <= 1.0:
            raise ConfigError("a probability is between 0 and 1", field="p", value=p)
        return cls(p=p * 4**n_qubits / (4**n_qubits - 1))


class BitFlipChannel(Channel):
    """X with probability p."""

    name: Literal["bit_flip"] = "bit_flip"
    p: Probability

    def kraus(self, n_qubits: int) -> ComplexArray:
        """√(1 − p) I and √p X."""
        return kraus_of(np.array([1 - self.p, self.p, 0.0, 0.0]), 1)


class PhaseFlipChannel(Channel):
    """Z with probability p."""

    name: Literal["phase_flip"] = "phase_flip"
    p: Probability

    def kraus(self, n_qubits: int) -> ComplexArray:
        """√(1 − p) I and √p Z."""
        return kraus_of(np.array([1 - self.p, 0.0, self.p, 0.0]), 1)


class BitPhaseFlipChannel(Channel):
    """Y with probability p."""

    name: Literal["bit_phase_flip"] = "bit_phase_flip"
    p: Probability

    def kraus(self, n_qubits: int) -> ComplexArray:
        """√(1 − p) I and √p Y."""
        return kraus_of(np.array([1 - self.p, 0.0, 0.0, self.p]), 1)


class PauliChannel(Channel):
    """A Pauli string with its probability; what is left of 1 is the identity's.

    Args:
        probabilities: string → probability. The first letter is the gate's first qubit.
    """

    n_qubits: ClassVar[int | None] = None

    name: Literal["pauli"] = "pauli"
    probabilities: dict[str, Probability] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_a_distribution(self) -> PauliChannel:
        lengths = {len(string) for string in self.probabilities}
        letters = set("".join(self.probabilities)) - set(PAULIS)
        if letters or len(lengths) != 1 or not lengths <= {1, 2}:
            raise ConfigError(
                "Pauli strings have one or two letters of I, X, Y, Z, all of one length",
                field="probabilities",
                value=list(self.probabilities),
                fix='Write for example {"X": 0.01} or {"XX": 0.01, "ZI": 0.02}.',
            )
        total = sum(p for string, p in self.probabilities.items() if set(string) != {"I"})
        given = sum(self.probabilities.values())
        if total > 1.0 + 1e-12 or given > 1.0 + 1e-12:
            raise ConfigError(
                "the probabilities add up to more than 1", field="probabilities", value=given
            )
        return self

    def kraus(self, n_qubits: int) -> ComplexArray:
        """√p_P P for every Pauli string P.

        Raises:
            ConfigError: the strings are of another number of qubits.
        """
        (length,) = {len(string) for string in self.probabilities}
        if length != n_qubits:
            raise ConfigError(
                f"strings of {length} letters do not fit a gate of {n_qubits} qubits",
                field="probabilities",
                value=list(self.probabilities),
                fix="Give the noise of one- and two-qubit gates in two entries.",
            )
        weights = np.zeros(4**n_qubits)
        order = list(PAULIS)
        for string, p in self.probabilities.items():
            weights[sum(order.index(letter) << 2 * q for q, letter in enumerate(string))] += p
        weights[0] = max(0.0, 1.0 - weights[1:].sum())
        return kraus_of(weights, n_qubits)


class AmplitudeDampingChannel(Channel):
    """|1⟩ decays to |0⟩ with probability gamma. No Pauli channel: it can be twirled."""

    name: Literal["amplitude_damping"] = "amplitude_damping"
    gamma: Probability

    def kraus(self, n_qubits: int) -> ComplexArray:
        """diag(1, √(1 − γ)) and √γ |0⟩⟨1|."""
        return np.array(
            [[[1, 0], [0, math.sqrt(1 - self.gamma)]], [[0, math.sqrt(self.gamma)], [0, 0]]],
            complex,
        )


class PhaseDampingChannel(Channel):
    """The coherence is multiplied by √(1 − gamma): Z with probability (1 − √(1 − γ))/2.

    Aer, PennyLane, Cirq and Braket agree on this number.
    """

    name: Literal["phase_damping"] = "phase_damping"
    gamma: Probability

    def kraus(self, n_qubits: int) -> ComplexArray:
        """√(1 − q) I and √q Z, q = (1 − √(1 − γ))/2."""
        flip = (1.0 - math.sqrt(1.0 - self.gamma)) / 2.0
        return kraus_of(np.array([1 - flip, 0.0, flip, 0.0]), 1)


class ThermalRelaxationChannel(Channel):
    """Decay to |0⟩ with time constant T1, and of the coherence with T2, for the time of the gate.

    Args:
        t1, t2: seconds; T2 ≤ 2 T1.
        time: seconds.
    """

    name: Literal["thermal_relaxation"] = "thermal_relaxation"
    t1: float = Field(gt=0.0)
    t2: float = Field(gt=0.0)
    time: float = Field(ge=0.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _is_physical(self) -> ThermalRelaxationChannel:
        if self.t2 > 2 * self.t1 * (1 + 1e-12):
            raise ConfigError(
                f"T2 is at most 2 · T1 = {2 * self.t1:g} s",
                field="t2",
                value=self.t2,
                fix="Check the units: T1, T2 and the time are in seconds.",
            )
        return self

    def kraus(self, n_qubits: int) -> ComplexArray:
        """Amplitude damping by 1 − e^(−t/T1), then what is missing of the decay of coherence."""
        decay = -math.expm1(-self.time / self.t1)
        # e^(−t/T2) = √(1 − γ) · (1 − 2q) with √(1 − γ) = e^(−t/2T1)
        left = math.exp(min(0.0, self.time / (2 * self.t1) - self.time / self.t2))
        flip = (1.0 - left) / 2.0
        damping = AmplitudeDampingChannel(gamma=decay).kraus(1)
        dephasing = kraus_of(np.array([1 - flip, 0.0, flip, 0.0]), 1)
        return np.array([a @ b for a in dephasing for b in damping])


class KrausChannel(Channel):
    """Any channel of one or two qubits: ρ → Σ_k K_k ρ K_k†.

    Args:
        real, imag: the Kraus operators (K, 2^n, 2^n); the gate's first qubit is the lowest bit of
            an index. `imag` may be left out if it is 0.
    """

    n_qubits: ClassVar[int | None] = None

    name: Literal["kraus"] = "kraus"
    real: tuple[tuple[tuple[float, ...], ...], ...] = Field(min_length=1)
    imag: tuple[tuple[tuple[float, ...], ...], ...] | None = None

    @model_validator(mode="after")
    def _keeps_the_trace(self) -> KrausChannel:
        shapes = {(len(k), *map(len, k)) for part in (self.real, self.imag or ()) for k in part}
        if not shapes <= {(2, 2, 2), (4, 4, 4, 4, 4)} or len(shapes) > 1:
            raise ConfigError(
                "Kraus operators are matrices of 2 × 2 or 4 × 4 numbers, all of one size",
                field="real",
                value=sorted(shapes),
            )
        if self.imag is not None and len(self.imag) != len(self.real):
            raise ConfigError(
                f"there are {len(self.real)} real parts and {len(self.imag)} imaginary ones",
                field="imag",
                value=len(self.imag),
            )
        kraus = self._operators()
        total = np.einsum("kba,kbc->ac", kraus.conj(), kraus)
        if np.abs(total - np.eye(len(total))).max() > 1e-6:
            raise ConfigError(
                "the operators do not add up to a channel: Σ K†K is not the identity",
                field="real",
                value=float(np.abs(total - np.eye(len(total))).max()),
            )
        return self

    def kraus(self, n_qubits: int) -> ComplexArray:
        """The operators as they are given.

        Raises:
            ConfigError: the operators are of another number of qubits.
        """
        found = self._operators()
        if found.shape[-1] != 2**n_qubits:
            raise ConfigError(
                f"operators of {found.shape[-1]} rows do not fit a gate of {n_qubits} qubits",
                field="real",
                value=found.shape[-1],
                fix="Give the noise of one- and two-qubit gates in two entries.",
            )
        return found

    def _operators(self) -> ComplexArray:
        found: ComplexArray = np.array(self.real, complex)
        return found if self.imag is None else found + 1j * np.array(self.imag)

    @classmethod
    def from_operators(cls, kraus: ComplexArray) -> KrausChannel:
        """From operators (K, 2^n, 2^n), written with as few of them as can be."""
        dim = kraus.shape[-1]
        vectors = kraus.reshape(len(kraus), dim * dim)
        weights, columns = np.linalg.eigh(vectors.T @ vectors.conj())
        kept = weights > 1e-14
        few = (np.sqrt(weights[kept]) * columns[:, kept]).T.reshape(-1, dim, dim)
        return cls(real=few.real.tolist(), imag=few.imag.tolist())


AnyChannel: TypeAlias = Annotated[
    DepolarizingChannel
    | BitFlipChannel
    | PhaseFlipChannel
    | BitPhaseFlipChannel
    | PauliChannel
    | AmplitudeDampingChannel
    | PhaseDampingChannel
    | ThermalRelaxationChannel
    | KrausChannel,
    Field(discriminator="name"),
]


@lru_cache
def pauli_strings(n_qubits: int) -> ComplexArray:
    """All Pauli strings (4^n, 2^n, 2^n) in the order of a site's outcomes."""
    found = [np.eye(1, dtype=complex)]
    for _ in range(n_qubits):
        found = [np.kron(high, low) for high in PAULIS.values() for low in found]
    return np.array(found)


def twirled(kraus: ComplexArray) -> FloatArray:
    """Probabilities (4^n,) of the Pauli channel that the twirled map is."""
    dim = kraus.shape[-1]
    strings = pauli_strings(dim.bit_length() - 1)
    traces = np.einsum("pij,kji->pk", strings, kraus) / dim
    weights: FloatArray = (np.abs(traces) ** 2).sum(axis=1)
    weights[0] = max(0.0, 1.0 - weights[1:].sum())
    return weights


def is_pauli(kraus: ComplexArray) -> bool:
    """Whether the map is a Pauli channel: its Pauli transfer matrix is diagonal."""
    dim = kraus.shape[-1]
    strings = pauli_strings(dim.bit_length() - 1)
    moved = np.einsum("kab,qbc,kdc->qad", kraus, strings, kraus.conj())
    transfer = np.einsum("pij,qji->pq", strings, moved).real / dim
    return bool(np.abs(transfer - np.diag(np.diag(transfer))).max() < 1e-12)


def kraus_of(weights: FloatArray, n_qubits: int) -> ComplexArray:
    """Kraus operators (K, 2^n, 2^n) of a Pauli channel, from its probabilities (4^n,)."""
    strings = pauli_strings(n_qubits)
    kept = np.flatnonzero(weights)
    found: ComplexArray = np.sqrt(weights[kept])[:, None, None] * strings[kept]
    return found


def process_fidelity(channel: Channel, n_qubits: int) -> float:
    """Σ_k |tr K_k|² / 4^n: how much of the identity is in a channel."""
    traces = np.trace(channel.kraus(n_qubits), axis1=1, axis2=2)
    total = float((np.abs(traces) ** 2).sum())
    found: float = total / 4**n_qubits
    return found


def average_fidelity(channel: Channel, n_qubits: int) -> float:
    """The fidelity of a pure state after the channel, on average over all states."""
    return averaged(process_fidelity(channel, n_qubits), n_qubits)


def averaged(process: float, n_qubits: int) -> float:
    """The average fidelity of a channel with this process fidelity."""
    dim: int = 2**n_qubits
    return (dim * process + 1.0) / (dim + 1.0)
