"""Qiskit's transpiler on the best qubits of a device.

A circuit of n qubits is compiled for n physical qubits, so that its state stays as small as it is.
Sets of n connected qubits are tried: the one that the transpiler takes on the whole device if it
needs no others, and sets and chains grown from good qubits by the smallest error. The circuit with
the best expected fidelity is taken. Faulty gates are not offered to the transpiler. Sets that it
cannot compile for are left out: Qiskit turns no CX or ECR around if a device has both, each on some
of its pairs in one direction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from qstore_ray.backends.noise.device.device import Device
from qstore_ray.backends.noise.device.qubit_sets import connected_parts, grown_sets
from qstore_ray.circuits.first_import import import_qiskit
from qstore_ray.circuits.template import Op, Template
from qstore_ray.errors import CircuitError, ResourceError, unknown_name_error

_TRIED = 6
"""Grown sets of each kind that are compiled for; each costs some 30 ms for 8 qubits."""


_OFFERED = {"u1": "rz"}
"""Gates that the transpiler gets under another name, the same but for a global phase."""


class Transpiled(NamedTuple):
    """A circuit in the gates of a device.

    Attributes:
        circuit: Qiskit's, on `physical[0]`, `physical[1]`, …
        physical: physical qubit of each of its qubits.
        initial, final: its qubits on which the original qubits start and end.
        names: the device's names of gates that the circuit calls otherwise.
    """

    circuit: Any
    physical: tuple[int, ...]
    initial: tuple[int, ...]
    final: tuple[int, ...]
    names: tuple[tuple[str, str], ...] = ()


def transpile(template: Template, device: Device, seed: int, level: int) -> Transpiled:
    """The circuit on the device's best qubits.

    Raises:
        ResourceError: the device has too few qubits that are connected.
        CircuitError: its gates cannot write the circuit.
    """
    import_qiskit()
    from qstore_ray.circuits.qiskit.qiskit import to_qiskit

    circuit = to_qiskit(_without_phases(template, device))
    n = circuit.num_qubits
    if not device.coupled:
        found = _run(circuit, device, level, seed, basis_gates=list(device.basis))
        return _laid_out(found, tuple(range(n)), n)
    if n > len(device.qubits):
        raise _too_few_error(device, n, len(device.qubits))
    best: tuple[float, Transpiled] | None = None
    failed: CircuitError | None = None
    for physical in _sets(circuit, device, seed, level):
        target = _target(device, physical)
        names = tuple((new, old) for old, new in _offered(device).items())
        try:
            found = _laid_out(_run(circuit, device, level, seed, target=target), physical, n)
        except CircuitError as exc:
            failed = exc
            continue
        found = found._replace(names=names)
        fidelity = expected_fidelity(found, device)
        if best is None or fidelity > best[0]:
            best = fidelity, found
    if best is None:
        if failed is not None:
            raise failed
        raise _too_few_error(device, n, max(map(len, connected_parts(device)), default=0))
    return best[1]


def _without_phases(template: Template, device: Device) -> Template:
    """The circuit in gates whose translation has no global phase that depends on an angle.

    Qiskit 2.6 adds such phases up as one expression: minutes for 30 P gates with parameters, where
    as many RZ take milliseconds.
    """
    ops: list[Op] = []
    for op in template.ops:
        if op.gate == "p":
            ops.append(op._replace(gate="rz"))
        elif op.gate == "u" and not {"u", "u3"} & set(device.basis):
            theta, phi, lam = op.angles
            turns = (("rz", lam), ("ry", theta), ("rz", phi))
            ops += [Op(gate, op.qubits, (angle,)) for gate, angle in turns]
        elif op.gate == "cp":
            half = op.angles[0].scaled(0.5)
            ops += [Op("rz", (qubit,), (half,)) for qubit in op.qubits]
            ops.append(Op("rzz", op.qubits, (half.scaled(-1.0),)))
        else:
            ops.append(op)
    return replace(template, ops=tuple(ops))


def expected_fidelity(found: Transpiled, device: Device) -> float:
    """The product of 1 − error over all gates and all readouts."""
    product = 1.0
    for name, qubits in device_gates(found):
        product *= 1.0 - device.error(name, qubits)
    for place in found.final:
        product *= 1.0 - device.readout_error(found.physical[place])
    return product


def device_gates(found: Transpiled) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names of the gates, in order, with their physical qubits."""
    number = {qubit: k for k, qubit in enumerate(found.circuit.qubits)}
    names = dict(found.names)
    for instruction in found.circuit.data:
        name = instruction.operation.name
        if name != "barrier":
            places = (number[qubit] for qubit in instruction.qubits)
            yield names.get(name, name), tuple(found.physical[k] for k in places)


