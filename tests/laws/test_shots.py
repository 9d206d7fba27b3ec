"""The laws of shots of our own states, beyond those that each sampling backend keeps."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import chi2

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Bindings, can_differentiate, can_prepare_states
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.sampling import run, tally
from qstore_ray.backends.sampling.draws import ShotStream, counts_of, distinct_outcomes
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BackendError, ConfigError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient, linearize
from qstore_ray.testing.strategies import Case, cases
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer
from tests.laws.test_training import _job, _train, rows

__all__ = ["rows"]  # a fixture

KEY = DrawKey((5, 2))
FEW = settings(max_examples=20, deadline=None)

TEMPLATE = Template(
    3,
    (
        Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("rx", (1,), (param(0),)),
        Op("rzz", (1, 2), (param(1),)), Op("h", (2,)), Op("cx", (2, 0)), Op("y", (1,)),
    ),
    1,
    2,
)  # fmt: skip
SEEN = tuple(
    map(Observable.parse, ("Z0", "X0 Y1", "0.5*Z0 + Z1 Z2 - 0.3*X0 + 2*I", "Y2", "I", "Z0 Z1 Z2"))
)
ASYMMETRIC = [[0.95, 0.15], [0.05, 0.85]]
NOISE = {
    "gates": [
        {"on": "one_qubit", "channel": {"name": "pauli", "probabilities": {"X": 0.04, "Y": 0.1}}},
        {"on": "two_qubit", "channel": {"name": "depolarizing", "p": 0.2}},
    ],
    "readout": {"0": 0.05, "1": ASYMMETRIC},
}


def _case(n_rows: int, observables: tuple[Observable, ...] = SEEN, first: int = 0) -> Case:
    x = np.linspace(0.1, 2.0, 40)[first : first + n_rows, None]
    return Case(TEMPLATE, observables, Bindings(x, np.array([0.7, -0.4])))


# ------------------------------------------------------------------------------- one draw, two ways


@pytest.mark.parametrize("shots", [1, 30, 60_000])
def test_counts_are_multinomial(shots: int):
    """Chi-square against the probabilities over many experiments, by either way of drawing."""
    p = np.array([0.5, 0.0, 0.25, 0.05, 0.2])
    stream = ShotStream(KEY, 0, np.array([shots]), 400)
    counts = counts_of(stream, 0, np.tile(p, (400, 1)))
    assert (counts.sum(axis=1) == shots).all()
    assert not counts[:, 1].any()
    seen, expected = counts.sum(axis=0)[p > 0], 400 * shots * p[p > 0]
    statistic = ((seen - expected) ** 2 / expected).sum()
    assert 1e-4 < chi2.sf(statistic, 3) < 1.0 - 1e-9
    scaled = (counts - shots * p) / np.sqrt(shots)
    np.testing.assert_allclose(np.cov(scaled.T), np.diag(p) - np.outer(p, p), atol=0.08)


@pytest.mark.parametrize("shots", [1, 30, 60_000])
def test_outcomes_looked_at_one_by_one_are_those_counted(shots: int):
    p = np.random.default_rng(1).dirichlet(np.ones(64), 7)
    stream = ShotStream(KEY, 1, np.array([shots]), 7)
    table = counts_of(stream, 0, p)
    for counts, (seen, times) in zip(table, distinct_outcomes(stream, 0, p), strict=True):
        np.testing.assert_array_equal(seen, np.flatnonzero(counts))
        np.testing.assert_array_equal(times, counts[seen])


@pytest.mark.parametrize("shots", [1, 60, 60_000])
@pytest.mark.parametrize("noise", [None, {"readout": ASYMMETRIC}, NOISE])
def test_counts_are_those_of_the_values(noise, shots: int):
    """With errors they are all trajectories', which share errors: no variance is known."""
    backend = StatevectorBackend(noise=noise, trajectories=3 if noise else None)
    values = backend.evaluate(*_case(5), shots=shots, key=KEY)
    counts = backend.counts(*_case(5), shots=shots, key=KEY)
    assert all(o.counts.sum() == shots for rows in counts.outcomes for o in rows)
    found = counts.estimates()
    assert found.usage == values.usage
    np.testing.assert_allclose(found.values, values.values, atol=1e-12)
    if noise is NOISE or shots == 1:
        assert found.variances is None
        assert noise is not NOISE or not counts.are_independent or shots == 1
    else:
        np.testing.assert_allclose(found.variances, values.variances, atol=1e-15)
    if noise is NOISE and shots == 60:
        each = StatevectorBackend(noise=noise, trajectories=60)
        assert each.counts(*_case(2), shots=60, key=KEY).estimates().variances is not None
    with pytest.raises(BackendError, match="only shots"):
        backend.counts(*_case(1), key=KEY)


