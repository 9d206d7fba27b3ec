"""The laws of mitigation: less wrong under noise, nothing changed without it."""

from __future__ import annotations

import pickle
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Backend, Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation.backend import MitigatedBackend, open_mitigated
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import BackendError, ConfigError
from qstore_ray.simulate import reference
from qstore_ray.testing import BackendLaws, SamplingLaws
from qstore_ray.testing.strategies import Case, cases

KEY = DrawKey((1, 2, 3))
FEW = settings(max_examples=12, deadline=None)
small = cases(max_ops=6)

NOTHING: dict = {"gates": [{"channel": {"name": "bit_flip", "p": 0.0}}]}
CHANNELS = [
    {"on": "one_qubit", "channel": {"name": "depolarizing", "p": 0.01}},
    {"on": "two_qubit", "channel": {"name": "depolarizing", "p": 0.03}},
]
READOUT = [[0.96, 0.08], [0.04, 0.92]]
NOISE = {"gates": CHANNELS, "readout": READOUT}

TEMPLATE = Template(
    3,
    (
        *(Op("ry", (q,), (row(q),)) for q in range(3)),
        Op("cx", (0, 1)),
        Op("rzz", (2, 1), (param(0),)),
        Op("sx", (0,)),
        Op("cz", (2, 0)),
        Op("rx", (1,), (param(1),)),
    ),
    3,
    2,
)
SEEN = (*z_observables(3), *map(Observable.parse, ("Z0 Z1", "X0 Y2", "0.5*Z0 Z1 Z2 - X1 + 2*I")))
BINDINGS = Bindings(
    np.array([[0.3, 0.8, 1.2], [1.0, 0.2, -0.4], [2.0, -1.1, 0.5], [0.1, 0.7, 2.9]]),
    np.array([0.7, -0.5]),
)
EXACT = reference.expectations(TEMPLATE, SEEN, BINDINGS.rows, BINDINGS.params, None)
CASE = Case(TEMPLATE, SEEN, BINDINGS)

TECHNIQUES = {
    "inverse": {"readout": "inverse"},
    "calibrated": {"readout": "inverse", "calibration": "circuits"},
    "global linear": {"zne": {"scales": [1, 3]}},
    "global richardson": {"zne": {"scales": [1, 3, 5], "extrapolation": "richardson"}},
    "local exponential": {
        "zne": {"scales": [1, 3], "folding": "local", "extrapolation": "exponential"}
    },
    "twirl": {"twirl": 3},
    "all": {"readout": "inverse", "zne": {"scales": [1, 3], "folding": "local"}, "twirl": 2},
}
with_shots = {"matrix free": {"readout": "matrix_free"}}


def _mitigated(name: str, technique: dict, **options) -> MitigatedBackend:
    return open_mitigated(name, options, MitigationConfig(**technique))


class TestMitigatedBackends(BackendLaws):
    """Around a backend whose noise does nothing."""

    @pytest.fixture(params=["inverse", "global richardson", "local exponential"])
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        return _mitigated("statevector", TECHNIQUES[request.param], noise=NOTHING)


class TestMitigatedShots(SamplingLaws):
    @pytest.fixture(params=["inverse", "matrix free"])
    def technique(self, request: pytest.FixtureRequest) -> dict:
        return (TECHNIQUES | with_shots)[request.param]

    @pytest.fixture(params=["aer", "statevector"])
    def backend(self, request: pytest.FixtureRequest, technique: dict) -> Backend:
        return _mitigated(request.param, technique, noise={"readout": 0.0}, shots=64)


@pytest.mark.parametrize("technique", TECHNIQUES.values(), ids=TECHNIQUES)
@FEW
@given(case=small)
def test_no_technique_changes_a_noiseless_value(technique: dict, case: Case):
    template, observables, b = case
    exact = reference.expectations(template, observables, b.rows, b.params, b.amplitudes)
    for name in ("statevector", "aer"):
        found = _mitigated(name, technique, noise=NOTHING).evaluate(*case, key=KEY)
        np.testing.assert_allclose(found.values, exact, atol=1e-9)


