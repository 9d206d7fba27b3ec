"""Executes the older programs "sampler" and "estimator", which the service itself prepares.

PennyLane and other libraries still submit them. There is no mitigation here and no noise.
"""

from __future__ import annotations

import json
import math
from typing import Any

from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_aer.primitives import EstimatorV2, SamplerV2
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

DEFAULT_SHOTS = 4096


def _decode(params: dict[str, Any]) -> list[Any]:
    decoded = json.loads(json.dumps(params), cls=RuntimeDecoder)
    return [tuple(pub) if isinstance(pub, list) else pub for pub in decoded["pubs"]]


def primitive_executions(program_id: str, params: dict[str, Any]) -> int:
    """Circuits times shots, with a circuit for each observable of an Estimator."""
    shots = params.get("options", {}).get("default_shots") or params.get("shots") or DEFAULT_SHOTS
    if program_id == "sampler":
        pubs = [SamplerPub.coerce(pub, shots) for pub in _decode(params)]
        return sum(math.prod(pub.shape) * pub.shots for pub in pubs)
    if program_id != "estimator":
        raise ValueError(f"unknown program {program_id!r}")
    total = 0
    for pub in [EstimatorPub.coerce(pub, 0.0) for pub in _decode(params)]:
        a_circuit = math.ceil(1 / pub.precision**2) if pub.precision else shots
        total += math.prod(pub.shape) * a_circuit
    return total


def execute_primitive(program_id: str, params: dict[str, Any], seed: int | None) -> str:
    """The JSON text of the result of a "sampler" or an "estimator" program."""
    shots = params.get("options", {}).get("default_shots") or params.get("shots") or DEFAULT_SHOTS
    if program_id == "sampler":
        sampler = SamplerV2(default_shots=shots, seed=seed)
        sampler._backend.set_max_qubits(10_000)
        result = sampler.run(_decode(params)).result()
    else:
        precision = params.get("precision") or 1 / math.sqrt(shots)
        options = {"default_precision": precision, "run_options": {"seed_simulator": seed}}
        estimator = EstimatorV2(options=options)
        estimator._backend.set_max_qubits(10_000)
        result = estimator.run(_decode(params)).result()
    return json.dumps(result, cls=RuntimeEncoder)
