"""The real client against the stand-in, end to end, where nothing goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.exceptions import (
    RuntimeInvalidStateError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
)
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler

from tests.ibm import billing
from tests.ibm.faults import Fault
from tests.ibm.journal import jobs_of, read_journal
from tests.ibm.launch import arguments, in_process
from tests.ibm.sampling import QUICK, tagged
from tests.ibm.server import settings_from
from tests.ibm.settings import Settings


def test_the_client_finds_instance_backend_calibration_and_status(service):
    (instance,) = service.instances()
    backend = service.backend("fake_manila")
    status = backend.status()
    assert instance["plan"] == "paygo"
    assert [each.name for each in service.backends()] == ["fake_manila"]
    assert service.least_busy().name == "fake_manila"
    assert backend.num_qubits == 5
    assert backend.properties().readout_error(0) > 0
    assert backend.target["cx"][0, 1].error > 0
    assert (status.operational, status.status_msg, status.pending_jobs) == (True, "active", 0)


def test_a_job_is_submitted_polled_decoded_and_billed(ibm, service, bell):
    job = tagged(service.backend("fake_manila"), "run-1").run([bell], shots=1000)
    counts = job.result(**QUICK)[0].data.c.get_counts()
    (entry,) = ibm.accepted().values()
    assert counts.keys() == {"00", "11"}
    assert sum(counts.values()) == 1000
    assert abs(counts["11"] - 500) < 100
    assert job.status() == "DONE"
    assert job.usage() == job.usage_estimation["quantum_seconds"] == pytest.approx(2.35)
    assert service.usage()["usage_consumed_seconds"] == ibm.usage() == pytest.approx(2.35)
    assert (entry.tags, entry.executions, entry.end, entry.reads) == (
        ["run-1"], 1000, "completed", 1,
    )  # fmt: skip


def test_requests_are_counted_by_kind(ibm, service, bell):
    backend = service.backend("fake_manila")
    before = ibm.requests()
    Sampler(backend).run([bell], shots=10).result(**QUICK)
    made = {kind: count - before.get(kind, 0) for kind, count in ibm.requests().items()}
    polls = made.pop("job")
    made = {kind: count for kind, count in made.items() if count}
    assert made == {"backends": 1, "usage": 1, "status": 1, "submit": 1, "results": 1}
    assert polls >= 1


def test_a_sampler_broadcasts_parameters(service, rotation):
    angles = np.linspace(0, np.pi, 6).reshape(2, 3, 1)
    job = Sampler(service.backend("fake_manila")).run([(rotation, angles)], shots=2000)
    ones = job.result(**QUICK)[0].data.c.bitcount().mean(axis=-1)
    assert ones.shape == (2, 3)
    np.testing.assert_allclose(ones, np.sin(angles[..., 0] / 2) ** 2, atol=0.05)
    assert job.usage() == pytest.approx(billing.seconds(6 * 2000))


@pytest.mark.parametrize("level", [0, 1])
def test_an_estimator_measures_and_mitigates(service, rotation, level):
    circuit = rotation.remove_final_measurements(inplace=False)
    observable = SparsePauliOp("IIIIZ")
    estimator = Estimator(service.backend("fake_manila"), options={"resilience_level": level})
    job = estimator.run([(circuit, [observable], [[0.0], [np.pi / 3]])], precision=0.05)
    np.testing.assert_allclose(job.result(**QUICK)[0].data.evs, [1.0, 0.5], atol=0.2)


@pytest.mark.parametrize("execution", ["noisy", "package"])
def test_noise_is_that_of_the_backend(start, bell, execution):
    start(execution=execution)
    backend = QiskitRuntimeService().backend("fake_manila")
    counts = Sampler(backend).run([bell], shots=4000).result(**QUICK)[0].data.c.get_counts()
    assert 100 < counts["01"] + counts["10"] < 600


def test_equal_programs_get_equal_counts_with_a_seed_only(start, bell):
    for seed, equal in ((7, True), (None, False)):
        start(seed=seed)
        sampler = Sampler(QiskitRuntimeService().backend("fake_manila"))
        jobs = [sampler.run([bell, bell], shots=1000) for _ in range(2)]
        first, second = (job.result(**QUICK) for job in jobs)
        assert np.array_equal(first[0].data.c.array, second[0].data.c.array) is equal
        assert not np.array_equal(first[0].data.c.array, first[1].data.c.array)


def test_a_fresh_client_finds_the_job_by_its_tags_and_reads_the_same_result(service, bell):
    backend = service.backend("fake_manila")
    job = tagged(backend, "run-1", "step-2").run([bell], shots=100)
    tagged(backend, "run-1", "step-3").run([bell], shots=100)
    fresh = QiskitRuntimeService()
    (found,) = fresh.jobs(job_tags=["run-1", "step-2"])
    result, again = job.result(**QUICK), found.result(**QUICK)
    assert found.job_id() == job.job_id()
    assert len(fresh.jobs(job_tags=["run-1"])) == 2
    assert fresh.jobs(job_tags=["run-2"]) == []
    assert np.array_equal(result[0].data.c.array, again[0].data.c.array)
    assert fresh.job(job.job_id()).tags == ["run-1", "step-2"]


def test_jobs_are_listed_in_pages_newest_first(start, bell):
    start(queue_delay=3600)
    service = QiskitRuntimeService()
    sampler = tagged(service.backend("fake_manila"), "many")
    names = [sampler.run([bell], shots=1).job_id() for _ in range(23)]
    listed = [job.job_id() for job in service.jobs(limit=None, job_tags=["many"])]
    oldest = service.jobs(limit=2, skip=1, descending=False, pending=True)
    assert listed == names[::-1]
    assert [job.job_id() for job in oldest] == names[1:3]
    assert service.jobs(pending=False) == []


def test_tags_are_replaced_and_jobs_deleted_but_stay_billed(ibm, service, bell):
    job = tagged(service.backend("fake_manila"), "old").run([bell], shots=100)
    job.wait_for_final_state(**QUICK)
    assert job.update_tags(["new"]) == ["new"]
    assert len(service.jobs(job_tags=["new"])) == 1
    billed = ibm.usage()
    service.delete_job(job.job_id())
    assert service.jobs() == []
    with pytest.raises(RuntimeJobNotFound):
        service.job(job.job_id())
    assert ibm.usage() == billed > 0


def test_a_queued_job_is_cancelled_for_nothing_and_a_finished_one_cannot_be(start, bell):
    ibm = start(queue_delay=3600)
    job = Sampler(QiskitRuntimeService().backend("fake_manila")).run([bell], shots=100)
    job.cancel()
    assert job.status() == "CANCELLED"
    with pytest.raises(RuntimeInvalidStateError, match="was cancelled"):
        job.result(**QUICK)
    with pytest.raises(RuntimeInvalidStateError, match="cannot be cancelled"):
        job.cancel()
    assert ibm.usage() == 0
    assert [entry.end for entry in ibm.accepted().values()] == ["cancelled"]


def test_a_job_longer_than_its_limit_is_cancelled(service, bell):
    sampler = Sampler(service.backend("fake_manila"), options={"max_execution_time": 5})
    job = sampler.run([bell], shots=50_000)  # 2 + 17.5 s
    with pytest.raises(RuntimeJobMaxTimeoutError):
        job.result(**QUICK)
    assert job.usage() == 5


def test_a_private_result_is_read_once(service, bell):
    sampler = Sampler(service.backend("fake_manila"), options={"environment": {"private": True}})
    job = sampler.run([bell], shots=10)
    job.result(**QUICK)
    with pytest.raises(Exception, match="404"):
        job.result(**QUICK)


def test_a_request_that_makes_no_sense_is_refused(ibm, service):
    client = service._get_api_client()
    with pytest.raises(Exception, match=r"400.*1208"):
        client.program_run("executor", "fake_manila", {"version": 2}, None, None, None)
    with pytest.raises(Exception, match=r"404.*1007"):
        client.program_run("executor", "fake_nowhere", {}, None, None, None)
    assert ibm.accepted() == {}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_older_programs_run_too(service, bell, rotation):
    from qiskit_ibm_runtime import EstimatorV2, SamplerV2

    backend = service.backend("fake_manila")
    job = SamplerV2(backend).run([bell], shots=500)
    assert job.result(**QUICK)[0].data.c.num_shots == 500
    assert job.usage() == pytest.approx(billing.seconds(500))
    circuit = rotation.remove_final_measurements(inplace=False)
    observables = [["IIIIZ"], ["IIIZZ"], ["IIIIX"]]  # two circuits
    job = EstimatorV2(backend).run([(circuit, observables, [[0.0], [np.pi]])], precision=0.1)
    np.testing.assert_allclose(job.result(**QUICK)[0].data.evs[0], [1.0, -1.0], atol=0.5)
    assert job.usage() == pytest.approx(billing.seconds(2 * 2 * 100))


def test_it_serves_from_a_process_of_its_own_and_ends_with_its_starter(tmp_path, monkeypatch, bell):
    journal = tmp_path / "journal.jsonl"
    with in_process(journal=str(journal), plan="premium") as ibm:
        for name, value in ibm.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        service = QiskitRuntimeService()
        jobs = [tagged(service.backend("fake_manila"), "a").run([bell], shots=10) for _ in range(6)]
        for job in jobs:
            job.result(timeout=60, **QUICK)
        assert service.instances()[0]["plan"] == "premium"
    entries = jobs_of(read_journal(journal)).values()
    assert [(entry.tags, entry.end, entry.reads) for entry in entries] == [
        (["a"], "completed", 1)
    ] * 6
    with pytest.raises(OSError, match="refused"):
        ibm.requests()
    assert not (tmp_path / ".qiskit").exists()


def test_a_command_line_gives_the_settings():
    settings = Settings(
        backend=("fake_lima", "fake_fez"),
        plan="open",
        execution="noisy",
        seed=None,
        speed=60.0,
        paced=True,
        lanes=2,
        usage_limit=600.0,
        journal="j",
        faults=(Fault("status", times=None), Fault("drop", on="job", after_effect=True)),
    )
    assert settings_from(arguments(settings)) == (settings, False)
    assert settings_from([]) == (Settings(), False)


def test_an_unknown_backend_lists_the_known_ones():
    from tests.ibm import devices

    with pytest.raises(ValueError, match="fake_manila"):
        devices.configuration("fake_nowhere")