@pytest.mark.parametrize("technique", (TECHNIQUES | with_shots).values(),
                         ids=TECHNIQUES | with_shots)  # fmt: skip
def test_no_technique_changes_noiseless_shots_beyond_their_error(technique: dict):
    backend = _mitigated("aer", technique, noise=NOTHING, shots=2000)
    found = backend.evaluate(*CASE, key=KEY)
    slack = 0.05 if technique.get("calibration") else 1e-9  # of the calibration's own shots
    if technique.get("twirl"):  # two or three instances say little about their spread
        slack = 0.2
    assert (np.abs(found.values - EXACT) <= 5.0 * np.sqrt(found.variances) + slack).all()


@pytest.mark.parametrize(
    ("name", "noise"),
    [
        ("inverse", {"readout": READOUT}),
        ("calibrated", {"readout": READOUT}),
        ("inverse", NOISE),
        ("global linear", {"gates": CHANNELS}),
        ("global richardson", {"gates": CHANNELS}),
        ("local exponential", {"gates": CHANNELS}),
        ("all", NOISE),
    ],
)
def test_each_technique_reduces_a_known_error(name: str, noise: dict):
    """Exact noisy values, of the density matrix: there is no chance in it."""
    options = {"noise": noise, "method": "density_matrix"}
    raw = open_backend("aer", options).evaluate(*CASE, key=KEY).values
    found = _mitigated("aer", TECHNIQUES[name], **options).evaluate(*CASE, key=KEY).values
    before, after = np.abs(raw - EXACT), np.abs(found - EXACT)
    share = 0.9 if noise is NOISE and name == "inverse" else 0.5
    assert after.max() <= share * before.max()
    assert np.sqrt((after**2).mean()) <= share * np.sqrt((before**2).mean())


@pytest.mark.parametrize("name", ["inverse", "global richardson", "local exponential", "all"])
def test_trajectories_agree_with_the_density_matrix(name: str):
    """The exact engine takes no folded gate out before its noise has acted."""
    technique = TECHNIQUES[name]
    exact = _mitigated("aer", technique, noise=NOISE, method="density_matrix")
    sampled = _mitigated("statevector", technique, noise=NOISE, trajectories=4000)
    expected = exact.evaluate(*CASE, key=KEY).values
    found = sampled.evaluate(*CASE, key=KEY)
    # Pauli noise is the same in every twirled instance.
    error = np.abs(found.values - expected)
    spread = np.sqrt(found.variances).max() if technique.get("twirl") else np.sqrt(found.variances)
    assert (error <= 5.0 * spread + 1e-9).all()


confusions = st.tuples(st.floats(0.0, 0.3), st.floats(0.0, 0.3)).map(
    lambda p: [[1 - p[0], p[1]], [p[0], 1 - p[1]]]
)


@pytest.mark.parametrize("calibration", ["noise", "circuits"])
@FEW
@given(case=small, matrices=st.lists(confusions, min_size=3, max_size=3))
def test_readout_inversion_is_exact_for_exact_readout(calibration: str, case: Case, matrices):
    template, observables, b = case
    noise = {"readout": {str(q): m for q, m in enumerate(matrices[: template.n_qubits])}}
    technique = {"readout": "inverse", "calibration": calibration}
    exact = reference.expectations(template, observables, b.rows, b.params, b.amplitudes)
    for name in ("statevector", "aer"):
        found = _mitigated(name, technique, noise=noise).evaluate(*case, key=KEY)
        np.testing.assert_allclose(found.values, exact, atol=1e-9)


@pytest.mark.parametrize("technique", ["inverse", "matrix free"])
def test_inverted_shots_have_the_true_mean_and_the_spread_that_they_report(technique: str):
    found = [
        _mitigated(
            "aer", (TECHNIQUES | with_shots)[technique], noise={"readout": READOUT}, shots=1000
        ).evaluate(*CASE, key=KEY.and_also(number))
        for number in range(30)
    ]
    values = np.array([each.values for each in found])
    variances = np.array([each.variances for each in found]).mean(axis=0)
    assert (np.abs(values.mean(axis=0) - EXACT) <= 5.0 * np.sqrt(variances / 30) + 2e-3).all()
    assert np.allclose(values.var(axis=0, ddof=1).mean(), variances.mean(), rtol=0.2)


