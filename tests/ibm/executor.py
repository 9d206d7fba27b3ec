"""Executes a submitted program and writes its result in the form that the client decodes.

The program is decoded by the client's own converters. It runs on its fake backend by one of three
ways (`Settings.execution`), which differ in noise and in time:

  package   `run_quantum_program`, as the client's local mode: a noise model is built for every job
  noisy     the same noise; the model is built once, and only for the qubits that the circuits use
  exact     no noise; shots are drawn from the exact probabilities, or by Aer where that fails
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import numpy as np
from ibm_quantum_schemas.common import CompressedTensorModel
from ibm_quantum_schemas.executor import version_2_0 as schema
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_aer.noise import NoiseModel
from qiskit_aer.primitives import SamplerV2
from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample
from qiskit_ibm_runtime.fake_provider.executor.run_quantum_program import run_quantum_program
from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions
from qiskit_ibm_runtime.quantum_program import QuantumProgram
from qiskit_ibm_runtime.quantum_program.converters.converters_2_0 import passthrough_data_to_2_0
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS
from qiskit_ibm_runtime.utils.utils import is_isa_circuit
from samplomatic.quantum_program import SamplexItem

from tests.ibm.devices import fake_backend
from tests.ibm.exact import InexactError, draw
from tests.ibm.settings import Execution

VERSION = "v2.0"
UNSUPPORTED = 7001
WIDEST_STATE = 24
"""Qubits up to which Aer holds the state; above, its matrix product state, which is exact here."""
_models: dict[str, NoiseModel] = {}
_models_lock = threading.Lock()


class UnsupportedCircuitError(Exception):
    """A circuit is not in the backend's instructions; Aer itself would run many such circuits."""


def execute(params: dict[str, Any], backend: str, execution: Execution, seed: int | None) -> str:
    """The JSON text of the result of an "executor" program."""
    if params["schema_version"] != VERSION:
        raise ValueError(f"this stand-in runs schema {VERSION}, not {params['schema_version']}")
    converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[VERSION]
    program, _ = converter.decoder(converter.model(**params))
    for item in program.items:
        if message := is_isa_circuit(item.circuit, fake_backend(backend).target):
            raise UnsupportedCircuitError(message)
        if isinstance(item, SamplexItem):
            item.samplex.finalize()
    data = [
        _run_package(program, item, backend, _seed(seed, program.shots, item, position))
        if execution == "package"
        else _run(
            program.shots, item, backend, execution, _seed(seed, program.shots, item, position)
        )
        for position, item in enumerate(program.items)
    ]
    return schema.QuantumProgramResultModel(
        data=[
            schema.QuantumProgramResultItemModel(
                results={
                    name: CompressedTensorModel.from_numpy(np.ascontiguousarray(values))
                    for name, values in item.items()
                },
                metadata=schema.ItemMetadataModel(),
            )
            for item in data
        ],
        metadata=schema.MetadataModel(chunk_timing=[]),
        passthrough_data=passthrough_data_to_2_0(program.passthrough_data),
        semantic_role=program._semantic_role,
    ).model_dump_json()


def _seed(seed: int | None, shots: int, item: Any, position: int) -> int | None:
    """Equal programs get equal seeds; QPY bytes would not do, they contain new UUIDs each time."""
    if seed is None:
        return None
    if isinstance(item, SamplexItem):
        values = item.samplex_arguments.get("parameter_values")
    else:
        values = item.circuit_arguments
    content = [seed, shots, position, item.shape, sorted(item.circuit.count_ops().items())]
    digest = hashlib.sha256(repr(content).encode())
    digest.update(b"" if values is None else np.ascontiguousarray(values).tobytes())
    return 1 + int.from_bytes(digest.digest()[:4], "little") % (2**31 - 2)


def _run_package(program: Any, item: Any, backend: str, seed: int | None) -> dict[str, np.ndarray]:
    # One item at a time: with one seed for all, equal circuits in two items would get equal counts.
    single = QuantumProgram(shots=program.shots, items=[item])
    result = run_quantum_program(
        fake_backend(backend), single, SimulatorOptions(seed_simulator=seed)
    )
    return dict(result[0])


def _run(
    shots: int, item: Any, backend: str, execution: Execution, seed: int | None
) -> dict[str, np.ndarray]:
    data: dict[str, np.ndarray] = {}
    values = getattr(item, "circuit_arguments", None)
    if isinstance(item, SamplexItem):
        rng = np.random.default_rng(seed)
        data = broadcast_sample(item.samplex, item.samplex_arguments, item.shape, rng)
        values = data.pop("parameter_values")
    if execution == "exact":
        try:
            return {**data, **draw(item.circuit, values, item.shape, shots, seed)}
        except InexactError:
            pass  # Aer covers every circuit
    options: dict[str, Any] = {}
    if execution == "exact" and _n_used(item.circuit) > WIDEST_STATE:
        options["method"] = "matrix_product_state"
    if execution == "noisy":
        options["noise_model"] = _noise(backend, item.circuit)
    sampler = SamplerV2(seed=seed, options={"backend_options": options})
    sampler._backend.set_max_qubits(10_000)
    names = tuple(item.circuit.parameters)
    bound = BindingsArray({names: values}) if names else None
    result = sampler.run([SamplerPub(item.circuit, bound, shots)]).result()[0].data
    shape = (*item.shape, shots, -1)
    bits = {
        name: array.to_bool_array(order="little").reshape(shape) for name, array in result.items()
    }
    return {**data, **bits}


def _n_used(circuit: Any) -> int:
    return len({circuit.find_bit(qubit).index for item in circuit.data for qubit in item.qubits})


def _noise(backend: str, circuit: Any) -> NoiseModel:
    """The backend's noise on the qubits of `circuit`: Aer copies the whole model into every run."""
    with _models_lock:
        if backend not in _models:
            _models[backend] = NoiseModel.from_backend(fake_backend(backend))
    whole = _models[backend]
    used = {circuit.find_bit(qubit).index for item in circuit.data for qubit in item.qubits}
    part = NoiseModel(basis_gates=whole.basis_gates)
    for gate, errors in whole._local_quantum_errors.items():
        for qubits, error in errors.items():
            if used.issuperset(qubits):
                part.add_quantum_error(error, gate, qubits)
    for qubits, error in whole._local_readout_errors.items():
        if used.issuperset(qubits):
            part.add_readout_error(error, qubits)
    return part
