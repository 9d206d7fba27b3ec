"""A noise, a device's data and a noisy circuit as text, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qstore_ray.cli.output import facts, table

if TYPE_CHECKING:
    from qstore_ray.backends.noise.config import NoiseConfig
    from qstore_ray.backends.noise.device.compiled import NoisyCircuitRecord
    from qstore_ray.backends.noise.device.device import Device, DeviceGate
    from qstore_ray.types import Table


_NOT_MODELLED = "idle qubits do not decay; the gates before a measurement of X or Y make no error"


def device_record(device: Device, shown: Sequence[int] | None) -> Table:
    """What a device's data say, as JSON-ready values; of some qubits, or of all."""
    every = range(len(device.qubits)) if shown is None else shown
    pairs = [
        gate
        for gate in device.gates
        if gate.qubits is not None and len(gate.qubits) == 2 and set(gate.qubits) <= set(every)
    ]
    return {
        "device": device.name,
        "version": device.version,
        "basis": list(device.basis),
        "n_qubits": len(device.qubits),
        "coupled": device.coupled,
        "twirled": sorted(_no_pauli_channels(device)),
        "clamped_t2": list(device.clamped),
        "faulty": [list(each) for each in device.faulty],
        "left_out": list(device.left_out),
        "gates": [
            {"gate": g.gate, "modelled_error": device.error(g.gate, _any_qubits(g))}
            for g in device.gates
            if g.qubits is None and g.channel is not None
        ],
        "qubits": [
            {
                "qubit": q,
                "t1": device.qubits[q].t1 if q < len(device.qubits) else None,
                "t2": device.qubits[q].t2 if q < len(device.qubits) else None,
                "readout_error": device.readout_error(q) if device.confusion(q) else None,
                "error": _one_qubit_error(device, q),
            }
            for q in every
        ],
        "pairs": [
            {"pair": list(g.qubits or ()), "gate": g.gate, "error": g.error, "time": g.time,
             "modelled_error": device.error(g.gate, g.qubits or ())}
            for g in pairs
        ],
    }  # fmt: skip


def _one_qubit_error(device: Device, qubit: int) -> float | None:
    """Of the worst of its gates."""
    found = [g.error for g in device.gates if g.qubits == (qubit,) and g.error is not None]
    return max(found, default=None)


def _no_pauli_channels(device: Device) -> set[str]:
    from qstore_ray.backends.noise.channels import is_pauli

    return {
        channel.name
        for gate in device.gates
        if gate.qubits is not None or gate.channel is not None
        for channel, places in device.channels(gate.gate, gate.qubits or _any_qubits(gate)) or ()
        if not is_pauli(channel.kraus(len(places)))
    }


def _any_qubits(gate: DeviceGate) -> tuple[int, ...]:
    """Qubits that a gate might act on, if its noise is the same on all."""
    from qstore_ray.backends.noise.device.fake import gate_width

    return tuple(range(gate_width(gate.gate)))


def device_text(told: Table) -> list[str]:
    """What `device_record` holds, as tables."""
    head = [
        ("device", f"{told['device']} {told['version']}".strip()),
        ("qubits", told["n_qubits"] if told["coupled"] else "any number"),
        ("gates", ", ".join(told["basis"])),
        ("twirled", ", ".join(told["twirled"]) or "none, all channels are Pauli channels"),
        ("not modelled", "; ".join([*_listed("errors of", told["left_out"]), _NOT_MODELLED])),
    ]
    if told["clamped_t2"]:
        head.append(
            ("T2 > 2·T1", f"on qubits {', '.join(map(str, told['clamped_t2']))}: 2·T1 is used")
        )
    if told["faulty"]:
        names = ["-".join(map(str, each)) for each in told["faulty"]]
        head.append(("faulty", f"error 1, not used: {', '.join(names)}"))
    text = [facts(head)]
    if told["gates"]:
        rows_of_gates = ((g["gate"], _percent(g["modelled_error"])) for g in told["gates"])
        text.append(table(("gate on any qubits", "error %"), rows_of_gates))
    if told["qubits"]:
        rows = (
            (q["qubit"], _us(q["t1"]), _us(q["t2"]), _percent(q["readout_error"]),
             _percent(q["error"]))
            for q in told["qubits"]
        )  # fmt: skip
        text.append(table(("qubit", "T1 µs", "T2 µs", "readout %", "gate %"), rows))
    if told["pairs"]:
        rows_of_pairs = (
            ("-".join(map(str, p["pair"])), p["gate"], _percent(p["error"]), _ns(p["time"]))
            for p in told["pairs"]
        )
        text.append(table(("pair", "gate", "error %", "time ns"), rows_of_pairs))
    return text


def noise_entries(noise: NoiseConfig) -> list[tuple[str, str]]:
    """A noise that is no device's, entry by entry."""
    found = []
    for entry in noise.gates:
        numbers = entry.channel.to_dict()
        name = numbers.pop("name")
        where = "" if entry.qubits is None else f" on {', '.join(map(str, entry.qubits))}"
        values = ", ".join(f"{key} = {value}" for key, value in numbers.items())
        found.append((f"{entry.on}{where}", f"{name}: {values}"))
    if noise.over_rotation:
        found.append(("over-rotation", str(noise.over_rotation)))
    found.append(("readout", str(noise.to_dict()["readout"])))
    found.append(("twirled", ", ".join(twirled(noise)["twirled"]) or "nothing"))
    return found


def twirled(noise: NoiseConfig) -> dict[str, list[str]]:
    """The names of the one-qubit channels that are twirled to Pauli channels."""
    from qstore_ray.backends.noise.channels import is_pauli

    channels = [entry.channel for entry in noise.gates if entry.channel.n_qubits == 1]
    return {"twirled": sorted({c.name for c in channels if not is_pauli(c.kraus(1))})}


def circuit_facts(circuit: NoisyCircuitRecord) -> Iterable[tuple[str, str]]:
    """How a circuit is compiled, and what the noise leaves of it, as name and text."""
    yield "circuit", _counted(circuit["gates"])
    if "layout" in circuit:
        yield "depth", f"{circuit['depth']}, of two-qubit gates {circuit['two_qubit_depth']}"
        yield "starts on", ", ".join(map(str, circuit["layout"]))
        yield "ends on", ", ".join(map(str, circuit["final_layout"]))
        level, seed = circuit["optimization_level"], circuit["transpiler_seed"]
        yield "transpiler", f"optimization level {level}, seed {seed}"
    yield "without error", _counted(circuit["gates_without_error"]) or "none"
    yield "fidelity", f"{circuit['expected_fidelity']:.3g} expected, with the readout of all qubits"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _listed(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what} {', '.join(names)}"] if names else []


def _us(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e6 * seconds:.1f}"


def _ns(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e9 * seconds:.0f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.3g}"
