"""Executes the older programs "sampler" and "estimator", which the service itself prepares.

PennyLane and other libraries still submit them. There is no mitigation here and no noise.
"""

from __future__ import annotations

import json
import math
from typing import Any

from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import PauliList
from qiskit_aer.primitives import EstimatorV2, SamplerV2
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

DEFAULT_SHOTS = 4096


def _decode(params: dict[str, Any]) -> list[Any]:
    decoded = json.loads(json.dumps(params), cls=RuntimeDecoder)
    return [tuple(pub) if isinstance(pub, list) else pub for pub in decoded["pubs"]]


def primitive_executions(program_id: str, params: dict[str, Any]) -> int:
    """Circuits times shots.

    Of an Estimator, the observables of a PUB that commute on every qubit share a circuit, as many
    as do: the least that any way of measuring them takes.
    """
    if program_id == "sampler":
        pubs = [SamplerPub.coerce(pub, _shots(params)) for pub in _decode(params)]
        return sum(math.prod(pub.shape) * pub.shots for pub in pubs)
    if program_id != "estimator":
        raise ValueError(f"unknown program {program_id!r}")
    total = 0
    for pub in [EstimatorPub.coerce(pub, _precision(params)) for pub in _decode(params)]:
        labels = {label for each in pub.observables.ravel() for label in each}
        groups = PauliList(sorted(labels)).group_qubit_wise_commuting()
        shots = math.ceil(round(1 / pub.precision**2, 6))
        total += pub.parameter_values.size * len(groups) * shots
    return total


def _shots(params: dict[str, Any]) -> int:
    options = params.get("options", {})
    return options.get("default_shots") or params.get("shots") or DEFAULT_SHOTS


def _precision(params: dict[str, Any]) -> float:
    options = params.get("options", {})
    default = options.get("default_precision") or 1 / math.sqrt(_shots(params))
    return params.get("precision") or default


def execute_primitive(program_id: str, params: dict[str, Any], seed: int | None) -> str:
    """The JSON text of the result of a "sampler" or an "estimator" program."""
    if program_id == "sampler":
        sampler = SamplerV2(default_shots=_shots(params), seed=seed)
        sampler._backend.set_max_qubits(10_000)
        result = sampler.run(_decode(params)).result()
    else:
        runs = {"seed_simulator": seed}
        estimator = EstimatorV2(
            options={"default_precision": _precision(params), "run_options": runs}
        )
        estimator._backend.set_max_qubits(10_000)
        result = estimator.run(_decode(params)).result()
    return json.dumps(result, cls=RuntimeEncoder)