@pytest.mark.parametrize("shots", [7, 40_000])
def test_the_size_of_tables_and_parts_changes_no_bit(shots: int, monkeypatch: pytest.MonkeyPatch):
    backend = StatevectorBackend(noise=NOISE, trajectories=3)
    plain = StatevectorBackend()
    found = [b.evaluate(*_case(9), shots=shots, key=KEY) for b in (backend, plain)]
    monkeypatch.setattr(run, "_BYTES", 1)
    monkeypatch.setattr(tally, "_TABLE", 0)
    again = [b.evaluate(*_case(9), shots=shots, key=KEY) for b in (backend, plain)]
    for one, other in zip(found, again, strict=True):
        assert one.values.tobytes() == other.values.tobytes()
        np.testing.assert_allclose(one.variances, other.variances, atol=1e-15)


# --------------------------------------------------------------------------------- rows, bits


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("noise", [None, NOISE])
@pytest.mark.parametrize("cut", [1, 3, 16])
def test_a_row_has_the_same_bits_in_any_part_of_the_batch(engine, noise, cut: int):
    backend = StatevectorBackend(engine, noise=noise, trajectories=2 if noise else None)
    whole = backend.evaluate(*_case(40), shots=51, key=KEY)
    for start in range(0, 40, cut):
        part = backend.evaluate(
            *_case(cut, first=start), shots=51, key=KEY._replace(first_row=start)
        )
        assert part.values.tobytes() == whole.values[start : start + cut].tobytes()
        assert part.variances.tobytes() == whole.variances[start : start + cut].tobytes()


def test_copies_of_a_row_have_the_same_errors_and_shots_of_their_own():
    """Errors flip the qubit or not: the mean of a trajectory is near one of two values."""
    template = Template(1, (Op("ry", (0,), (row(0),)),), 1, 0)
    noise = {"gates": [{"channel": {"name": "bit_flip", "p": 0.5}}]}
    backend = StatevectorBackend(noise=noise, shots=400)
    bindings = Bindings(np.full((120, 1), 0.6), np.zeros(0))
    key = KEY._replace(n_rows=40)
    copies = backend.evaluate(template, z_observables(1), bindings, key=key).values.reshape(3, 40)
    assert 5 < (copies[0] > 0).sum() < 35
    for copy in copies[1:]:
        np.testing.assert_array_equal(np.sign(copy), np.sign(copies[0]))
        off = np.abs(copy) - np.cos(0.6), np.abs(copies[0]) - np.cos(0.6)
        assert abs(np.corrcoef(*off)[0, 1]) < 0.8
    plain = StatevectorBackend(shots=400).evaluate(template, z_observables(1), bindings, key=key)
    assert len(set(map(tuple, plain.values.reshape(3, 40)))) == 3


# --------------------------------------------------------------------------------- noise and law


@FEW
@given(case=cases(max_ops=6))
def test_shots_with_errors_and_wrong_readout_average_to_the_density_matrix(case: Case):
    """Over the whole gate set and every letter, against Aer's exact values."""
    noise = {**NOISE, "readout": ASYMMETRIC}
    expected = AerBackend(noise=noise).evaluate(*case).values
    backend = StatevectorBackend(noise=noise, trajectories=1500)
    found = backend.evaluate(*case, shots=3000, key=KEY)
    # A mean of few rare outcomes may look certain: a standard error is at least that of one shot.
    least = np.array([sum(abs(t.coefficient) for t in o.terms) for o in case.observables]) / 3000
    error = np.maximum(np.sqrt(found.variances), 5 * least)
    assert (np.abs(found.values - expected) <= 5.0 * error + 1e-9).all()


@pytest.mark.parametrize("shots", [64, 6000])
def test_wrong_readout_of_shots_has_the_exact_affine_means(shots: int):
    backend = StatevectorBackend(noise={"readout": {"0": 0.05, "1": ASYMMETRIC}})
    case = Case(TEMPLATE, SEEN, Bindings(np.full((600, 1), 0.9), np.array([0.7, -0.4])))
    exact = backend.evaluate(*case, key=KEY).values[0]
    found = backend.evaluate(*case, shots=shots, key=KEY)
    scores = (found.values - exact) / np.sqrt(np.maximum(found.variances.mean(axis=0), 1e-12))
    assert (np.abs(scores.mean(axis=0)) * np.sqrt(600) <= 5.0).all()
    changing = [0, 1, 2, 3, 5]
    np.testing.assert_allclose(scores.var(axis=0)[changing], 1.0, atol=5 * np.sqrt(2 / 600))


