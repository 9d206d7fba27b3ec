"""A circuit as mitigation rewrites it: gates, each with the channels that follow it.

Rewriting comes after compilation for a device, so that a transpiler cannot take folded gates out
again, and so that gates keep the noise of the device. A rewritten circuit runs with its channels
written at their places (`NoiseConfig.places`). What mitigation adds besides folded gates, such as
the Pauli gates of twirling, has no noise: on a device it merges with the gates beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.device_circuit import AS_IT_IS, DeviceCircuit
from qstore_ray.backends.noise.channels import Channel, average_fidelity
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.device.compiled import CompiledCircuit, compile_for_device
from qstore_ray.backends.noise.entries import ChannelPlace
from qstore_ray.backends.noise.placement import ChannelSite, channel_sites
from qstore_ray.circuits.lower import inverse
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_OWN_INVERSES = frozenset({"h", "x", "y", "z", "cx", "cy", "cz", "ch", "swap", "ccx"})
_ONE_ANGLE = frozenset({"rx", "ry", "rz", "p", "cp", "crx", "cry", "crz", "rxx", "ryy", "rzz"})


class NoisyGate(NamedTuple):
    """A gate and the channels that follow it, each with its qubits."""

    op: Op
    channels: tuple[tuple[Channel, tuple[int, ...]], ...] = ()

    @property
    def error(self) -> float:
        """The average infidelity of its channels, added up."""
        return sum(1.0 - average_fidelity(channel, len(on)) for channel, on in self.channels)


@dataclass(frozen=True, eq=False)
class PlacedCircuit:
    """A circuit whose noise stands at its places. Equal only to itself: it is kept in caches.

    Attributes:
        template: the gates with the angles that they should have.
        gates: the same gates, with their channels.
        noise: of the backend; None if it has none that is known.
        readout: how the qubits of `template` are read wrongly.
        compiled: how the circuit was compiled for a device; None without one.
        origin: the circuit before it was rewritten; None for one that was not.
        on_device: how a backend compiles the circuit that compiles it itself; None for another one.
    """

    template: Template
    gates: tuple[NoisyGate, ...]
    noise: NoiseConfig | None
    readout: NoiseConfig
    compiled: CompiledCircuit | None = None
    origin: PlacedCircuit | None = None
    on_device: DeviceCircuit | None = None

    def rewritten(self, gates: Iterable[NoisyGate], extra_rows: int = 0) -> PlacedCircuit:
        """The same with other gates, and with more row slots after its own."""
        gates = tuple(gates)
        template = replace(
            self.template,
            ops=tuple(gate.op for gate in gates),
            n_rows=self.template.n_rows + extra_rows,
        )
        return replace(self, template=template, gates=gates, origin=self.origin or self)

    def moved(self, observables: Sequence[Observable]) -> tuple[Observable, ...]:
        """The observables on the qubits of `template`."""
        if self.compiled is None:
            return tuple(observables)
        return tuple(self.compiled.moved(observable) for observable in observables)

    @cached_property
    def explicit_noise(self) -> NoiseConfig | None:
        """The backend's noise, for this circuit alone."""
        if self.noise is None:
            return None
        places = tuple(
            ChannelPlace(after=number, qubits=qubits, channel=channel)
            for number, gate in enumerate(self.gates, start=1)
            for channel, qubits in gate.channels
        )
        return NoiseConfig(
            places=places,
            readout=self.readout.readout,
            over_rotation=self.noise.over_rotation,
            twirl=self.noise.twirl,
            trajectories=self.noise.trajectories,
            test_trajectories=self.noise.test_trajectories,
        )

    @cached_property
    def errors(self) -> FloatArray:
        """How much each gate adds to the noise (G,); the same for each if nothing is known."""
        found = np.array([gate.error for gate in self.gates])
        return found if found.any() else np.ones(len(self.gates))


