"""The parts of the client library that are not public and that the stand-in and our code rely on.

A failure here means that the library has changed: read its release notes, change what relies on the
part, and only then this file.
"""

from __future__ import annotations

import copy
import importlib
import inspect

import numpy as np
import pytest
import qiskit_ibm_runtime
from ibm_quantum_schemas.executor import version_2_0
from qiskit_aer.noise import NoiseModel
from qiskit_aer.primitives import SamplerV2
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.api import client_parameters
from qiskit_ibm_runtime.api.auth import CloudAuth
from qiskit_ibm_runtime.api.session import STATUS_FORCELIST, PostForcelistRetry
from qiskit_ibm_runtime.api.utils import default_runtime_url_resolver
from qiskit_ibm_runtime.decoders.executor_estimator.decoder import ClientSideEstimatorDecoder
from qiskit_ibm_runtime.executor.executor import Executor
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_estimator.prepare import prepare
from qiskit_ibm_runtime.options_models.estimator import EstimatorOptions
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

from qstore_ray.backends.ibm.service.client import IbmClient
from qstore_ray.backends.ibm.service.estimator import ROLE
from qstore_ray.backends.ibm.service.isa import Pub
from qstore_ray.backends.ibm.service.session import TokenAuth, use_tokens_alone
from tests.ibm import devices
from tests.ibm.settings import CRN, PATH

RUNTIME = "qiskit_ibm_runtime"
SIGNATURES = {
    f"{RUNTIME}.executor_sampler.Sampler": "mode, options",
    f"{RUNTIME}.executor_sampler.Sampler.run": "self, pubs, shots, dry_run",
    f"{RUNTIME}.executor_sampler.Sampler.finalize_options": "self",
    f"{RUNTIME}.executor_estimator.Estimator": "mode, options",
    f"{RUNTIME}.executor_estimator.Estimator.run": "self, pubs, precision, dry_run",
    f"{RUNTIME}.executor_sampler.prepare.prepare": "pubs, options, shots, add_tags, backend",
    f"{RUNTIME}.executor_estimator.prepare.prepare": (
        "pubs, options, precision, add_tags, backend"
    ),
    f"{RUNTIME}.executor_estimator.finalize_options.finalize_estimator_options": "options",
    f"{RUNTIME}.executor_estimator.utils.resolve_noise_factors": "zne_options",
    f"{RUNTIME}.executor_estimator.utils.validate_noise_factors": "noise_factors, extrapolator",
    f"{RUNTIME}.executor_estimator.trex.resolve_trex_num_randomizations": (
        "measure_noise_learning, twirling_num_randomizations"
    ),
    f"{RUNTIME}.executor.calculate_twirling_shots.calculate_twirling_shots": (
        "pub_shots, num_randomizations, shots_per_randomization"
    ),
    f"{RUNTIME}.executor.executor.Executor": "mode, options",
    f"{RUNTIME}.executor.executor.Executor.run": "self, program, dry_run",
    f"{RUNTIME}.Session": "backend, max_time, create_new",
    f"{RUNTIME}.Session.from_id": "session_id, service, use_fractional_gates, calibration_id",
    f"{RUNTIME}.Batch": "backend, max_time, create_new",
    f"{RUNTIME}.RuntimeJobV2.result": "self, timeout, decoder, poll_interval",
    f"{RUNTIME}.RuntimeJobV2.wait_for_final_state": "self, timeout, poll_interval",
    f"{RUNTIME}.QiskitRuntimeService._get_api_client": "self, instance",
    f"{RUNTIME}.QiskitRuntimeService._get_api_clients": "self",
    f"{RUNTIME}.QiskitRuntimeService.job": "self, job_id",
    f"{RUNTIME}.api.client.RuntimeClient.program_run": (
        "self, program_id, backend_name, params, image, log_level, session_id, job_tags, "
        "max_execution_time, start_session, session_time, private, calibration_id"
    ),
    f"{RUNTIME}.api.client.RuntimeClient.job_get": "self, job_id, exclude_params",
    f"{RUNTIME}.api.client.RuntimeClient.job_results": "self, job_id",
    f"{RUNTIME}.api.session.RetrySession": (
        "base_url, retries_total, retries_connect, backoff_factor, verify, proxies, auth, timeout"
    ),
    f"{RUNTIME}.api.auth.CloudAuth": "api_key, crn, private, proxies, verify",
    f"{RUNTIME}.utils.utils.is_isa_circuit": "circuit, target",
    f"{RUNTIME}.fake_provider.executor.run_quantum_program.run_quantum_program": (
        "backend, program, options"
    ),
    f"{RUNTIME}.fake_provider.executor.broadcast_sample.broadcast_sample": (
        "samplex, samplex_arguments, shape, rng"
    ),
    f"{RUNTIME}.quantum_program.converters.converters_2_0.passthrough_data_to_2_0": (
        "passthrough_data"
    ),
    f"{RUNTIME}.quantum_program.QuantumProgram": (
        "shots, items, noise_maps, meas_level, passthrough_data"
    ),
}


def test_the_version_is_the_one_that_was_read():
    assert qiskit_ibm_runtime.__version__.startswith("0.51.")


