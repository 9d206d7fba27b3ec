"""Where the errors of a circuit may happen, and with which probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.noise.channels import Channel, is_pauli, twirled
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.entries import ChannelPlace
from qstore_ray.circuits.template import Op, Template
from qstore_ray.errors import BackendError, ConfigError
from qstore_ray.simulate.compile.signed_program import Site

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_ROTATIONS = frozenset({"rx", "ry", "rz", "p", "rxx", "ryy", "rzz", "crx", "cry", "crz", "cp"})


@dataclass(frozen=True)
class PauliErrors:
    """The places of a circuit's random Pauli errors.

    Attributes:
        sites: in the order of the circuit; channels one after another on a gate's qubits are one.
        probabilities: of each site's outcomes (4^k,), I first.
        twirled: names of the channels that were replaced by their Pauli twirl.
    """

    sites: tuple[Site, ...]
    probabilities: tuple[FloatArray, ...]
    twirled: tuple[str, ...]


def noisy_template(template: Template, noise: NoiseConfig) -> Template:
    """The circuit with the angles that its rotation gates really have."""
    if not noise.over_rotation:
        return template
    factor = 1.0 + noise.over_rotation
    ops = tuple(
        Op(op.gate, op.qubits, tuple(a.scaled(factor) for a in op.angles))
        if op.gate in _ROTATIONS
        else op
        for op in template.ops
    )
    return replace(template, ops=ops)


class ChannelSite(NamedTuple):
    """A channel after the first `place` gates of a circuit."""

    place: int
    channel: Channel
    qubits: tuple[int, ...]


def channel_sites(template: Template, noise: NoiseConfig) -> list[ChannelSite]:
    """Every channel of a circuit, in the order in which they act.

    Raises:
        ConfigError: the noise names qubits that the circuit lacks.
        BackendError: a channel of all qubits of a gate of three; the noise of a device.
    """
    if noise.n_qubits > template.n_qubits:
        raise ConfigError(
            f"the noise is for {noise.n_qubits} qubits, the circuit has {template.n_qubits}",
            field="noise",
            value=noise.n_qubits,
            fix="Name only qubits of the circuit; the first is 0.",
        )
    if noise.device is not None:
        raise BackendError(
            "the noise of a device acts on circuits that are compiled for it",
            field="noise.device",
            value=noise.device.name,
            fix="Take backend = 'statevector', which compiles circuits for a device.",
        )
    if noise.places is not None:
        return [_site(place, template) for place in noise.places]
    return [
        ChannelSite(place, entry.channel, qubits)
        for place, op in enumerate(template.ops, start=1)
        for entry in noise.gates
        if entry.follows(op.gate, op.qubits)
        for qubits in _targets(entry.channel, op.qubits)
    ]


def _site(place: ChannelPlace, template: Template) -> ChannelSite:
    if place.after > len(template.ops):
        raise ConfigError(
            f"a channel after {place.after} gates, the circuit has {len(template.ops)}",
            field="noise.places",
            value=place.after,
            fix="Give the noise with the circuit that it was written for.",
        )
    return ChannelSite(place.after, place.channel, place.qubits)


def pauli_errors(template: Template, noise: NoiseConfig) -> PauliErrors:
    """Where Pauli errors may happen in a circuit.

    Raises:
        ConfigError: the noise names qubits that the circuit lacks.
        BackendError: a channel that is no Pauli channel, and `twirl` is not set.
    """
    return errors_at(channel_sites(template, noise), twirl=noise.twirl)


def errors_at(placed: Sequence[ChannelSite], *, twirl: bool) -> PauliErrors:
    """The random Pauli errors of channels at their places.

    Raises:
        BackendError: a channel that is no Pauli channel, without `twirl`.
    """
    sites: list[Site] = []
    probabilities: list[FloatArray] = []
    changed: set[str] = set()
    for place, channel, qubits in placed:
        weights, is_twirled = _pauli_weights(channel, len(qubits))
        if is_twirled:
            changed.add(channel.name)
        if weights[0] == 1.0:
            continue
        if sites and sites[-1].after == place and set(qubits) <= set(sites[-1].qubits):
            inside = _widened(weights, qubits, sites[-1].qubits)
            probabilities[-1] = _one_after_another(probabilities[-1], inside)
        else:
            sites.append(Site(place, qubits))
            probabilities.append(weights)
    if changed and not twirl:
        raise BackendError(
            f"{', '.join(sorted(changed))}: no Pauli channel, which is all that the exact engine "
            "can follow",
            field="noise.twirl",
            value=False,
            fix="Set twirl = true to replace it by its Pauli twirl, or take backend = 'aer' with "
            "method = 'density_matrix'.",
        )
    return PauliErrors(tuple(sites), tuple(probabilities), tuple(sorted(changed)))


def _widened(weights: FloatArray, qubits: tuple[int, ...], onto: tuple[int, ...]) -> FloatArray:
    """Probabilities of the outcomes of some qubits as those of more."""
    codes = np.arange(len(weights))
    wide = np.zeros_like(codes)
    for k, qubit in enumerate(qubits):
        wide |= (codes >> 2 * k & 3) << 2 * onto.index(qubit)
    found: FloatArray = np.zeros(4 ** len(onto))
    found[wide] = weights
    return found


def _one_after_another(first: FloatArray, then: FloatArray) -> FloatArray:
    """Of the products of two random strings: I, X, Z, Y are 0 to 3, and a product is their XOR."""
    codes = np.arange(len(first))
    found: FloatArray = first[codes[:, None] ^ codes] @ then
    return found


def _targets(channel: Channel, qubits: tuple[int, ...]) -> list[tuple[int, ...]]:
    if channel.n_qubits == 1 or len(qubits) == 1:
        return [(qubit,) for qubit in qubits]
    if len(qubits) > 2:
        raise BackendError(
            f"a channel of all qubits of a gate acts on one or two, not on {len(qubits)}",
            field="noise.gates",
            value=channel.name,
            fix="Take gates of one and two qubits, or a channel that acts on each qubit.",
        )
    return [qubits]


def _pauli_weights(channel: Channel, n_qubits: int) -> tuple[FloatArray, bool]:
    """Probabilities of the outcomes, and whether the channel is more than them."""
    kraus = channel.kraus(n_qubits)
    return twirled(kraus), not is_pauli(kraus)
