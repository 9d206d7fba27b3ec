"""Every sampler: its values are in the space, and it repeats itself under a seed."""

from __future__ import annotations

import importlib.util
import itertools

import pytest

from qstore_ray.errors import ConfigError, MissingDependencyError, UnknownNameError
from qstore_ray.testing import SamplerLaws
from qstore_ray.testing.samplers import ONE, TWO, opened, run
from qstore_ray.testing.search_spaces import NUMBERS, SPACE, UNCONDITIONAL
from qstore_ray.tune.samplers import SAMPLERS, get_sampler
from qstore_ray.tune.space.space import Space

PACKAGES = {"gp": "torch", "cmaes": "cmaes"}
QUICK = {
    "tpe": {"startup": 4},
    "gp": {"startup": 4},
    "nsga2": {"population": 4},
    "nsga3": {"population": 4},
}
TABLES = {"cmaes": NUMBERS, "gp": UNCONDITIONAL}
there = {name: importlib.util.find_spec(package) is not None for name, package in PACKAGES.items()}
members = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not there.get(name, True), reason=f"{PACKAGES.get(name)} is not installed"
        ),
    )
    for name in sorted(SAMPLERS)
]


class TestEverySampler(SamplerLaws):
    @pytest.fixture(params=members)
    def sampler(self, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.fixture
    def options(self, sampler: str) -> dict:
        return QUICK.get(sampler, {})

    @pytest.fixture
    def space(self, sampler: str) -> dict:
        return TABLES.get(sampler, SPACE)

    @pytest.fixture
    def most_objectives(self, sampler: str) -> int:
        return 1 if sampler == "cmaes" else 2

    @pytest.fixture
    def random(self, sampler: str) -> bool:
        return sampler != "grid"

    def test_a_condition_is_kept(self, sampler, options, space, tmp_path):
        """A field has a value if and only if its condition holds."""
        if space is not SPACE:
            return  # it has no conditions
        with opened(tmp_path, sampler, options, space) as study:
            momentum = "trainer.optimizer_options.momentum"
            assert all((momentum in v) == (v["trainer.optimizer"] == "sgd") for v in run(study))


def test_a_grid_tries_every_combination_once_and_ends(tmp_path):
    small = {field: SPACE[field] for field in ("model.layers", "trainer.optimizer")}
    with opened(tmp_path, "grid", {}, small, trials=50) as study:
        tried = []
        while trial := study.ask():
            tried.append((trial.values["model.layers"], trial.values["trainer.optimizer"]))
            study.tell(trial.number, [0.0])
    assert sorted(tried) == sorted(itertools.product((1, 4, 7), ("adam", "sgd")))


def test_quasi_random_points_fill_every_direction_evenly():
    """Of 64 scrambled Sobol points, each half, quarter and eighth of a range has its share."""
    space = Space.from_dict(
        {f"model.p{k}": {"type": "float", "low": 0.0, "high": 1.0} for k in range(5)}
    )
    points = get_sampler("qmc").points(space, seed=3, limit=64)
    rows = [points(index) for index in range(64)]
    for field in space.order:
        eighths = [int(8 * row[field]) for row in rows]
        assert [eighths.count(k) for k in range(8)] == [8] * 8


@pytest.mark.parametrize("name", ["tpe", "nsga2"])
def test_what_learns_finds_better_than_chance(tmp_path, name):
    table = {f"model.p{k}": {"type": "float", "low": -1.0, "high": 1.0} for k in range(2)}
    space = Space.from_dict(table)

    def best(sampler: str) -> float:
        import optuna

        chosen = get_sampler(sampler, QUICK.get(sampler))
        points = None if hasattr(chosen, "open") else chosen.points(space, seed=1, limit=60)
        study = optuna.create_study(sampler=chosen.open(1) if points is None else None)
        costs = []
        for index in range(60):
            trial = study.ask()
            values = space.suggest(trial) if points is None else points(index)
            costs.append(sum((value - 0.3) ** 2 for value in values.values()))
            study.tell(trial, costs[-1])
        return sum(costs[-20:]) / 20

    assert best(name) < 0.5 * best("random")


# ------------------------------------------------------------------------------- what is refused


def test_an_unknown_sampler_lists_the_known_ones():
    with pytest.raises(UnknownNameError) as caught:
        get_sampler("tpee")
    assert "'tpe'" in caught.value.fix
    with pytest.raises(ConfigError) as caught:
        get_sampler("tpe", {"startups": 3})
    assert caught.value.field == "sampler_options.startups"


@pytest.mark.parametrize(("name", "install"), [("gp", "qstore-ray[torch]"), ("cmaes", "cmaes")])
def test_a_package_that_is_not_there_is_named(tmp_path, name, install, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError) as caught:
        opened(tmp_path, name, {}, TABLES.get(name, SPACE))
    assert caught.value.field == "tune.sampler"
    assert install in caught.value.fix
    assert not (tmp_path / "s").exists(), "refused before anything was written"


@pytest.mark.parametrize(
    ("name", "table", "goals", "words"),
    [
        ("gp", SPACE, ONE, "conditional"),
        ("cmaes", SPACE, ONE, "conditional"),
        ("cmaes", UNCONDITIONAL, ONE, "choices"),
        ("cmaes", NUMBERS, TWO, "one objective"),
        ("cmaes", {"model.layers": SPACE["model.layers"]}, ONE, "two parameters"),
    ],
)
def test_what_a_sampler_cannot_learn_it_refuses(name, table, goals, words, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    with pytest.raises(ConfigError) as caught:
        get_sampler(name).check(Space.from_dict(table), len(goals))
    assert caught.value.field == "sampler"
    assert words in caught.value.message
    assert "tpe" in caught.value.fix