def resolved(name: str):
    """The object at a dotted name whose first parts are modules."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[end:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", SIGNATURES)
def test_names_and_arguments_are_as_they_were(name):
    found = resolved(name)
    assert ", ".join(inspect.signature(found).parameters) == SIGNATURES[name]


def test_a_program_is_encoded_and_decoded_by_version_2_0():
    converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS["v2.0"]
    assert max(QUANTUM_PROGRAM_PARAMS_CONVERTERS) == "v2.0"
    assert converter.model is version_2_0.ParamsModel
    assert list(inspect.signature(converter.decoder).parameters) == ["model"]
    assert list(inspect.signature(converter.encoder).parameters) == ["program", "options"]
    assert qiskit_ibm_runtime.Executor._SCHEMA_VERSION == "v2.0"
    assert set(version_2_0.QuantumProgramResultModel.model_fields) == {
        "schema_version", "data", "metadata", "passthrough_data", "semantic_role",
    }  # fmt: skip


def test_an_estimator_runs_what_it_prepares_under_the_name_by_which_it_is_decoded(
    service, bell, monkeypatch
):
    """The gateway takes the two steps of `Estimator.run` one by one."""
    submitted = []
    monkeypatch.setattr(Executor, "run", lambda _, program, **__: submitted.append(program))
    backend = service.backend("fake_manila")
    pub = (bell.remove_final_measurements(inplace=False), [["IIIZZ"]])
    options = EstimatorOptions(default_shots=100)
    Estimator(backend, options=options).run([pub])
    program, _ = prepare([pub], options, backend=backend)
    assert submitted[0]._semantic_role == ROLE == ClientSideEstimatorDecoder.SEMANTIC_ROLE
    shapes = [[item.shape for item in each.items] for each in (submitted[0], program)]
    assert shapes == [[(2, 1), (2,)]] * 2
    assert submitted[0].shots == program.shots == 64
    assert submitted[0].passthrough_data == program.passthrough_data


def test_a_url_keeps_its_port_only_with_the_word_experimental():
    url = "http://127.0.0.1:8123"
    assert default_runtime_url_resolver(url, CRN) == "http://quantum.127.0.0.1/api/v1"
    assert default_runtime_url_resolver(url + PATH, CRN) == url + PATH


def test_every_session_retries_posts_by_adapters_that_can_be_replaced(service):
    clients = [service._get_api_client(), *service._get_api_clients().values()]
    for client in clients:
        for prefix in ("http://", "https://"):
            retry = client._session.adapters[prefix].max_retries
            assert type(retry) is PostForcelistRetry
            assert (retry.total, retry.connect, retry.backoff_factor) == (5, 3, 0.5)
            assert retry.status_forcelist == STATUS_FORCELIST
            assert retry.is_retry("POST", 502)
            assert not retry.is_retry("POST", 429, has_retry_after=True)
            assert retry.is_retry("GET", 429, has_retry_after=True)
            assert not retry.is_retry("GET", 429)
    assert STATUS_FORCELIST == (500, 502, 503, 504, 520, 521, 522, 524)


def test_all_clients_of_a_service_share_no_session(service):
    backend = service.backend("fake_manila")
    client = service._get_api_client()
    assert list(service._get_api_clients()) == [CRN]
    assert service._get_api_clients()[CRN] is client
    assert backend._api_client is client
    assert client._session is client._api.session


def test_every_authorization_is_made_by_the_class_that_is_replaced(ibm, monkeypatch):
    """Also a copy of one: with the client's own class a request without a token has the key."""
    monkeypatch.setattr(client_parameters, "CloudAuth", CloudAuth)  # and after the test as before
    asked = client_parameters.ClientParameters("ibm_cloud", ibm.settings.api_key, instance=CRN)
    assert type(asked.get_auth_handler()) is CloudAuth
    use_tokens_alone()
    handler = asked.get_auth_handler()
    assert type(handler) is TokenAuth
    assert type(copy.deepcopy(handler)) is TokenAuth
    found = QiskitRuntimeService()
    kinds = [type(client._session.auth) for client in found._get_api_clients().values()]
    assert set(kinds) == {TokenAuth}


@pytest.mark.parametrize("mode", ["job", "batch", "session"])
def test_a_submission_is_one_request(ibm, bell, mode):
    """What the client asks before it are methods that are looked up on the service and backend."""
    client = IbmClient(QiskitRuntimeService(), "fake_manila", mode=mode)
    client.session.place()
    before = ibm.requests()
    client.submit([Pub(bell, np.zeros((1, 0)))], 16, {}, ["tag"])
    made = {kind: n - before.get(kind, 0) for kind, n in ibm.requests().items()}
    assert {kind: n for kind, n in made.items() if n} == {"submit": 1}
    assert client._service.backend("fake_manila") is client._backend
    client.close()


def test_access_tokens_are_held_by_the_session(service):
    manager = service._get_api_client()._session.auth.tm
    assert manager.access_token.count(".") == 2
    assert manager.expire_time > manager.refresh_time > 0
    assert manager.IAM_EXPIRATION_WINDOW == 10


def test_a_noise_model_lists_its_errors_by_gate_and_qubits():
    whole = NoiseModel.from_backend(devices.fake_backend("fake_manila"))
    assert {"cx", "sx", "x"} <= set(whole._local_quantum_errors)
    assert (0, 1) in whole._local_quantum_errors["cx"]
    assert set(whole._local_readout_errors) == {(qubit,) for qubit in range(5)}


def test_a_sampler_holds_its_simulator():
    assert SamplerV2()._backend.name == "aer_simulator"
    assert SamplerV2()._backend.set_max_qubits is not None


@pytest.mark.parametrize("name", ["fake_manila", "fake_fez", "fake_kingston", "fake_fractional"])
def test_the_files_of_a_fake_backend_are_where_they_are_read(name):
    assert devices.configuration(name)["backend_name"] == name
    assert devices.configuration(name)["n_qubits"] > 0
    assert devices.properties(name)["qubits"]
