"""Schedulers of a search: what they refuse, and that they act exactly where they say."""

from __future__ import annotations

import numpy as np
import pytest
from ray.tune.schedulers import (
    ASHAScheduler,
    HyperBandScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)

from qstore_ray.errors import ConfigError, UnknownNameError
from qstore_ray.testing import SchedulerLaws
from qstore_ray.testing.schedulers import EPOCHS, RATE, SPACE, looped, noise
from qstore_ray.testing.tune_loop import Loop, points_of
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.schedulers import SCHEDULERS, Scheduler, get_scheduler, horizon
from qstore_ray.tune.space.space import Space

METHODS = [
    ("none", {}),
    ("asha", {}),
    ("asha", {"grace_period": 2, "reduction_factor": 2, "brackets": 2}),
    ("asha", {"reduction_factor": 1.2}),  # several rungs in one epoch
    ("asha", {"grace_period": 4, "max_period": 20}),
    ("hyperband", {}),
    ("hyperband", {"reduction_factor": 2, "max_period": 16}),
    ("median", {}),
    ("median", {"grace_period": 5, "interval": 4, "min_samples": 1}),
    ("pbt", {"interval": 3}),
    ("pb2", {"interval": 8}),
]
CASES = [
    pytest.param(
        (name, options),
        id=f"{name}-{'-'.join(map(str, options.values()))}",
        marks=[pytest.mark.slow] if name == "pb2" else [],
    )
    for name, options in METHODS
]


def opened(name: str, options: dict, seed: int = 0) -> TrialScheduler:
    scheduler = get_scheduler(name, options)
    scheduler.check(SPACE, 1, EPOCHS, 1)
    return scheduler.open(SPACE, epochs=EPOCHS, seed=seed)


def loop(scheduler: TrialScheduler, trials: int = 24, score=noise, **options) -> Loop:
    return Loop(scheduler, points_of(SPACE, trials, np.random.default_rng(5)), score, **options)


class TestEveryScheduler(SchedulerLaws):
    @pytest.fixture(params=CASES)
    def member(self, request: pytest.FixtureRequest):
        return request.param

    @pytest.fixture
    def scheduler(self, member) -> Scheduler:
        return get_scheduler(*member)

    @pytest.fixture
    def trials(self, member) -> tuple[int, int]:
        return (8, 6) if member[0] == "pb2" else (60, 24)


@pytest.mark.parametrize("name", ["hyperband", "pbt"])
def test_some_act_at_every_epoch_at_which_they_may(name):
    scheduler = get_scheduler(name, {})
    run = looped(scheduler, 60)
    run.run(EPOCHS)
    expected = {epoch for epoch in range(1, EPOCHS) if scheduler.decides(epoch, EPOCHS)}
    assert run.acted | {epoch for _, epoch, _ in run.courses} == expected


def test_without_a_scheduler_every_trial_trains_to_its_end():
    run = looped(get_scheduler("none", {}), 24)
    assert set(run.run(EPOCHS).values()) == {EPOCHS}
    assert not run.courses


@pytest.mark.parametrize(
    ("name", "options", "plain"),
    [
        ("asha", {}, lambda: ASHAScheduler("epoch", "score", "max", EPOCHS, 1, 3.0)),
        (
            "asha",
            {"grace_period": 3, "reduction_factor": 2.5},
            lambda: ASHAScheduler("epoch", "score", "max", EPOCHS, 3, 2.5),
        ),
        ("hyperband", {}, lambda: HyperBandScheduler("epoch", "score", "max", EPOCHS, 3.0)),
        (
            "hyperband",
            {"reduction_factor": 2.5},
            lambda: HyperBandScheduler("epoch", "score", "max", EPOCHS, 2.5),
        ),
        (
            "pbt",
            {"interval": 4},
            lambda: PopulationBasedTraining(
                "epoch", "score", "max", 4, custom_explore_fn=dict, log_config=False
            ),
        ),
    ],
)
def test_rays_own_act_where_ours_say(name, options, plain):
    """So `decides` is about Ray's algorithm, and not only about what we let through to it."""
    config = get_scheduler(name, options)
    run = loop(plain(), 60)
    run.run(EPOCHS)
    acted = run.acted | {epoch for _, epoch, _ in run.courses}
    assert acted
    assert all(config.decides(epoch, EPOCHS) for epoch in acted)