@pytest.mark.parametrize("fit", ["linear", "richardson"])
def test_extrapolated_shots_spread_as_they_report(fit: str):
    """Scales have draws of their own: of one draw, errors of the scales would cancel."""
    zne = {"scales": [1, 3, 5], "extrapolation": fit}
    backend = _mitigated("aer", {"zne": zne}, noise=NOTHING, shots=50)
    many = Bindings(np.repeat(BINDINGS.rows, 50, axis=0), BINDINGS.params)
    found = backend.evaluate(TEMPLATE, SEEN, many, key=KEY)
    spread = found.values.reshape(4, 50, -1).var(axis=1, ddof=1)
    reported = found.variances.reshape(4, 50, -1).mean(axis=1)
    assert spread.sum() == pytest.approx(reported.sum(), rel=0.25)


def test_an_exponential_is_exact_for_depolarizing_of_one_qubit():
    """Each gate multiplies ⟨Z⟩ by 1 − p, so a scale λ multiplies it by (1 − p)^(λ g)."""
    template = Template(1, tuple(Op("ry", (0,), (row(0, 0.25),)) for _ in range(4)), 1, 0)
    bindings = Bindings(np.array([[0.4], [2.1]]), np.zeros(0))
    noise = {"gates": [{"channel": {"name": "depolarizing", "p": 0.08}}]}
    for folding, scales in product(("global", "local"), ([1, 3, 5], [1, 1.5, 2, 2.5])):
        zne = {"scales": scales, "folding": folding, "extrapolation": "exponential"}
        backend = _mitigated("aer", {"zne": zne}, noise=noise)
        found = backend.evaluate(template, z_observables(1), bindings)
        np.testing.assert_allclose(found.values, np.cos(bindings.rows), atol=1e-9)


def test_a_twirl_turns_a_coherent_error_into_a_pauli_error():
    """An over-rotated rzz(π/2) is, in the mean over all strings, rzz(π/2) with random ZZ."""
    over = 0.2
    ops = (Op("ry", (0,), (row(0),)), Op("rx", (1,), (row(1),)))
    template = Template(2, (*ops, Op("rzz", (0, 1), (const(np.pi / 2),))), 2, 0)
    seen = tuple(map(Observable.parse, ("X0", "Y0", "Y1 X0", "Z0 Y1", "X1")))
    bindings = Bindings(np.array([[0.9, 0.4]]), np.zeros(0))
    # `u` turns the first two, so that only the gate of two qubits is a rotation too large.
    turned = tuple(
        Op("u", op.qubits, (op.angles[0], const(0.0), const(0.0))) if op.gate == "ry"
        else Op("u", op.qubits, (op.angles[0], const(-np.pi / 2), const(np.pi / 2)))
        for op in ops
    )  # fmt: skip
    coherent = Template(2, (*turned, template.ops[2]), 2, 0)
    twirled = _mitigated("statevector", {"twirl": 4000}, noise={"over_rotation": over})
    found = twirled.evaluate(coherent, seen, bindings, key=KEY)
    p = np.sin(over * np.pi / 4) ** 2
    channel = {"name": "pauli", "probabilities": {"ZZ": p}}
    pauli = open_backend("aer", {"noise": {"gates": [{"on": "rzz", "channel": channel}]}})
    expected = pauli.evaluate(template, seen, bindings).values
    assert (np.abs(found.values - expected) <= 5.0 * np.sqrt(found.variances) + 1e-9).all()
    untouched = open_backend("statevector", {"noise": {"over_rotation": over}})
    raw = untouched.evaluate(coherent, seen, bindings, key=KEY).values
    assert np.abs(raw - expected).max() > 10.0 * np.abs(found.values - expected).max()