@pytest.mark.parametrize(("shots", "trajectories"), [(50, 1000), (50, 7), (400, 4), (3, 2)])
def test_variances_have_the_spread_of_shots_and_of_errors_in_them(shots: int, trajectories: int):
    """Also for sums over several bases, which share the errors of a trajectory."""
    backend = StatevectorBackend(noise=NOISE, trajectories=trajectories)
    case = Case(TEMPLATE, SEEN, Bindings(np.full((1500, 1), 0.9), np.array([0.7, -0.4])))
    found = backend.evaluate(*case, shots=shots, key=KEY)
    exact = AerBackend(noise=NOISE).evaluate(*_one(case)).values[0]
    spread, reported = found.values.var(axis=0), found.variances.mean(axis=0)
    changing = [0, 1, 2, 3, 5]
    t = min(shots, trajectories)
    tolerance = 5 * np.sqrt(2 / 1500) * (1 + 1 / np.sqrt(t - 1))
    np.testing.assert_allclose(reported[changing] / spread[changing], 1.0, atol=tolerance)
    scores = (found.values.mean(axis=0) - exact) / np.sqrt(spread / 1500 + 1e-15)
    assert (np.abs(scores) <= 5.0).all()
    assert found.usage == (1500 * t * 2, 1500 * shots * 2)


def _one(case: Case) -> Case:
    return case._replace(bindings=Bindings(case.bindings.rows[:1], case.bindings.params))


@pytest.mark.parametrize(("shots", "trajectories"), [(1, 8), (100, 1)])
def test_one_trajectory_says_nothing_of_the_spread(shots: int, trajectories: int):
    backend = StatevectorBackend(noise=NOISE, trajectories=trajectories)
    assert backend.evaluate(*_case(2), shots=shots, key=KEY).variances is None


def test_noise_that_cannot_be_seen_needs_no_trajectories():
    noise = {"gates": [{"qubits": [2], "on": "h", "channel": {"name": "bit_flip", "p": 0.3}}]}
    template = Template(3, (Op("ry", (0,), (row(0),)), Op("h", (2,))), 1, 0)
    case = Case(template, z_observables(1), Bindings(np.full((3, 1), 0.4), np.zeros(0)))
    plain = StatevectorBackend().evaluate(*case, shots=90, key=KEY)
    noisy = StatevectorBackend(noise=noise, trajectories=9).evaluate(*case, shots=90, key=KEY)
    assert noisy.values.tobytes() == plain.values.tobytes()
    assert noisy.variances.tobytes() == plain.variances.tobytes()


# --------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("noise", [None, NOISE])
def test_parameter_shift_of_shots_is_unbiased_for_the_gradient_of_the_noise(noise):
    ops = (Op("ry", (0,), (row(0),)), Op("rx", (1,), (param(0),)), Op("rzz", (0, 1), (param(1),)))
    template = Template(2, (*ops, Op("h", (0,))), 1, 2)
    case = Case(template, SEEN[:2], Bindings(np.full((4000, 1), 0.9), np.array([0.7, -0.4])))
    backend = StatevectorBackend(noise=noise, shots=20)
    method = get_gradient("auto", backend)
    assert method.name == "parameter_shift"
    cotangent = np.tile([1.0, -0.5], (4000, 1))
    estimates, pullback = linearize(method, backend, *case, rows_gradient=True, key=KEY)
    gradients = pullback(cotangent)
    found = np.hstack([gradients.params, gradients.rows])
    exact = AerBackend(noise=noise)
    _, pullback = linearize(
        get_gradient("auto", exact), exact, *_one(case), rows_gradient=True, key=None
    )
    gradients = pullback(cotangent[:1])
    expected = np.hstack([gradients.params, gradients.rows])[0]
    errors = found.std(axis=0) / np.sqrt(4000)
    assert (np.abs(found.mean(axis=0) - expected) <= 5.0 * errors + 1e-12).all()
    assert estimates.usage.shots == 4000 * 20 * 2 * 7


def test_a_backend_of_shots_has_values_alone():
    backend, exact = StatevectorBackend(shots=100), StatevectorBackend()
    assert not can_differentiate(backend)
    assert not can_prepare_states(backend)
    assert can_differentiate(exact)
    assert can_prepare_states(exact)
    with pytest.raises(BackendError, match="parameter_shift"):
        backend.vjp(*_case(1), key=KEY)
    with pytest.raises(ConfigError, match="parameter_shift"):
        get_gradient("adjoint", backend)
    with pytest.raises(ConfigError, match="if it takes shots"):
        linearize(get_gradient("adjoint", exact), backend, *_case(1), key=KEY)


