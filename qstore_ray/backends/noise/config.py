"""Noise as data: which channels follow which gates, and how often a readout is wrong.

    [trainer.noise]
    trajectories = 1
    readout = 0.02

    [[trainer.noise.gates]]
    on = "two_qubit"
    channel = {name = "depolarizing", p = 0.01}

or that of a device, which acts on the circuit compiled for the device:

    [trainer.noise]
    device = "fake_torino"
    twirl = true

A job, a run's fingerprint and a model file hold it as it is written here, but for a device's name:
they hold the calibration data that it stood for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from qstore_ray.backends.noise.device.device import Device
from qstore_ray.backends.noise.device.read import read_device
from qstore_ray.backends.noise.entries import (
    ChannelPlace,
    Confusion,
    GateNoise,
    check_confusion,
)
from qstore_ray.circuits.gates import GATES
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, under

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, ReadOnlyTable


class NoiseConfig(Config):
    """What a circuit suffers: channels after gates, rotations that are too large, wrong readout.

    Args:
        gates: channels after gates, in the order in which they act.
        over_rotation: every angle of a rotation gate is (1 + over_rotation) times what it should
            be: a constant, coherent error.
        readout: probability that a qubit is read wrongly, the same for 0 and 1; or a confusion
            matrix P(read i | prepared j) for all qubits; or one of both for each named qubit.
        trajectories: random trajectories of a row at each evaluation in training.
        test_trajectories: the same for validation and test.
        device: the noise of a device, in place of `gates`, `over_rotation` and `readout`: the name
            of a backend (`fake_torino`), a Qiskit backend, or its data as a `Device`. Circuits are
            compiled for it, each for its best qubits.
        transpiler_seed: seed of this compilation.
        optimization_level: of Qiskit's transpiler, 0 to 3.
        places: channels at places of one circuit, in place of `gates` and `device`: what error
            mitigation writes for a circuit that it has rewritten.
        twirl: replace channels that are no Pauli channels by their Pauli twirl. Without it they are
            an error on a backend that has Pauli noise alone.

    Examples:
        noise = NoiseConfig(gates=[{"channel": {"name": "bit_flip", "p": 0.01}}], readout=0.02)
        assert noise.gates[0].follows("rx", (0,))
    """

    gates: tuple[GateNoise, ...] = ()
    over_rotation: float = Field(default=0.0, gt=-1.0, lt=1.0)
    readout: float | Confusion | dict[int, float | Confusion] = 0.0
    trajectories: int = Field(default=1, ge=1)
    test_trajectories: int = Field(default=16, ge=1)
    twirl: bool = False
    device: Device | None = None
    places: tuple[ChannelPlace, ...] | None = None
    transpiler_seed: int = Field(default=0, ge=0, lt=2**31)
    optimization_level: Literal[0, 1, 2, 3] = 3

    @field_validator("device", mode="before")
    @classmethod
    def _is_data(cls, device: Any) -> Any:
        is_written = isinstance(device, dict) and not {"errors", "backend_name"} & set(device)
        return device if device is None or is_written else read_device(device)

    @model_validator(mode="after")
    def _is_the_device_alone(self) -> NoiseConfig:
        if self.device is None:
            return self
        for field in ("gates", "over_rotation", "readout", "places"):
            if getattr(self, field) != type(self).model_fields[field].default:
                raise ConfigError(
                    f"the device {self.device.name} brings its own {field}",
                    field=field,
                    value=getattr(self, field),
                    fix=f"Leave {field} out, or leave device out.",
                )
        return self

    @model_validator(mode="after")
    def _is_in_places_alone(self) -> NoiseConfig:
        if self.places is not None and self.gates:
            raise ConfigError(
                "channels follow gates, or stand at places of one circuit",
                field="gates",
                value=[entry.on for entry in self.gates],
                fix="Leave gates out, or leave places out.",
            )
        return self

    @field_validator("readout")
    @classmethod
    def _are_confusions(cls, readout: Any) -> Any:
        if not isinstance(readout, dict):
            check_confusion(readout, "")
            return readout
        for qubit, entry in readout.items():
            if qubit < 0:
                raise ConfigError("qubits are numbers from 0", value=qubit)
            check_confusion(entry, str(qubit))
        return readout

    @model_validator(mode="after")
    def _fits_gates(self) -> NoiseConfig:
        """Check every channel on the widths of gates that it follows."""
        for place, entry in enumerate(self.gates):
            width = GATES[entry.on].n_qubits if entry.on in GATES else 0
            widths = {"one_qubit": (1,), "two_qubit": (2,), "all": ()}.get(entry.on, (width,))
            for n_qubits in widths:
                if entry.qubits is not None and len(entry.qubits) != n_qubits:
                    raise ConfigError(
                        f"{entry.on} acts on {n_qubits} qubits",
                        field=f"gates.{place}.qubits",
                        value=list(entry.qubits),
                    )
                if entry.channel.n_qubits is None and n_qubits <= 2:
                    with under(f"gates.{place}.channel"):
                        entry.channel.kraus(n_qubits)
        return self

    def confusion(self, qubit: int) -> FloatArray:
        """P(read i | prepared j) of a qubit, (2, 2)."""
        entry: Any = self.readout
        if isinstance(entry, dict):
            entry = entry.get(qubit, 0.0)
        if isinstance(entry, float | int):
            return np.array([[1.0 - entry, entry], [entry, 1.0 - entry]])
        return np.array(entry, float)

    @cached_property
    def text(self) -> str:
        """The noise as JSON, written once: a key of compiled circuits."""
        return self.model_dump_json(exclude_none=True)

    @property
    def has_channels(self) -> bool:
        """Whether errors happen before the readout."""
        return bool(self.gates or self.places) or self.device is not None

    @property
    def n_qubits(self) -> int:
        """The least number of qubits of a circuit that has all qubits named here."""
        named = [q for entry in self.gates for q in entry.qubits or ()]
        named += [q for place in self.places or () for q in place.qubits]
        if isinstance(self.readout, dict):
            named += list(self.readout)
        return max(named, default=-1) + 1


def read_noise(noise: NoiseConfig | ReadOnlyTable | None) -> NoiseConfig | None:
    """The noise that a backend's option describes.

    Raises:
        ConfigError: it is neither a table nor a `NoiseConfig`.
    """
    if isinstance(noise, Mapping):
        return NoiseConfig.from_dict(dict(noise))
    if noise is not None and not isinstance(noise, NoiseConfig):
        raise ConfigError(
            "noise is a table, or an object of NoiseConfig",
            field="noise",
            value=noise,
            fix="Write for example { readout = 0.02 }, or "
            "{ device = 'fake_torino', twirl = true }.",
        )
    return noise