def test_asha_ends_what_rays_own_ends():
    ours, rays = loop(opened("asha", {})), loop(ASHAScheduler("epoch", "score", "max", 30, 1, 3.0))
    assert ours.run(EPOCHS) == rays.run(EPOCHS)


@pytest.mark.parametrize("name", ["pbt", pytest.param("pb2", marks=pytest.mark.slow)])
def test_another_seed_takes_other_courses(name):
    runs = [looped(get_scheduler(name, {"interval": 3}), 6, seed=seed) for seed in (7, 8)]
    for run in runs:
        run.run(EPOCHS)
    assert runs[0].courses != runs[1].courses


def test_an_expensive_trial_has_fewer_epochs_to_show_that_it_is_worth_it():
    """Scores are by epoch alone; the price of an epoch is 10 for even trials, 160 for odd ones."""
    options = {"resource": "circuit_evaluations", "grace_period": 20, "max_period": 2000}
    run = loop(
        opened("asha", {**options, "reduction_factor": 2}),
        score=lambda number, epoch, values: epoch + 0.01 * (number // 2),
        price=lambda number: 160 if number % 2 else 10,
    )
    epochs = run.run(EPOCHS)
    even = [n for number, n in epochs.items() if int(number) % 2 == 0]
    odd = [n for number, n in epochs.items() if int(number) % 2]
    assert np.mean(even) > 2 * np.mean(odd)
    assert max(odd) * 160 <= 2000 + 160


def test_a_trial_that_skips_rungs_is_compared_at_the_highest_and_not_below_it_later():
    """Ray's own would enter what it has after three epochs at the rung of one."""
    options = {"resource": "circuit_evaluations", "grace_period": 1, "max_period": 100}
    scheduler = opened("asha", {**options, "reduction_factor": 2})
    run = loop(scheduler, 1, lambda number, epoch, values: epoch, price=lambda number: 9)
    run.run(4)
    rungs = {at: list(entered.values()) for at, entered in scheduler._brackets[0]._rungs}
    assert rungs == {64: [], 32: [4], 16: [2], 8: [1], 4: [], 2: [], 1: []}


@pytest.mark.parametrize("dies", [1, 2, 4, 8, 9])
@pytest.mark.parametrize("options", [{}, {"max_period": 9}])
def test_nobody_waits_for_a_trial_that_is_gone(options, dies):
    """In hyperband the last of a bracket dies at each moment, and again after each halving."""
    run = loop(opened("hyperband", options), 12)
    ended = run.run(EPOCHS, fails=lambda number, epoch: number % 3 == 1 and epoch == dies)
    assert ended
    assert all(trial.is_finished() for trial in run.trials)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_trial_that_failed_before_its_first_score_disturbs_nobody(name):
    run = loop(opened(name, {}), 4)
    failed = run.trials[0]
    score = run._result
    run._result = lambda trial: {"done": True} if trial is failed else score(trial)
    run.run(EPOCHS, lambda epoch: epoch > 1)
    assert all(trial.is_finished() for trial in run.trials)


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "none"])
def test_the_metric_may_be_said_again_and_no_other(name):
    scheduler = opened(name, {})
    assert scheduler.metric == "score"
    assert scheduler.set_search_properties("score", "max")
    assert scheduler.set_search_properties(None, None)
    assert not scheduler.set_search_properties("loss", "min")


def test_trials_report_as_often_as_they_have_epochs_or_trainings():
    fixed = Space.from_dict({"trainer.epochs": {"type": "fixed", "value": 4}})
    varied = Space.from_dict({"trainer.epochs": {"type": "int", "low": 4, "high": 8}})
    assert [horizon(space, 30, 1) for space in (SPACE, fixed, varied)] == [30, 4, None]
    assert horizon(varied, 30, 6) == 6


