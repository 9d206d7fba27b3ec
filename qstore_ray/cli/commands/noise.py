"""`qstore noise`: what a device or a noise file says, and what it leaves of a job's circuit."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands.train import Set, read_job
from qstore_ray.cli.output import AsJson, examples, facts, say, say_json, table
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.backends.noise.config import NoiseConfig
    from qstore_ray.backends.noise.device.compiled import NoisyCircuitRecord
    from qstore_ray.backends.noise.device.device import Device, DeviceGate

app = typer.Typer(
    help="Show the noise of devices and noise files.",
    epilog=examples("noise show fake_torino", "noise show noise.toml --job jobs/digits.toml"),
)

_NOT_MODELLED = "idle qubits do not decay; the gates before a measurement of X or Y make no error"


@app.command(
    "show",
    epilog=examples(
        "noise show fake_torino",
        "noise show fake_torino --job jobs/digits.toml",
        "noise show saved_properties.json --json",
    ),
)
def show(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|BACKEND",
            help="A fake backend such as fake_torino, saved properties or a noise model (.json), "
            "or a noise table or job (.toml).",
        ),
    ],
    job: Annotated[
        str | None,
        typer.Option(
            "--job", metavar="JOB.toml", help="Show what the noise leaves of this job's circuit."
        ),
    ] = None,
    changes: Set = None,
    as_json: AsJson = False,
) -> None:
    """Print what a noise says of each qubit, pair and gate.

    With a job, its circuit is compiled for the device, and only the qubits it uses are shown.
    """
    if job is None and changes:
        raise ConfigError(
            "fields of a job are changed, and there is no job", field="--set", fix="Add --job."
        )
    noise = _read(source)
    circuit = None if job is None else _on_circuit(noise, job, changes or [])
    if noise.device is None:
        told: dict[str, Any] = {"noise": noise.to_dict(), **_twirl(noise)}
        text = [facts(_entries(noise))]
    else:
        shown = sorted(circuit["layout"]) if circuit is not None else None
        told = _told(noise.device, shown)
        text = _described(told)
    if as_json:
        say_json(told if circuit is None else {**told, "circuit": circuit})
        return
    if circuit is not None:
        text.append(facts(_of_circuit(circuit)))
    say("\n\n".join(text))


def _read(source: str) -> NoiseConfig:
    from qstore_ray.backends.noise.config import NoiseConfig
    from qstore_ray.config import read_toml

    if not source.endswith(".toml"):
        return NoiseConfig(device=source, twirl=True)
    values = read_toml(Path(source))
    if "trainer" in values:
        values = values["trainer"].get("noise") or {}
        if not values:
            raise ConfigError(
                "the job has no noise",
                field="trainer.noise",
                value=source,
                fix="Give a job with a table [trainer.noise], or the name of a backend.",
            )
    return NoiseConfig.from_dict(values)


def _on_circuit(noise: NoiseConfig, job: str, changes: list[str]) -> NoisyCircuitRecord:
    """How the job's circuit is compiled, and its expected fidelity under the noise."""
    from qstore_ray.backends.noise.placed import place_noise
    from qstore_ray.data.loader import DatasetLoader
    from qstore_ray.estimate import job_model

    config = read_job(job, changes)
    with contextlib.redirect_stdout(sys.stderr):
        model = job_model(config, DatasetLoader.load(config.dataset))
    placed = place_noise(model.circuit.template, model.observables, noise)
    return placed.record()


def _told(device: Device, shown: Sequence[int] | None) -> dict[str, Any]:
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


def _described(told: dict[str, Any]) -> list[str]:
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


def _entries(noise: NoiseConfig) -> list[tuple[str, str]]:
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
    found.append(("twirled", ", ".join(_twirl(noise)["twirled"]) or "nothing"))
    return found


def _twirl(noise: NoiseConfig) -> dict[str, list[str]]:
    from qstore_ray.backends.noise.channels import is_pauli

    channels = [entry.channel for entry in noise.gates if entry.channel.n_qubits == 1]
    return {"twirled": sorted({c.name for c in channels if not is_pauli(c.kraus(1))})}


def _of_circuit(circuit: NoisyCircuitRecord) -> Iterable[tuple[str, str]]:
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
