"""Circuits compiled for a device: our template in its gates, with the channels behind them.

    compiled = compile_for_device(template, read_device("fake_torino"))
    compiled.template        the same row and parameter slots, on as many qubits
    compiled.moved(z)        the observable on the qubits where the circuit's qubits end
    compiled.sites           the channels, each after its gate
    compiled.record()        layout, gates, depth, seed, expected fidelity

Exact values of the compiled template with the moved observables are those of the original.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NotRequired, TypedDict

from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.device.device import Device
from qstore_ray.backends.noise.device.transpile import (
    Transpiled,
    device_gates,
    expected_fidelity,
    transpile,
)
from qstore_ray.backends.noise.entries import Confusion
from qstore_ray.backends.noise.placement import ChannelSite
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Op, Template
from qstore_ray.errors import CircuitError


class NoisyCircuitRecord(TypedDict):
    """A circuit as its noise meets it, JSON-ready; a compiled one has all keys."""

    gates: dict[str, int]
    gates_without_error: dict[str, int]
    expected_fidelity: float
    device: NotRequired[str]
    layout: NotRequired[list[int]]
    final_layout: NotRequired[list[int]]
    depth: NotRequired[int]
    two_qubit_depth: NotRequired[int]
    transpiler_seed: NotRequired[int]
    optimization_level: NotRequired[int]
    idle_qubits_decay: NotRequired[bool]


@dataclass(frozen=True, eq=False)
class CompiledCircuit:
    """A circuit in the gates of a device.

    Attributes:
        template: on n qubits; qubit k starts as qubit k of the original.
        device: name of the device.
        layout: physical qubit of each qubit.
        final: the qubit on which each qubit of the original ends.
        sites: the channels, in the order in which they act.
        confusions: of each qubit; None if it is read rightly.
        gates: the device's gates and how many there are of each.
        without_error: gates of which the device knows no error, and how many.
        depth: layers of gates; `two_qubit_depth`: of those on two qubits.
        expected_fidelity: the product of 1 − error over gates and readouts.
        seed, level: of the transpiler.
    """

    template: Template
    device: str
    layout: tuple[int, ...]
    final: tuple[int, ...]
    sites: tuple[ChannelSite, ...]
    confusions: tuple[Confusion | None, ...]
    gates: dict[str, int]
    without_error: dict[str, int]
    depth: int
    two_qubit_depth: int
    expected_fidelity: float
    seed: int
    level: int

    def moved(self, observable: Observable) -> Observable:
        """The observable on the qubits where those of the original end."""
        terms = (
            PauliTerm(_moved(x, self.final), _moved(z, self.final), c)
            for x, z, c in observable.terms
        )
        return Observable(tuple(terms))

    @property
    def readout(self) -> NoiseConfig:
        """The wrong readout of its qubits, as a noise without gates."""
        known = {k: c for k, c in enumerate(self.confusions) if c is not None}
        return NoiseConfig(readout=known) if known else NoiseConfig()

    def record(self) -> NoisyCircuitRecord:
        """What was compiled, as JSON-ready values."""
        return {
            "device": self.device,
            "layout": list(self.layout),
            "final_layout": [self.layout[k] for k in self.final],
            "gates": self.gates,
            "gates_without_error": self.without_error,
            "depth": self.depth,
            "two_qubit_depth": self.two_qubit_depth,
            "expected_fidelity": self.expected_fidelity,
            "transpiler_seed": self.seed,
            "optimization_level": self.level,
            "idle_qubits_decay": False,
        }


def compile_for_device(
    template: Template, device: Device, seed: int = 0, level: int = 3
) -> CompiledCircuit:
    """The circuit on the device's best qubits, in its gates.

    Args:
        seed: of the transpiler; the same seed gives the same circuit.
        level: optimisation level of Qiskit's transpiler, 0 to 3.

    Raises:
        CircuitError: a circuit that starts from amplitudes, or that the gates cannot write.
        ResourceError: the device has too few qubits.
    """
    if template.initial != "zeros":
        raise CircuitError(
            "a device cannot start from amplitudes",
            field="initial",
            value=template.initial,
            fix="Take an encoding by gates, such as angle; or noise of `gates` instead of a "
            "device, which leaves the loading of the amplitudes exact.",
        )
    return _compiled(template, device.model_dump_json(exclude_none=True), seed, level)


@lru_cache(maxsize=64)
def _compiled(template: Template, device_text: str, seed: int, level: int) -> CompiledCircuit:
    device = Device.model_validate_json(device_text)
    found = transpile(template, device, seed, level)
    # Number the qubits so that qubit k starts as the original's.
    number = {place: k for k, place in enumerate(found.initial)}
    physical = tuple(found.physical[place] for place in found.initial)
    ops, sites = _with_channels(found, device, template, number)
    names = Counter(name for name, _ in device_gates(found))
    unknown = Counter(
        name for name, qubits in device_gates(found) if device.channels(name, qubits) is None
    )
    return CompiledCircuit(
        template=replace(template, ops=ops),
        device=device.name,
        layout=physical,
        final=tuple(number[place] for place in found.final),
        sites=sites,
        confusions=tuple(device.confusion(q) for q in physical),
        gates=dict(sorted(names.items())),
        without_error=dict(sorted(unknown.items())),
        depth=found.circuit.depth(),
        two_qubit_depth=found.circuit.depth(lambda each: len(each.qubits) == 2),
        expected_fidelity=expected_fidelity(found, device),
        seed=seed,
        level=level,
    )


def _with_channels(
    found: Transpiled, device: Device, template: Template, number: dict[int, int]
) -> tuple[tuple[Op, ...], tuple[ChannelSite, ...]]:
    """Our gates of the device's gates, with the channels after the last of each."""
    ops: list[Op] = []
    sites: list[ChannelSite] = []
    for (name, physical), lowered in zip(
        device_gates(found), _gate_by_gate(found, template), strict=True
    ):
        ops += [op._replace(qubits=tuple(number[q] for q in op.qubits)) for op in lowered]
        own = {q: k for k, q in enumerate(found.physical)}
        qubits = tuple(number[own[q]] for q in physical)
        for channel, places in device.channels(name, physical) or ():
            sites.append(ChannelSite(len(ops), channel, tuple(qubits[k] for k in places)))
    return tuple(ops), tuple(sites)


def _gate_by_gate(found: Transpiled, template: Template) -> Iterator[tuple[Op, ...]]:
    """Each gate of the device as gates of our table."""
    from qiskit import QuantumCircuit

    from qstore_ray.circuits.qiskit.qiskit import OWN_SLOTS, from_qiskit

    number = {qubit: k for k, qubit in enumerate(found.circuit.qubits)}
    metadata = {OWN_SLOTS: (template.n_rows, template.n_params)}
    for instruction in found.circuit.data:
        if instruction.operation.name == "barrier":
            continue
        single = QuantumCircuit(len(number), metadata=metadata)
        single.append(instruction.operation, [number[q] for q in instruction.qubits])
        yield from_qiskit(single).template.ops


def _moved(mask: int, final: tuple[int, ...]) -> int:
    return sum(1 << place for q, place in enumerate(final) if mask >> q & 1)
