"""Circuits in the instructions of a device, for the Sampler and for the Estimator."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.quantum_info import Statevector
from qiskit.transpiler import Target
from qiskit_ibm_runtime.executor_estimator.prepare import prepare
from qiskit_ibm_runtime.options_models.estimator import EstimatorOptions
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS
from qiskit_ibm_runtime.utils.utils import is_isa_circuit

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.recording import recording
from qstore_ray.backends.ibm.service.estimator import MOST_POINTS, estimator_pubs
from qstore_ray.backends.ibm.service.isa import compile_isa
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.noise.device.read import read_device
from qstore_ray.circuits.observable import Observable
from qstore_ray.errors import CircuitError
from tests.ibm import devices
from tests.ibm.test_estimator import OBSERVABLES, SHOTS, TEMPLATE, exact, rows

MANILA = devices.fake_backend("fake_manila")


@pytest.mark.parametrize("name", ["rz", "sx", "measure"])
def test_every_qubit_needs_what_the_estimator_adds(name):
    """It measures all of them, also those that the circuit does not use."""
    target = Target(num_qubits=5)
    for gate in ("rz", "sx", "x", "cx", "measure"):
        places = MANILA.target[gate]
        kept = {at: places[at] for at in places if (gate, at) != (name, (4,))}
        target.add_instruction(MANILA.target.operation_from_name(gate), kept)
    device = read_device(MANILA)
    z = (Observable.parse("Z0"),)
    with pytest.raises(CircuitError, match=rf"has no {name} on the qubits \[4\]") as raised:
        compile_isa(TEMPLATE, z, device, target, level=1, measured=False)
    assert raised.value.field == "estimator"


@pytest.mark.parametrize("level", [1, 3])
def test_observables_are_on_the_qubits_where_the_circuit_ends(level):
    device, bindings = read_device(MANILA), rows(2)
    circuits = compile_isa(
        TEMPLATE, OBSERVABLES, device, MANILA.target, level=level, measured=False
    )
    found = np.tile([0.0, 0.0, 0.0, 0.75, 0.0], (2, 1))  # the parts that need no measurement
    for each in circuits:
        (pub,) = estimator_pubs(each, bindings)
        assert pub.observables is not None
        assert not pub.circuit.clbits
        for number, values in enumerate(pub.values):
            state = Statevector(pub.circuit.assign_parameters(values))
            means = [state.expectation_value(one[0]).real for one in pub.observables]
            found[number, each.basis.observables] += means
    assert np.allclose(found, exact(bindings))


@pytest.mark.parametrize("count", [1, MOST_POINTS, MOST_POINTS + 1, 2 * MOST_POINTS + 1])
def test_a_pub_has_at_most_so_many_points(count):
    bindings = Bindings(np.arange(2.0 * count).reshape(count, 2), np.zeros(2))
    (circuit,) = compile_isa(
        TEMPLATE, (Observable.parse("Z0"),), read_device(MANILA), MANILA.target, level=1,
        measured=False,
    )  # fmt: skip
    pubs = list(estimator_pubs(circuit, bindings))
    assert len(pubs) == -(-count // MOST_POINTS)
    assert max(len(pub.values) for pub in pubs) <= MOST_POINTS
    assert (np.concatenate([pub.values for pub in pubs]) == circuit.values(bindings)).all()


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_job_is_no_larger_than_it_is_planned(level):
    """On a device of 156 qubits, each of which the Estimator twirls and measures."""
    fez, bindings = devices.fake_backend("fake_fez"), rows(100)
    options = {"resilience_level": level, "dynamical_decoupling": {"enable": True}}
    with recording() as gateway:
        hardware = IbmBackend("fake_fez", SHOTS, estimator=options)
        hardware.evaluate(TEMPLATE, OBSERVABLES, bindings, key=DrawKey((1,)))
    (request,) = gateway.take()
    circuits = compile_isa(
        TEMPLATE, OBSERVABLES, read_device(fez), fez.target, level=1, measured=False
    )
    pubs = [pub for each in circuits for pub in estimator_pubs(each, bindings)]
    wanted = [(pub.circuit, pub.observables, pub.values) for pub in pubs]
    program, given = prepare(wanted, EstimatorOptions(**options), backend=fez)
    assert not [each for each in program.items if is_isa_circuit(each.circuit, fez.target)]
    params = QUANTUM_PROGRAM_PARAMS_CONVERTERS["v2.0"].encoder(program, given)
    size = len(params.model_dump_json())
    assert size <= request.payload_bytes <= 4 * size