# --------------------------------------------------------------------------------- training


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam", "gradient": "parameter_shift"},
        {"optimizer": "spsa", "optimizer_options": {"directions": 2}},
        {"optimizer": "spsa", "noise": {**NOISE, "trajectories": 3, "test_trajectories": 4}},
        {"optimizer": "gcans", "optimizer_options": {"rule": "individual", "min_rows": 20}},
    ],
)
def test_workers_change_no_bit(options, rows, tmp_path: Path):
    options = {"backend_options": {"shots": 16}, "epochs": 2, **options}
    alone = _train(_job(tmp_path / "0", **options), rows)
    for workers in (1, 2, 3):
        found = _train(_job(tmp_path / str(workers), **options), rows, workers)
        assert found.theta.tobytes() == alone.theta.tobytes()
    other = _train(_job(tmp_path / "seed", **options, seed=6), rows)
    assert other.theta.tobytes() != alone.theta.tobytes()


def test_a_resumed_run_ends_as_an_uninterrupted_one(rows, tmp_path: Path):
    options = {"backend_options": {"shots": 16}, "optimizer": "spsa"}
    whole = _train(_job(tmp_path / "whole", **options), rows)
    part = _job(tmp_path / "parts", **options)
    assert _train(part, rows, 0, 3).status == "interrupted"
    parts = _train(replace(part, generation=2), rows)
    assert parts.theta.tobytes() == whole.theta.tobytes()


def test_test_rows_are_scored_with_shots_and_without(tmp_path: Path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3))
    data = DatasetLoader.from_arrays(x=x, y=(x[:, 0] > 0).astype(int))
    result = QuantumTrainer(
        ModelConfig(n_qubits=3, layers=1),
        TrainerConfig(epochs=2, optimizer="spsa", backend_options={"shots": 32}),
        storage=tmp_path,
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(data)
    assert {"test_accuracy", "noisy_test_accuracy", "noisy_test_loss"} <= set(result.metrics)
    assert result.metrics["noisy_test_loss"] != result.metrics["test_loss"]


# --------------------------------------------------------------------------------- options


def test_shots_of_the_options_are_those_of_every_evaluation():
    backend = StatevectorBackend(shots=200)
    assert backend.draws
    assert not StatevectorBackend().draws
    assert backend.for_testing().shots == 200
    assert StatevectorBackend(noise=NOISE, shots=200).for_testing().shots == 200
    found = backend.evaluate(*_case(2), key=KEY)
    asked = StatevectorBackend().evaluate(*_case(2), shots=200, key=KEY)
    assert found.values.tobytes() == asked.values.tobytes()
    assert found.usage == asked.usage == (4, 800)
    assert backend.evaluate(*_case(2), shots=10, key=KEY).usage.shots == 40
    with pytest.raises(BackendError, match="key"):
        backend.evaluate(*_case(1))
    assert repr(backend).endswith("shots=200)")
    sent = pickle.loads(pickle.dumps(StatevectorBackend(noise=NOISE, trajectories=5, shots=9)))
    assert (sent.noise.trajectories, sent.trajectories, sent.shots) == (1, 5, 9)


@pytest.mark.parametrize("shots", [0, -5, True, 2.0, "many"])
def test_shots_that_are_no_number_are_refused(shots):
    with pytest.raises(ConfigError, match="shots"):
        StatevectorBackend(shots=shots)


@pytest.mark.parametrize("trajectories", [0, -1, True, 1.5])
def test_trajectories_that_are_no_number_are_refused(trajectories):
    with pytest.raises(ConfigError, match="trajectories"):
        StatevectorBackend(noise=NOISE, trajectories=trajectories)


def test_a_string_on_many_qubits_is_read_wrongly_by_shots_only():
    """Exact values multiply the readout out, which has a limit; bits have none."""
    template = Template(12, tuple(Op("x", (q,)) for q in range(12)))
    seen = (Observable.parse(" ".join(f"Z{q}" for q in range(12))),)
    case = Case(template, seen, Bindings(np.zeros((400, 0)), np.zeros(0)))
    noise = {"readout": [[1.0, 0.1], [0.0, 0.9]]}
    with pytest.raises(BackendError, match="readout"):
        StatevectorBackend(noise=noise).evaluate(*case, key=KEY)
    found = StatevectorBackend(noise=noise, shots=100)
    found.check(*case)
    values = found.evaluate(*case, key=KEY).values
    assert values.mean() == pytest.approx(0.8**12, abs=5 / np.sqrt(400 * 100))


def test_single_precision_draws_from_the_same_law():
    backend = StatevectorBackend(engine="native", precision="complex64")
    found = backend.evaluate(*_case(20), shots=4000, key=KEY)
    exact = StatevectorBackend().evaluate(*_case(20)).values
    assert (np.abs(found.values - exact) <= 5 * np.sqrt(found.variances) + 1e-3).all()
