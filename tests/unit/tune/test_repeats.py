"""A point that a search has tried is not trained again, and a finite space comes to its end."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import optuna
import pytest

from qstore_ray.tune.objective import Objective
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.repeats import Tried, mark_of, size_of
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.study.study import Study
from qstore_ray.tune.study.trial_result import Pruned, TrialFailure
from tests.studies import opened

LAYERS = {"model.layers": {"type": "int", "low": 1, "high": 8}}
SMALL = {
    "model.layers": {"type": "int", "low": 1, "high": 3},
    "trainer.optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
    "trainer.epochs": {"type": "fixed", "value": 2},
}
GOAL = [Objective(metric="val_loss")]
GOALS = [*GOAL, Objective(metric="circuit_evaluations", mode="min")]
STARTUP = {"tpe": {"startup": 2}, "nsga2": {"population": 3}}
every_sampler = pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random", "qmc", "grid"])


def _open(storage: Path, table=SMALL, sampler="tpe", **options) -> Study:
    search = {"space": Space.from_dict(table), "objectives": GOAL, "trials": 20, "sampler": sampler}
    return opened(storage, **{**search, "sampler_options": STARTUP.get(sampler, {}), **options})


def _run(study: Study, most: int = 99) -> list[dict]:
    """Ask and tell one at a time; what was tried."""
    seen: list[dict] = []
    while len(seen) < most and (trial := study.ask()):
        seen.append(trial.values)
        cost = float(trial.values["model.layers"])
        study.report(trial.number, 0, cost)
        study.tell(trial.number, [cost, -cost][: len(study.objectives)])
    return seen


def _texts(points: list[dict]) -> list[str]:
    return [json.dumps(point, sort_keys=True) for point in points]


def _stored(storage: Path) -> list[optuna.trial.FrozenTrial]:
    """All trials as the study keeps them."""
    backend = optuna.storages.journal.JournalFileBackend(str(storage / "s" / "study.journal"))
    keep = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name="s", storage=keep).trials


@every_sampler
@pytest.mark.parametrize("goals", [GOAL, GOALS], ids=["one", "two"])
def test_every_point_of_a_finite_space_is_tried_once_and_the_search_ends(tmp_path, sampler, goals):
    with _open(tmp_path, sampler=sampler, objectives=goals) as study:
        tried = _run(study)
        assert study.is_done
        assert study.is_exhausted
        assert study.left == 14
        assert study.ask() is None
    assert Counter(_texts(tried)).most_common(1)[0][1] == 1
    assert len(tried) == 6
    assert len(read_result(tmp_path, "s").trials) == 6


@every_sampler
def test_all_trials_that_were_asked_for_are_different(tmp_path, sampler):
    with _open(tmp_path, LAYERS, sampler=sampler, trials=8) as study:
        assert sorted(point["model.layers"] for point in _run(study)) == list(range(1, 9))
        assert study.left == 0


def test_a_repetition_is_told_the_known_value_and_is_no_trial_of_the_results(tmp_path):
    with _open(tmp_path, LAYERS, trials=8) as study:
        _run(study)
    every = _stored(tmp_path)
    repeats = [trial for trial in every if "same_as" in trial.user_attrs]
    assert repeats, "the sampler has repeated itself under this seed"
    for trial in repeats:
        known = every[trial.user_attrs["same_as"]]
        assert trial.params == known.params
        assert trial.values == known.values
        assert trial.intermediate_values == known.intermediate_values
    result = read_result(tmp_path, "s")
    assert result.statuses == {"completed": 8}
    assert {trial.number for trial in repeats}.isdisjoint(result.trials_by_number())


@every_sampler
def test_trials_side_by_side_do_not_try_the_same(tmp_path, sampler):
    with _open(tmp_path, sampler=sampler) as study:
        running = []
        while trial := study.ask():
            running.append(trial)
        assert len(set(_texts([trial.values for trial in running]))) == 6
        for trial in running:
            study.tell(trial.number, [1.0])


@pytest.mark.parametrize("end", [Pruned(), TrialFailure("it diverged")], ids=["pruned", "failed"])
def test_what_was_pruned_or_failed_is_not_tried_again(tmp_path, end):
    with _open(tmp_path, LAYERS, trials=8) as study:
        seen = []
        while trial := study.ask():
            seen.append(trial.values["model.layers"])
            study.report(trial.number, 0, float(seen[-1]))
            study.tell(trial.number, end if seen[-1] % 2 else [float(seen[-1])])
    assert sorted(seen) == list(range(1, 9))
    name = "pruned" if isinstance(end, Pruned) else "failed"
    assert read_result(tmp_path, "s").statuses == {"completed": 4, name: 4}


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_the_same_seed_tries_the_same_and_a_resumed_search_nothing_twice(tmp_path, sampler):
    runs = []
    for place in range(2):
        with _open(tmp_path / str(place), LAYERS, sampler=sampler, seed=3, trials=8) as study:
            runs.append(_run(study))
    assert runs[0] == runs[1]
    with _open(tmp_path / "2", LAYERS, sampler=sampler, seed=3, trials=8) as study:
        first = _run(study, 4)
        study.ask()
    with _open(
        tmp_path / "2", LAYERS, sampler=sampler, seed=3, trials=8, existing="resume"
    ) as study:
        second = _run(study)
    assert first == runs[0][:4]
    assert sorted(point["model.layers"] for point in first + second) == list(range(1, 9))


def test_a_finished_search_resumed_with_more_trials_ends_at_once(tmp_path):
    with _open(tmp_path, trials=6) as study:
        _run(study)
    kept = len(_stored(tmp_path))
    with _open(tmp_path, trials=50, existing="resume") as study:
        assert study.is_done
        assert study.ask() is None
    assert len(_stored(tmp_path)) == kept


def test_a_driver_that_was_killed_while_it_told_a_repetition_leaves_no_trial_of_it(tmp_path):
    with _open(tmp_path, LAYERS, trials=8) as study:
        (point,) = _run(study, 1)
        study._study.enqueue_trial(point)
        left = study._study.ask()  # as `ask` begins, up to where the driver was killed
        study.space.suggest(left)
    with _open(tmp_path, LAYERS, trials=8, existing="resume") as study:
        assert len(_run(study)) == 7
    assert read_result(tmp_path, "s").statuses == {"completed": 8, "interrupted": 1}


def test_seeds_and_populations_are_no_repetitions(tmp_path):
    seeds = {**SMALL, "trainer.seed": {"type": "int", "low": 0, "high": 1}}
    with _open(tmp_path / "seeds", seeds) as study:
        assert len(_run(study)) == 12
    rates = {
        "trainer.learning_rate": {"type": "categorical", "choices": [0.1, 0.2]},
        "model.layers": {"type": "fixed", "value": 1},
    }
    population = {"scheduler": "pbt", "scheduler_options": {"interval": 1}}
    with _open(tmp_path / "pbt", rates, "random", trials=5, **population) as study:
        assert len(_run(study)) == 5


def test_what_another_study_has_tried_is_tried_here(tmp_path):
    with _open(tmp_path / "earlier") as study:
        _run(study)
    with _open(tmp_path, warm_start=[str(tmp_path / "earlier" / "s")]) as study:
        assert len(_run(study)) == 6


@pytest.mark.parametrize(
    ("table", "size"),
    [
        (SMALL, 6),
        (LAYERS, 8),
        ({"model.b": {"type": "int", "low": 1, "high": 100, "log": True}}, 100),
        ({"model.b": {"type": "int", "low": 1, "high": 9, "points": 3}}, 9),
        ({"model.b": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.1}}, 11),
        ({"model.b": {"type": "float", "low": 0.5, "high": 0.5}}, 1),
        ({"model.b": {"type": "float", "low": 0.0, "high": 1.0}}, None),
        ({"model.b": {"type": "float", "low": 0.0, "high": 1.0, "points": 5}}, None),
        ({"model.b": {"type": "int", "low": 0, "high": 2**50}}, None),
        ({"model.b": {"type": "int", "low": 0, "high": 999},
          "model.c": {"type": "int", "low": 0, "high": 999}}, None),
        ({"model.b": {"type": "categorical", "choices": ["x", "y"]},
          "model.c": {"type": "int", "low": 1, "high": 3, "when": {"model.b": "x"}}}, 4),
    ],
)  # fmt: skip
def test_the_points_of_a_space_are_counted_whatever_a_grid_would_take(table, size):
    assert size_of(Space.from_dict(table)) == size


def test_the_last_points_are_found_however_few_they_are():
    space = Space.from_dict({"model.layers": {"type": "int", "low": 1, "high": 15_000}})
    tried = Tried(space, size_of(space), seed=0)
    for layers in range(1, 15_000):
        tried.add(layers, {"model.layers": layers})
    assert not tried.all
    assert tried.another(0) == {"model.layers": 15_000}
    tried.add(0, {"model.layers": 15_000})
    assert tried.all
    assert tried.another(1) is None
    assert len({mark_of({"model.layers": layers}) for layers in (1, 2, 1)}) == 2
