"""`qstore noise`: what a device or a noise file says, and what it leaves of a job's circuit."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands.train import Set, read_job
from qstore_ray.cli.output import AsJson, examples, facts, say, say_json
from qstore_ray.cli.shared.noise_text import (
    circuit_facts,
    device_record,
    device_text,
    noise_entries,
    twirled,
)
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.backends.noise.config import NoiseConfig
    from qstore_ray.backends.noise.device.compiled import NoisyCircuitRecord

app = typer.Typer(
    help="Show the noise of devices and noise files, and save a device's calibration.",
    epilog=examples(
        "noise show fake_torino",
        "noise show noise.toml --job jobs/digits.toml",
        "noise save ibm_fez --account work --output fez.json",
    ),
)


def _option(name: str, metavar: str, said: str) -> Any:
    return typer.Option(name, metavar=metavar, help=said)


@app.command(
    "save",
    epilog=examples(
        "noise save ibm_fez --account work --output fez.json",
        "noise save ibm_fez --token-file ~/.ibm-key --instance my-instance --output fez.json",
    ),
)
def save(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="A backend of the account.")],
    output: Annotated[str, typer.Option(metavar="FILE", help="The .json file to write.")],
    account: Annotated[str | None, _option("--account", "NAME", "A saved account.")] = None,
    token_file: Annotated[
        str | None, _option("--token-file", "FILE", "A file with the API key, of mode 0600.")
    ] = None,
    instance: Annotated[str | None, _option("--instance", "NAME", "A name or CRN.")] = None,
    channel: Annotated[str | None, _option("--channel", "NAME", "Of the service.")] = None,
    url: Annotated[str | None, _option("--url", "URL", "Of the service, if not IBM's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Save the calibration that a device of IBM Quantum has now.

    A job uses it as noise, `noise = { device = "fez.json" }`. This signs in; nothing is submitted.
    """
    from qstore_ray.backends.ibm.service.account import IbmAccount
    from qstore_ray.backends.ibm.service.calibration import read_calibration
    from qstore_ray.backends.noise.device.read import save_device
    from qstore_ray.cli.shared.models import check_output

    check_output(output)
    given = {
        "account": account, "token_file": token_file, "instance": instance,
        "channel": channel, "url": url,
    }  # fmt: skip
    found = read_calibration(IbmAccount.from_dict(given), device)
    path = save_device(found, output)
    if as_json:
        say_json({"file": str(path), **device_record(found, ())})
        return
    said = [
        ("device", found.name),
        ("calibration", found.version),
        ("qubits", len(found.qubits)),
        ("faulty", ", ".join("-".join(map(str, each)) for each in found.faulty) or "none"),
        ("file", path),
    ]
    say(facts(said))


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
        told: dict[str, Any] = {"noise": noise.to_dict(), **twirled(noise)}
        text = [facts(noise_entries(noise))]
    else:
        shown = sorted(circuit["layout"]) if circuit is not None else None
        told = device_record(noise.device, shown)
        text = device_text(told)
    if as_json:
        say_json(told if circuit is None else {**told, "circuit": circuit})
        return
    if circuit is not None:
        text.append(facts(circuit_facts(circuit)))
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
