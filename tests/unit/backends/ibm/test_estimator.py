"""What options of IBM's Estimator cost, and which are refused; no service is needed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.grouping import group_observables
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.budget import Spending
from qstore_ray.backends.ibm.call import estimates_of_call, hardware_call
from qstore_ray.backends.ibm.forecast import QpuRates, by_trial, forecast_jobs, jobs_for
from qstore_ray.backends.ibm.gateway.recording import recording
from qstore_ray.backends.ibm.ledger.entries import IntentEntry
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.requests import JobCaps
from qstore_ray.backends.ibm.service.estimator import MOST_POINTS, plan_of, values_of
from qstore_ray.backends.ibm.service.options import check_sampler_options
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation.backend import open_mitigated
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.paid import RunIdentity
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.errors import BackendError, ConfigError, RefusedError
from tests.unit.backends.ibm.ledger.gateway import OWNER
from tests.unit.backends.ibm.made import request

ONE = Template(1, (Op("ry", (0,), (row(0),)),), 1)
ROWS = Bindings(np.linspace(0.0, 3.0, 3)[:, None], np.zeros(0))
ZNE = {"zne_mitigation": True}


@pytest.mark.parametrize(
    ("options", "circuits", "shots", "calibration"),
    [
        ({"resilience_level": 0}, 1, 1024, 0),
        ({"resilience_level": 1}, 16, 64, 16 * 64),
        ({}, 16, 64, 16 * 64),
        ({"resilience_level": 2}, 3 * 16, 64, 16 * 64),
        ({"resilience_level": 0, "resilience": ZNE}, 3, 1024, 0),
        (
            {"resilience_level": 0, "resilience": ZNE | {"zne": {"noise_factors": [1, 2, 3, 4]}}},
            4, 1024, 0,
        ),
        ({"twirling": {"num_randomizations": 10}}, 10, 103, 1030),
        ({"twirling": {"num_randomizations": 3, "shots_per_randomization": 5}}, 3, 5, 15),
        ({"resilience": {"measure_noise_learning": {"num_randomizations": 7}}}, 16, 64, 7 * 64),
        ({"resilience_level": 0, "dynamical_decoupling": {"enable": True}}, 1, 1024, 0),
    ],
    ids=str,
)  # fmt: skip
def test_executions_of_options(options, circuits, shots, calibration):
    plan = plan_of(options, 1024)
    assert (plan.circuits, plan.shots, plan.calibration) == (circuits, shots, calibration)


REFUSED = [
    ({"resilience_level": 3}, "resilience_level", "0, 1 or 2"),
    ({"resiliance_level": 1}, "resiliance_level", "Extra inputs"),
    (
        {"resilience": {"zne": {"noise_factors": [0.5, 3]}}},
        "resilience.zne.noise_factors",
        "greater",
    ),
    ({"default_shots": 10}, "default_shots", "the shots are an option of the backend"),
    ({"default_precision": 0.1}, "default_precision", "1/√shots"),
    ({"experimental": {"x": 1}}, "experimental", "cannot be forecast"),
    ({"environment": {"job_tags": ["a"]}}, "environment.job_tags", "tags"),
    ({"resilience": {"pec_mitigation": True}}, "resilience.pec_mitigation", "job of its own"),
    ({"resilience": ZNE | {"zne": {"amplifier": "pea"}}}, "resilience.zne.amplifier", "its own"),
    ({"twirling": {"enable_measure": False}}, "twirling", "contradict each other"),
    (
        {"resilience": ZNE | {"zne": {"noise_factors": [1, 3]}}},
        "resilience.zne.noise_factors",
        "none of them is sure to give a value",
    ),
    (
        {"resilience": ZNE | {"zne": {"extrapolator": "exponential"}}},
        "resilience.zne.noise_factors",
        "none of them is sure to give a value",
    ),
    (
        {"resilience": ZNE | {"zne": {"extrapolator": ["double_exponential", "fallback"]}}},
        "resilience.zne.noise_factors",
        "double_exponential requires at least 4",
    ),
]


@pytest.mark.parametrize(("options", "field", "message"), REFUSED, ids=str)
def test_options_that_cannot_be_run_or_counted_are_refused(options, field, message):
    backend = IbmBackend("ibm_fez", estimator=options)
    with pytest.raises(ConfigError, match=message) as raised:
        backend.check(ONE, (Observable.parse("Z0"),), ROWS)
    assert raised.value.field.startswith(f"estimator.{field}")
    assert raised.value.fix


@pytest.mark.parametrize(
    "zne",
    [
        {"noise_factors": [1, 3], "extrapolator": ["linear", "fallback"]},
        {"extrapolator": "linear"},
        {"noise_factors": [1, 2, 3, 4], "extrapolator": "polynomial_degree_2"},
    ],
)
def test_extrapolators_that_always_give_a_value_are_taken(zne):
    options = {"resilience_level": 0, "resilience": ZNE | {"zne": zne}}
    IbmBackend("ibm_fez", estimator=options).check(ONE, (Observable.parse("Z0"),), ROWS)


def test_values_come_from_one_primitive():
    with pytest.raises(ConfigError, match="from both") as raised:
        IbmBackend("d", sampler={"dynamical_decoupling": {"enable": True}}, estimator={})
    assert raised.value.field == "estimator"


def test_an_estimator_gives_no_outcomes():
    backend = IbmBackend("d", estimator={})
    with pytest.raises(ConfigError, match="gives values"):
        backend.counts(ONE, (Observable.parse("Z0"),), ROWS, key=DrawKey((1,)))


@pytest.mark.parametrize("config", [{"twirl": 2}, {"readout": "inverse"}, {"zne": {}}], ids=str)
def test_mitigated_values_are_not_mitigated_again(config):
    options = {"device": "ibm_fez", "estimator": {"resilience_level": 0}}
    with pytest.raises(ConfigError, match="mitigated already") as raised:
        open_mitigated("ibm", options, MitigationConfig.from_dict(config))
    assert raised.value.field == "mitigation"


@pytest.mark.parametrize("shots", [16, 1000])
def test_a_sampler_takes_the_shots_that_were_asked_for_or_none(shots):
    """Else three paid jobs are run, none of which has the outcomes that are waited for."""
    options = {"twirling": {"enable_gates": True}}
    with pytest.raises(ConfigError, match="in place of these") as raised:
        check_sampler_options(options, shots)
    assert raised.value.field == "shots"
    most = int(raised.value.fix.split()[3].rstrip(","))
    check_sampler_options(options, most)
    check_sampler_options({"dynamical_decoupling": {"enable": True}}, shots)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"default_shots": 10}, "default_shots"),
        ({"environment": {"job_tags": ["a"]}}, "environment.job_tags"),
        ({"experimental": {"x": 1}}, "experimental"),
        ({"execution": {"meas_type": "kerneled"}}, "execution.meas_type"),
    ],
)
def test_what_the_gateway_decides_is_no_option_of_the_sampler(options, field):
    with pytest.raises(ConfigError) as raised:
        check_sampler_options(options, 64)
    assert raised.value.field == f"sampler.{field}"


@pytest.mark.parametrize("primitive", ["sampler", "estimator"])
def test_the_pause_before_an_execution_is_the_one_of_the_forecast(primitive):
    options = {primitive: {"execution": {"rep_delay": 1e-3}}}
    z = (Observable.parse("Z0"),)
    with pytest.raises(ConfigError, match=r"0\.001 s are set") as raised:
        IbmBackend("ibm_fez", **options).check(ONE, z, ROWS)
    assert raised.value.field == "rep_delay"
    IbmBackend("ibm_fez", rep_delay=1e-3, **options).check(ONE, z, ROWS)


def asked(options: dict, *trials: str, shots: int = 1024, rows: int = 3):
    """What trials with these options ask of the gateway at the same time."""
    observables = (Observable.parse("Z0"), Observable.parse("X0"))
    bindings = Bindings(np.zeros((rows, 1)), np.zeros(0))
    with recording() as gateway:
        for trial in trials:
            backend = IbmBackend("ibm_fez", shots, estimator=options).for_run("run", trial)
            found = backend.evaluate(ONE, observables, bindings, key=DrawKey((1,)))
            assert found.values.shape == (rows, 2)
    return gateway.take()


def test_a_calibration_is_counted_once_in_a_job():
    one, two = asked({}, "a"), asked({}, "a", "b")
    (single,), (shared,) = jobs_for(one), jobs_for(two)
    circuits = 3 * 2 * 1024
    assert single.executions == circuits + 1024
    assert shared.executions == 2 * circuits + 1024
    apart = jobs_for(two, JobCaps(executions=shared.executions - 1))
    assert [job.executions for job in apart] == [circuits + 1024] * 2


@given(rows=st.integers(1, 40), more=st.integers(0, 30_000))
def test_pieces_are_within_the_caps_with_their_calibration(rows, more):
    (whole,) = asked({}, "a", rows=rows)
    caps = JobCaps(executions=2 * 1024 + 1024 + more)
    jobs = jobs_for([whole], caps)
    assert sum(each.rows for job in jobs for each in job.requests) == rows
    assert max(job.executions for job in jobs) <= caps.executions
    assert sum(job.executions for job in jobs) == rows * 2048 + 1024 * len(jobs)


def test_a_row_above_the_cap_says_what_to_take():
    (whole,) = asked({}, "a")
    with pytest.raises(ConfigError, match="the calibration of a job 1024 executions") as raised:
        jobs_for([whole], JobCaps(executions=2 * 1024 + 1023))
    assert "randomizations" in raised.value.fix


def test_other_options_or_shots_are_another_job():
    requests = [
        *asked({}, "a"), *asked({"resilience_level": 1}, "b"), *asked({}, "c", shots=2048),
        *asked({"resilience_level": 2}, "d"), request("sampler", shots=64),
    ]  # fmt: skip
    assert len({each.key for each in requests}) == len(jobs_for(requests)) == 5


def test_the_parts_of_the_trials_add_up_to_the_job(tmp_path):
    (job,) = jobs_for(asked({}, "a", "b"))
    cost = forecast_jobs([job], QpuRates(price_per_second=2.0))
    shares = by_trial(job, cost)
    assert sum(share.executions for share in shares.values()) == cost.executions
    assert sum(share.billed_seconds for share in shares.values()) == pytest.approx(
        cost.billed_seconds
    )
    with Ledger.open(tmp_path, OWNER) as ledger:
        record = ledger.intent(job, cost)
        spent = Spending.of([record])
    assert record.executions == spent.total.executions == job.executions
    assert {name: each.executions for name, each in spent.trials.items()} == {
        name: each.executions for name, each in shares.items()
    }
    with Ledger.open(tmp_path, OWNER) as ledger:
        assert ledger.records[job.key].executions == job.executions


def test_a_line_of_a_version_before_has_no_calibration():
    share = {"key": "0" * 32, "trial": "a", "executions": 100, "rows": 1}
    line = {
        "event": "intent", "key": "1" * 32, "requests": [share], "shots": 100, "options": "{}",
        "forecast_seconds": 2.0,
    }  # fmt: skip
    assert IntentEntry.model_validate(line).calibration == 0


def pub(values: np.ndarray, stds: np.ndarray) -> SimpleNamespace:
    """One part of a result, with (O, N) arrays as the client has them."""
    return SimpleNamespace(data=SimpleNamespace(evs=values, stds=stds))


@pytest.mark.parametrize("rows", [1, MOST_POINTS, MOST_POINTS + 1, 2 * MOST_POINTS + 7])
def test_the_parts_of_a_result_are_put_together(rows):
    values = np.arange(2.0 * rows).reshape(2, rows)
    parts = np.array_split(values, -(-rows // MOST_POINTS), axis=1)
    result = [pub(part, part + 1.0) for part in parts]
    found = values_of([*result, pub(np.zeros((1, 3)), np.zeros((1, 3)))], ["a", "b"], [rows, 3])
    assert (found["a"] == np.stack((values.T, (values.T + 1.0) ** 2), axis=-1)).all()
    assert found["b"].shape == (3, 1, 2)
    for lacking, names, counts in (
        (result[:-1], ["a"], [rows]),
        (result, ["a"], [rows + 1]),
        (result, ["a"], [rows - 1] if rows > 1 else [2]),
        (result * 2, ["a"], [rows]),
    ):
        with pytest.raises(RefusedError, match=r"the result of a job (has|lacks)"):
            values_of(lacking, names, counts)


def call_of(*observables: str, options: dict | None = None, shots: int = 64):
    """A call with one row."""
    return hardware_call(
        ONE, [Observable.parse(each) for each in observables], Bindings(ROWS.rows[:1], ROWS.params),
        shots, DrawKey((1,)), device="d", identity=RunIdentity("r"), options=options or {},
        plan=plan_of(options or {}, shots),
    )  # fmt: skip


def test_parts_of_an_observable_and_their_variances_add_up():
    call = call_of("0.5*Z0 + 2*X0 + 3*I0", "Z0")
    letters = ["x" if basis.x else "z" for basis in group_observables(call.observables).bases]
    answers = {"z": [[[0.1, 0.01], [0.2, 0.04]]], "x": [[[0.4, 0.02]]]}
    found = estimates_of_call(call, [np.array(answers[letter]) for letter in letters])
    assert np.allclose(found.values, [[3.5, 0.2]])
    assert found.variances is not None
    assert np.allclose(found.variances, [[0.03, 0.04]])
    assert found.usage == (2, 128)


def test_a_variance_that_is_unknown_is_that_of_one_shot():
    found = estimates_of_call(call_of("0.5*Z0"), [np.array([[[0.1, np.inf]]])])
    assert found.variances is not None
    assert found.variances.tolist() == [[0.25]]
    once = call_of("Z0", options={"resilience_level": 0}, shots=1)
    assert estimates_of_call(once, [np.array([[[1.0, 0.0]]])]).variances is None


def test_a_value_that_is_no_number_is_an_error():
    with pytest.raises(BackendError, match="no number for 1 of 1 values"):
        estimates_of_call(call_of("Z0"), [np.array([[[np.inf, np.inf]]])])