def test_a_twirl_reduces_the_bias_that_folding_cannot_see():
    """U† undoes a coherent error, so folding alone extrapolates it to itself."""
    noise = {"over_rotation": 0.15}
    template = Template(
        2, (Op("h", (0,)), Op("h", (1,)), Op("rzz", (0, 1), (const(np.pi / 2),))), 0, 0
    )
    seen = (Observable.parse("Y0 Z1"), Observable.parse("Z0 Y1"), Observable.parse("X0"))
    case = (template, seen, Bindings(np.zeros((1, 0)), np.zeros(0)))
    exact = reference.expectations(template, seen, np.zeros((1, 0)), np.zeros(0), None)
    zne = {"scales": [1, 3, 5], "extrapolation": "richardson"}
    alone = _mitigated("statevector", {"zne": zne}, noise=noise).evaluate(*case, key=KEY)
    both = _mitigated("statevector", {"zne": zne, "twirl": 4000}, noise=noise)
    found = both.evaluate(*case, key=KEY)
    assert np.abs(found.values - exact).max() < 0.2 * np.abs(alone.values - exact).max()


@pytest.mark.parametrize("device", ["fake_torino", "fake_sherbrooke"])
@pytest.mark.parametrize("folding", ["global", "local"])
def test_a_device_adds_its_noise_to_folded_gates(device: str, folding: str):
    """The circuit is compiled once and folded then: a transpiler would take U†U out."""
    noise = {"device": device, "twirl": True}
    zne = {"scales": [1, 3], "folding": folding}
    options = {"noise": noise, "method": "density_matrix"}
    raw = open_backend("aer", options).evaluate(*CASE, key=KEY).values
    mitigated = _mitigated("aer", {"readout": "inverse", "zne": zne, "twirl": 2}, **options)
    found = mitigated.evaluate(*CASE, key=KEY).values
    assert np.abs(found - EXACT).max() < 0.25 * np.abs(raw - EXACT).max()


DIFFERENTIABLE = {
    "inverse": TECHNIQUES["inverse"],
    "partial linear": {"zne": {"scales": [1, 1.5, 2]}},
    "richardson": {"zne": {"scales": [1, 3], "extrapolation": "richardson", "folding": "local"}},
    "exponential": {"zne": {"scales": [1, 3], "extrapolation": "exponential"}},
    "twirl": TECHNIQUES["twirl"],
    "all": TECHNIQUES["all"],
}


@pytest.mark.parametrize("technique", DIFFERENTIABLE.values(), ids=DIFFERENTIABLE)
def test_gradients_are_central_differences_of_the_very_draws(technique: dict):
    backend = _mitigated("statevector", technique, noise=NOISE, trajectories=2)
    cotangent = np.random.default_rng(3).normal(size=EXACT.shape)
    estimates, pullback = backend.vjp(*CASE, rows_gradient=True, key=KEY)
    np.testing.assert_allclose(estimates.values, backend.evaluate(*CASE, key=KEY).values)
    found = pullback(cotangent)
    assert found.rows.shape == BINDINGS.rows.shape

    def value(rows, params) -> float:
        bindings = Bindings(rows, params)
        values = backend.evaluate(TEMPLATE, SEEN, bindings, key=KEY).values
        return float((values * cotangent).sum())

    step = 1e-5
    for k in range(len(BINDINGS.params)):
        shift = step * np.eye(len(BINDINGS.params))[k]
        up, down = (value(BINDINGS.rows, BINDINGS.params + s) for s in (shift, -shift))
        assert (up - down) / (2 * step) == pytest.approx(found.params.sum(axis=0)[k], abs=2e-6)
    shift = np.zeros(BINDINGS.rows.shape)
    shift[1, 2] = step
    up, down = (value(BINDINGS.rows + s, BINDINGS.params) for s in (shift, -shift))
    assert (up - down) / (2 * step) == pytest.approx(found.rows[1, 2], abs=2e-6)


