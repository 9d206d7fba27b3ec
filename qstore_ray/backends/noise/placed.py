"""A circuit under noise, as any backend runs it: its gates, the channels behind them, its readout.

If the noise is that of a device, the circuit is compiled for it; otherwise the noise is put behind
the gates of the circuit as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qstore_ray.backends.noise.channels import average_fidelity
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.device.compiled import (
    CompiledCircuit,
    NoisyCircuitRecord,
    compile_for_device,
)
from qstore_ray.backends.noise.device.fake import gate_width
from qstore_ray.backends.noise.placement import ChannelSite, channel_sites, noisy_template
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template


class PlacedNoise(NamedTuple):
    """A circuit with its noise.

    Attributes:
        template: with the angles that the gates really have.
        observables: on the qubits on which the circuit ends, read rightly.
        sites: the channels, in the order in which they act.
        readout: the noise whose confusion matrices are those of the template's qubits.
        compiled: how the circuit was compiled for a device; None without one.
    """

    template: Template
    observables: tuple[Observable, ...]
    sites: tuple[ChannelSite, ...]
    readout: NoiseConfig
    compiled: CompiledCircuit | None

    def record(self) -> NoisyCircuitRecord:
        """The circuit as the noise meets it, as JSON-ready values.

        Its expected fidelity is the product of 1 − error over all gates and the readout of all
        qubits; see `CompiledCircuit.record` for a device.
        """
        if self.compiled is not None:
            return self.compiled.record()
        noisy = {site.place - 1 for site in self.sites}
        free = Counter(op.gate for k, op in enumerate(self.template.ops) if k not in noisy)
        fidelity = 1.0
        for _, channel, qubits in self.sites:
            fidelity *= average_fidelity(channel, len(qubits))
        for qubit in range(self.template.n_qubits):
            confusion = self.readout.confusion(qubit)
            fidelity *= float(np.trace(confusion)) / 2
        return {
            "gates": dict(sorted(Counter(op.gate for op in self.template.ops).items())),
            "gates_without_error": dict(sorted(free.items())),
            "expected_fidelity": fidelity,
        }


def place_noise(
    template: Template, observables: Sequence[Observable], noise: NoiseConfig
) -> PlacedNoise:
    """Put the noise behind the gates of a circuit, compiled for the noise's device if it has one.

    Raises:
        CircuitError, ResourceError: a circuit that the device cannot run.
        ConfigError: the noise names qubits that the circuit lacks.
        BackendError: a channel of all qubits of a gate of three.
    """
    if noise.device is None:
        sites = tuple(channel_sites(template, noise))
        return PlacedNoise(noisy_template(template, noise), tuple(observables), sites, noise, None)
    compiled = compile_for_device(
        template, noise.device, noise.transpiler_seed, noise.optimization_level
    )
    moved = tuple(compiled.moved(observable) for observable in observables)
    return PlacedNoise(compiled.template, moved, compiled.sites, compiled.readout, compiled)


def unused_noise(template: Template, noise: NoiseConfig | None) -> list[str]:
    """What a noise says that changes nothing in a circuit, each as a sentence."""
    if noise is None:
        return []
    if noise.device is not None:
        free = place_noise(template, (), noise).record()["gates_without_error"]
        # Turns of one qubit about Z are often free of errors.
        pairs = [f"{n} {gate}" for gate, n in free.items() if gate_width(gate) == 2]
        said = (
            f"the noise of {noise.device.name} has no error for {', '.join(pairs)} of the circuit"
        )
        return [said] * bool(pairs)
    if not (noise.gates or noise.places or noise.over_rotation or noise.readout):
        return ["the noise says no error: it has no gates, readout, over_rotation or device"]
    met = sorted({op.gate for op in template.ops})
    return [
        f"noise.gates.{place} changes nothing: no gate of the circuit is {entry.on}"
        f"{'' if entry.qubits is None else f' on qubits {list(entry.qubits)}, in this order'}; "
        f"it has {', '.join(met) or 'no gates'}"
        for place, entry in enumerate(noise.gates)
        if not any(entry.follows(op.gate, op.qubits) for op in template.ops)
    ]