VARIED = Space.from_dict(
    {"trainer.epochs": {"type": "int", "low": 4, "high": 8}, "trainer.learning_rate": RATE}
)
STILL = Space.from_dict(
    {
        "model.layers": {"type": "int", "low": 1, "high": 8},
        "trainer.optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        "trainer.optimizer_options.momentum": {
            "type": "float", "low": 0.1, "high": 0.9, "when": {"trainer.optimizer": "sgd"}
        },
    }
)  # fmt: skip
STEPS = Space.from_dict({"trainer.learning_rate": {**RATE, "log": False, "step": 0.001}})


@pytest.mark.parametrize(
    ("name", "options", "space", "numbers", "field", "words"),
    [
        *[(n, {}, SPACE, (2, 30, 1), "scheduler", "keep one") for n in SCHEDULERS if n != "none"],
        *[(n, {}, SPACE, (1, 30, 6), "scheduler", "asha") for n in ("hyperband", "pbt", "pb2")],
        *[(n, {}, VARIED, (1, 30, 1), "scheduler", "search") for n in ("pbt", "pb2")],
        ("asha", {}, VARIED, (1, 30, 1), "scheduler", "max_period"),
        ("hyperband", {}, VARIED, (1, 30, 1), "scheduler", "max_period"),
        ("asha", {"grace_period": 31}, SPACE, (1, 30, 1), "grace_period", "less than 30"),
        ("asha", {"grace_period": 3}, SPACE, (1, 30, 3), "grace_period", "less than 3."),
        ("asha", {"max_period": 31}, SPACE, (1, 30, 1), "max_period", "30 or less"),
        ("asha", {"brackets": 5}, SPACE, (1, 30, 1), "brackets", "4 or less"),
        ("median", {"grace_period": 30}, SPACE, (1, 30, 1), "grace_period", "less than 30"),
        ("hyperband", {"max_period": 31}, SPACE, (1, 30, 1), "max_period", "30 or less"),
        ("hyperband", {}, SPACE, (1, 1, 1), "reduction_factor", "3 epochs"),
        ("pbt", {"interval": 30}, SPACE, (1, 30, 1), "interval", "less than 30"),
        ("pbt", {}, STILL, (1, 30, 1), "scheduler", "trainer.learning_rate"),
        ("pb2", {}, STILL, (1, 30, 1), "scheduler", "asha"),
        ("pb2", {}, STEPS, (1, 30, 1), "scheduler", "pbt"),
    ],
)
def test_what_does_not_fit_is_refused(name, options, space, numbers, field, words):
    with pytest.raises(ConfigError) as caught:
        get_scheduler(name, options).check(space, *numbers)
    assert caught.value.field in (field, f"scheduler_options.{field}")
    assert words in caught.value.fix


@pytest.mark.parametrize(
    ("name", "options", "field"),
    [
        ("ashar", {}, "scheduler"),
        ("asha", {"grace": 3}, "scheduler_options.grace"),
        ("asha", {"resource": "circuit_evaluations"}, "scheduler_options.grace_period"),
        ("asha", {"resource": "seconds", "grace_period": 3}, "scheduler_options.max_period"),
        ("asha", {"grace_period": 9, "max_period": 9}, "scheduler_options.grace_period"),
        ("median", {"resource": "seconds", "grace_period": 3}, "scheduler_options.interval"),
        ("hyperband", {"reduction_factor": 1.5}, "scheduler_options.reduction_factor"),
        ("pbt", {"perturbation_factors": [1.2, 1]}, "scheduler_options.perturbation_factors.1"),
        ("pbt", {"quantile_fraction": 0.6}, "scheduler_options.quantile_fraction"),
    ],
)
def test_wrong_names_and_options_are_refused_where_they_are_written(name, options, field):
    with pytest.raises(ConfigError) as caught:
        TuneConfig(space=SPACE, scheduler=name, scheduler_options=options)
    assert caught.value.field == field
    assert caught.value.fix
    assert isinstance(caught.value, UnknownNameError) == (name not in SCHEDULERS)