def place_circuit(template: Template, noise: NoiseConfig | None) -> PlacedCircuit:
    """The circuit with the noise behind its gates, compiled for the noise's device if it has one.

    Raises:
        CircuitError, ResourceError: a circuit that the device cannot run.
        ConfigError: the noise names qubits that the circuit lacks.
        BackendError: a channel of all qubits of a gate of three.
    """
    return _placed(template, "" if noise is None else noise.text)


@lru_cache(maxsize=64)
def circuit_for_device(template: Template) -> PlacedCircuit:
    """The circuit as it is, for a backend that compiles it; its noise is not known."""
    gates = tuple(map(NoisyGate, template.ops))
    return PlacedCircuit(template, gates, None, NoiseConfig(), on_device=AS_IT_IS)


@lru_cache(maxsize=64)
def _placed(template: Template, noise_text: str) -> PlacedCircuit:
    if not noise_text:
        gates = tuple(map(NoisyGate, template.ops))
        return PlacedCircuit(template, gates, None, NoiseConfig())
    noise = NoiseConfig.model_validate_json(noise_text)
    if noise.device is None:
        gates = _with_channels(template.ops, channel_sites(template, noise))
        return PlacedCircuit(template, gates, noise, NoiseConfig(readout=noise.readout))
    compiled = compile_for_device(
        template, noise.device, noise.transpiler_seed, noise.optimization_level
    )
    gates = _with_channels(compiled.template.ops, compiled.sites)
    return PlacedCircuit(compiled.template, gates, noise, compiled.readout, compiled)


def _with_channels(ops: Sequence[Op], sites: Iterable[ChannelSite]) -> tuple[NoisyGate, ...]:
    found: list[list[tuple[Channel, tuple[int, ...]]]] = [[] for _ in ops]
    for place, channel, qubits in sites:
        found[place - 1].append((channel, qubits))
    return tuple(NoisyGate(op, tuple(channels)) for op, channels in zip(ops, found, strict=True))


@lru_cache(maxsize=64)
def preparation(circuit: PlacedCircuit, *, ones: bool) -> PlacedCircuit:
    """All qubits of a circuit in 0, or by X gates in 1, with the noise of its backend."""
    n, noise = circuit.template.n_qubits, circuit.noise
    ops = tuple(Op("x", (q,)) for q in range(n)) if ones else ()
    template = Template(n, ops)
    gates = tuple(map(NoisyGate, ops))
    if circuit.on_device is not None:
        on_device = DeviceCircuit(layout_of=circuit.template)
        return PlacedCircuit(template, gates, noise, circuit.readout, on_device=on_device)
    if noise is not None and noise.device is not None and circuit.compiled is not None:
        layout, device = circuit.compiled.layout, noise.device
        known = [device.channels("x", (layout[op.qubits[0]],)) or () for op in ops]
        gates = tuple(
            NoisyGate(op, tuple((channel, op.qubits) for channel, _ in channels))
            for op, channels in zip(ops, known, strict=True)
        )
    elif noise is not None and noise.places is None:
        gates = _with_channels(ops, channel_sites(template, noise))
    return PlacedCircuit(template, gates, noise, circuit.readout)


def undone(gate: NoisyGate) -> tuple[NoisyGate, ...]:
    """The gates that undo one, up to a global phase. The same channels follow the last of them."""
    ops = _inverse(gate.op)
    return (*map(NoisyGate, ops[:-1]), NoisyGate(ops[-1], gate.channels))


def _inverse(op: Op) -> tuple[Op, ...]:
    if op.gate in _OWN_INVERSES:
        return (op,)
    if op.gate in _ONE_ANGLE:
        return (op._replace(angles=(op.angles[0].scaled(-1.0),)),)
    if op.gate == "u":
        theta, phi, lam = (angle.scaled(-1.0) for angle in op.angles)
        return (op._replace(angles=(theta, lam, phi)),)
    slots = [(term.kind, term.slot) for angle in op.angles for term in angle.terms]
    rows = max((slot for kind, slot in slots if kind == "row"), default=-1) + 1
    params = max((slot for kind, slot in slots if kind == "param"), default=-1) + 1
    return inverse(Template(max(op.qubits) + 1, (op,), rows, params)).ops
