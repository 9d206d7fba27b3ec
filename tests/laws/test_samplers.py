"""Every sampler: its values are in the space, and it repeats itself under a seed."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path

import pytest

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, MissingDependencyError, UnknownNameError
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.samplers import SAMPLERS, get_sampler
from qstore_ray.tune.samplers.base import Design
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.study import Study
from tests.search_spaces import NUMBERS, SPACE, UNCONDITIONAL
from tests.studies import opened
from tests.unit.tune.test_space import JOB

PACKAGES = {"gp": "torch", "cmaes": "cmaes"}
QUICK = {
    "tpe": {"startup": 4},
    "gp": {"startup": 4},
    "nsga2": {"population": 4},
    "nsga3": {"population": 4},
}
TABLES = {"cmaes": NUMBERS, "gp": UNCONDITIONAL}
TRIALS = 14

GOAL = [Objective(metric="val_loss")]
GOALS = [*GOAL, Objective(metric="circuit_evaluations", mode="min")]

there = {name: importlib.util.find_spec(package) is not None for name, package in PACKAGES.items()}
every_sampler = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not there.get(name, True), reason=f"{PACKAGES.get(name)} is not installed"
            ),
        )
        for name in sorted(SAMPLERS)
    ],
)


def _open(folder: Path, name: str, **options) -> Study:
    space = Space.from_dict(TABLES.get(name, SPACE))
    options = {"objectives": GOAL, "trials": 300 if name == "grid" else TRIALS, **options}
    return opened(folder, space=space, sampler=name, sampler_options=QUICK.get(name, {}), **options)


def _cost(values) -> float:
    return values["trainer.learning_rate"] + 0.1 * values["model.layers"]


def _run(study: Study, trials: int = TRIALS) -> list[dict]:
    """Ask and tell one at a time, as many objectives as there are."""
    seen = []
    for trial in itertools.islice(iter(study.ask, None), trials):
        seen.append(trial.values)
        cost = _cost(trial.values)
        study.tell(trial.number, [cost, -cost][: len(study.objectives)])
    return seen


@every_sampler
@pytest.mark.parametrize("goals", [GOAL, GOALS], ids=["one", "two"])
def test_all_it_chooses_is_in_the_space_and_whole_numbers_are_whole(tmp_path, name, goals):
    if name == "cmaes":
        goals = GOAL  # it refuses several, see below
    with _open(tmp_path, name, objectives=goals) as study:
        chosen = _run(study)
    assert len(chosen) == TRIALS
    assert all(study.space.contains(values) for values in chosen)
    assert all(type(values["model.layers"]) is int for values in chosen)
    if "trainer.optimizer" in study.space.parameters and name not in TABLES:
        momentum = "trainer.optimizer_options.momentum"
        assert all((momentum in v) == (v["trainer.optimizer"] == "sgd") for v in chosen)
    assert all(study.space.apply(JOB, values) for values in chosen)


@every_sampler
def test_the_same_seed_gives_the_same_trials_and_another_seed_others(tmp_path, name):
    runs = []
    for place, seed in enumerate((0, 0, 1)):
        with _open(tmp_path / str(place), name, seed=seed) as study:
            runs.append(_run(study))
    assert runs[0] == runs[1]
    assert (runs[0] != runs[2]) == (name != "grid")


@every_sampler
def test_a_resumed_search_does_not_try_the_same_again(tmp_path, name):
    with _open(tmp_path, name) as study:
        first = _run(study, 5)
    with _open(tmp_path, name, existing="resume") as study:
        second = _run(study, 5)
    texts = [json.dumps(values, sort_keys=True) for values in first + second]
    assert len(set(texts)) == 10 if name in {"grid", "qmc", "random"} else texts[:5] != texts[5:]


@pytest.mark.parametrize("name", [n for n, cls in SAMPLERS.items() if issubclass(cls, Config)])
def test_points_of_a_design_do_not_depend_on_how_trials_end(tmp_path, name):
    if not isinstance(get_sampler(name), Design):
        with pytest.raises(ConfigError):
            get_sampler(name, {"nonsense": 1})
        return
    with _open(tmp_path / "one", name) as study:
        one = _run(study, 12)
    with _open(tmp_path / "four", name) as study:
        asked = [study.ask() for _ in range(12)]
    with _open(tmp_path / "many", name) as study:
        many = _run(study, 4)
    with _open(tmp_path / "many", name, existing="resume") as study:
        many += _run(study, 8)
    assert one == [trial.values for trial in asked] == many


def test_a_grid_tries_every_combination_once_and_ends(tmp_path):
    small = {field: SPACE[field] for field in ("model.layers", "trainer.optimizer")}
    space = Space.from_dict(small)
    with opened(tmp_path, space=space, sampler="grid", objectives=GOAL, trials=50) as study:
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
        _open(tmp_path, name)
    assert caught.value.field == "sampler"
    assert install in caught.value.fix
    assert not (tmp_path / "s").exists(), "refused before anything was written"


@pytest.mark.parametrize(
    ("name", "table", "goals", "words"),
    [
        ("gp", SPACE, GOAL, "conditional"),
        ("cmaes", SPACE, GOAL, "conditional"),
        ("cmaes", UNCONDITIONAL, GOAL, "choices"),
        ("cmaes", NUMBERS, GOALS, "one objective"),
        ("cmaes", {"model.layers": SPACE["model.layers"]}, GOAL, "two parameters"),
    ],
)
def test_what_a_sampler_cannot_learn_it_refuses(name, table, goals, words, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    with pytest.raises(ConfigError) as caught:
        get_sampler(name).check(Space.from_dict(table), len(goals))
    assert caught.value.field == "sampler"
    assert words in caught.value.message
    assert "tpe" in caught.value.fix
