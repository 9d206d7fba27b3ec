"""What runs under a noise: the gates, the channels behind them, and how qubits are read.

The noise of a device acts on the circuit compiled for the device, any other on the circuit as it
is written. Circuits are cached by the text of their noise (`NoiseConfig.text`, "" for none).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.device.compiled import CompiledCircuit, compile_for_device
from qstore_ray.backends.noise.placement import ChannelSite, channel_sites, noisy_template
from qstore_ray.backends.noise.readout import read_wrongly
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template


class NoisyParts(NamedTuple):
    """A circuit under a noise.

    Attributes:
        template: the gates, with the angles that they really have.
        sites: the channels, each after its gate.
        readout: how its qubits are read wrongly; None if they are read rightly.
        twirl: whether the channels are replaced by their Pauli twirls.
        compiled: what the circuit became on a device; None without one.
    """

    template: Template
    sites: tuple[ChannelSite, ...] = ()
    readout: NoiseConfig | None = None
    twirl: bool = False
    compiled: CompiledCircuit | None = None

    def moved(self, observables: tuple[Observable, ...]) -> tuple[Observable, ...]:
        """The observables on the qubits of `template`."""
        if self.compiled is None:
            return observables
        return tuple(self.compiled.moved(observable) for observable in observables)

    def read(self, observables: tuple[Observable, ...]) -> tuple[Observable, ...]:
        """The observables whose exact values are the means of what is read."""
        if self.readout is None:
            return self.moved(observables)
        return tuple(read_wrongly(moved, self.readout) for moved in self.moved(observables))


@lru_cache(maxsize=64)
def noisy_parts(template: Template, noise: str) -> NoisyParts:
    """The circuit under a noise, given as its text.

    Raises:
        ConfigError: the noise names qubits that the circuit lacks.
        BackendError: a channel of all qubits of a gate of three.
        CircuitError, ResourceError: a circuit that the device of the noise cannot run.
    """
    if not noise:
        return NoisyParts(template)
    config = NoiseConfig.model_validate_json(noise)
    if config.device is not None:
        compiled = compile_for_device(
            template, config.device, config.transpiler_seed, config.optimization_level
        )
        return NoisyParts(
            compiled.template, compiled.sites, compiled.readout, config.twirl, compiled
        )
    return NoisyParts(
        noisy_template(template, config),
        tuple(channel_sites(template, config)),
        None if config.readout == 0.0 else config,
        config.twirl,
    )