def _run(circuit: Any, device: Device, level: int, seed: int, **to: Any) -> Any:
    from qiskit import transpile as qiskit_transpile
    from qiskit.exceptions import QiskitError

    try:
        return qiskit_transpile(circuit, optimization_level=level, seed_transpiler=seed, **to)
    except QiskitError as exc:
        raise _cannot_write_error(device, exc.message) from exc


def _cannot_write_error(device: Device, said: str) -> CircuitError:
    pairs = Counter(gate.gate for gate in device.gates if gate.qubits and len(gate.qubits) == 2)
    names = [f"{name} on {pairs[name]} pairs" if name in pairs else name for name in device.basis]
    return CircuitError(
        f"the circuit cannot be written in the gates of the device, which has {', '.join(names)}. "
        f"Qiskit's transpiler says: {said.rstrip('. ')}",
        field="device",
        value=device.name,
        fix="Take a device that has one gate of two qubits on all of its pairs, and turns of one "
        "qubit about two axes: fake_torino has cz, rz, sx and x.",
    )


def _laid_out(circuit: Any, physical: tuple[int, ...], n: int) -> Transpiled:
    every = tuple(range(n))
    if circuit.layout is None:
        return Transpiled(circuit, physical, every, every)
    initial = tuple(circuit.layout.initial_index_layout(filter_ancillas=True))
    return Transpiled(circuit, physical, initial, tuple(circuit.layout.final_index_layout()))


def _target(device: Device, physical: tuple[int, ...]) -> Any:
    """Qiskit's target of some qubits of a device, numbered as they are given."""
    from qiskit.circuit import Measure
    from qiskit.circuit.library import get_standard_gate_name_mapping
    from qiskit.transpiler import InstructionProperties, Target

    number = {qubit: k for k, qubit in enumerate(physical)}
    gates = get_standard_gate_name_mapping()
    target = Target(num_qubits=len(physical))
    for name in device.basis:
        if name not in gates:
            raise unknown_name_error("gate", name, gates, field="device.basis")
        places: dict[tuple[int, ...], Any] = {}
        for gate in device.gates:
            if gate.gate != name or gate.is_faulty:
                continue
            properties = InstructionProperties(duration=gate.time, error=gate.error)
            if gate.qubits is None:
                places |= {(k,): properties for k in range(len(physical))}
            elif all(q in number for q in gate.qubits):
                places[tuple(number[q] for q in gate.qubits)] = properties
        if places:
            target.add_instruction(gates[_offered(device).get(name, name)], places)
    readout = {
        (k,): InstructionProperties(error=device.readout_error(q)) for k, q in enumerate(physical)
    }
    target.add_instruction(Measure(), readout)
    return target


def _offered(device: Device) -> dict[str, str]:
    return {
        old: new for old, new in _OFFERED.items() if old in device.basis and new not in device.basis
    }


def _sets(circuit: Any, device: Device, seed: int, level: int) -> Iterator[tuple[int, ...]]:
    """Sets of n connected qubits, each once."""
    n = circuit.num_qubits
    tried: set[tuple[int, ...]] = set()
    large = [part for part in connected_parts(device) if len(part) >= n]
    if large:
        used = _chosen(circuit, device, max(large, key=len), seed, max(level, 1))
        if len(used) == n:
            tried.add(used)
            yield used
    for chain in (False, True):
        for grown in grown_sets(device, n, chain=chain)[:_TRIED]:
            if grown not in tried:
                tried.add(grown)
                yield grown


def _chosen(
    circuit: Any, device: Device, whole: tuple[int, ...], seed: int, level: int
) -> tuple[int, ...]:
    """The qubits that the transpiler takes of these; none if it cannot compile for them."""
    try:
        compiled = _run(circuit, device, level, seed, target=_target(device, whole))
    except CircuitError:
        return ()  # smaller sets may do; if none does, the error of the last one is raised
    found = _laid_out(compiled, whole, circuit.num_qubits)
    used = {q for _, qubits in device_gates(found) for q in qubits}
    used |= {whole[k] for k in (*found.initial, *found.final)}
    return tuple(sorted(used))


def _too_few_error(device: Device, n: int, there: int) -> ResourceError:
    pairs = {tuple(sorted(g.qubits)) for g in device.gates if g.qubits and len(g.qubits) == 2}
    broken, known = len(pairs - set(device.pairs)), len(device.qubits)
    why = (
        f" of {known}: {broken} of its {len(pairs)} pairs have a gate error of 1" if broken else ""
    )
    return ResourceError(
        f"{device.name} has {there} connected qubits that work{why}, the circuit needs {n}",
        field="n_qubits",
        value=n,
        fix="Take fewer qubits, or another device.",
    )