KEYED = {
    "statevector": ("statevector", TECHNIQUES["all"], {"noise": NOISE, "trajectories": 2}),
    "statevector shots": (
        "statevector",
        TECHNIQUES["all"],
        {"noise": NOISE, "trajectories": 2, "shots": 32},
    ),
    "aer shots": ("aer", TECHNIQUES["all"], {"noise": NOISE, "shots": 32}),
    "matrix free": ("aer", {"readout": "matrix_free", "twirl": 2}, {"noise": NOISE, "shots": 32}),
    "matrix free, own shots": (
        "statevector",
        {"readout": "matrix_free", "twirl": 2},
        {"noise": NOISE, "trajectories": 2, "shots": 32},
    ),
}


@pytest.mark.parametrize(("name", "technique", "options"), KEYED.values(), ids=KEYED)
def test_what_a_row_draws_depends_on_the_key_and_its_number_alone(name, technique, options):
    backend = _mitigated(name, technique, **options)
    whole = backend.evaluate(*CASE, key=KEY).values
    again = pickle.loads(pickle.dumps(backend)).evaluate(*CASE, key=KEY).values
    assert whole.tobytes() == again.tobytes()
    second = Bindings(BINDINGS.rows[2:], BINDINGS.params)
    part = backend.evaluate(TEMPLATE, SEEN, second, key=KEY._replace(first_row=2)).values
    np.testing.assert_allclose(part, whole[2:], atol=1e-13)
    twice = Bindings(np.vstack([BINDINGS.rows] * 2), BINDINGS.params)
    copies = backend.evaluate(TEMPLATE, SEEN, twice, key=KEY._replace(n_rows=4)).values
    np.testing.assert_allclose(copies[:4], whole, atol=1e-13)
    if "shots" not in options:  # copies have shots of their own
        np.testing.assert_allclose(copies[4:], whole, atol=1e-13)
    other = backend.evaluate(*CASE, key=KEY.and_also(1)).values
    assert (other != whole).any(axis=1).all()


@pytest.mark.parametrize(("name", "technique", "options"), KEYED.values(), ids=KEYED)
def test_the_cost_is_what_an_evaluation_uses(name, technique, options):
    plain = open_backend(name, {**options, "noise": NoiseConfig.from_dict(NOISE)})
    before = plain.evaluate(*CASE, key=KEY).usage
    backend = _mitigated(name, technique, **options)
    after, cost = backend.evaluate(*CASE, key=KEY).usage, backend.cost()
    assert cost == MitigationConfig(**technique).cost()
    assert after.shots == cost.shots * before.shots
    # More strings to measure after inversion need no more bases here.
    assert after.circuits == cost.circuits * before.circuits


def test_it_is_the_backend_of_test_rows_too():
    backend = _mitigated("statevector", TECHNIQUES["all"], noise={**NOISE, "test_trajectories": 7})
    assert backend.draws
    assert backend.samples
    one_row = Bindings(BINDINGS.rows[:1], BINDINGS.params)
    found = backend.for_testing().evaluate(TEMPLATE, SEEN, one_row, key=KEY)
    trained = backend.evaluate(TEMPLATE, SEEN, one_row, key=KEY)
    assert found.usage.circuits == 7 * trained.usage.circuits


def test_the_wrappers_refuse_what_they_cannot_do():
    with pytest.raises(ConfigError, match="exact"):
        _mitigated("statevector", {"zne": True})
    with pytest.raises(ConfigError, match="bit strings of shots"):
        _mitigated("statevector", {"readout": "matrix_free"}, noise=NOISE)
    with pytest.raises(ConfigError, match="not known"):
        _mitigated("aer", {"readout": "inverse"}, shots=8)
    with pytest.raises(BackendError, match="key"):
        _mitigated("statevector", {"twirl": 2}, noise=NOTHING).evaluate(*CASE)
    for technique, options in (("inverse", {}), ("matrix_free", {"shots": 8})):
        blind = _mitigated("aer", {"readout": technique}, noise={"readout": 0.5}, **options)
        with pytest.raises(BackendError, match="alike"):
            blind.check(*CASE)
    assert not hasattr(_mitigated("aer", {"readout": "inverse"}, noise=NOISE), "vjp")
