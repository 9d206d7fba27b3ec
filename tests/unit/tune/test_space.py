"""The space of a search: what it draws is in it, and what is wrong with it is said at once."""

from __future__ import annotations

import json
import math
import tomllib

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.errors import ConfigError, UnknownNameError
from qstore_ray.job import JobConfig
from qstore_ray.testing.search_spaces import SPACE, spaces
from qstore_ray.tune.samplers.grid import grid_points, grid_size
from qstore_ray.tune.space.space import Space

JOB = JobConfig.from_dict(
    {
        "name": "digits",
        "dataset": {
            "name": "digits",
            "source": "sklearn",
            "params": {"dataset": "digits"},
            "preprocessing": [{"name": "pca", "components": 16}],
        },
    }
)
FLOAT = {"type": "float", "low": 0.1, "high": 0.2}
INT = {"type": "int", "low": 1, "high": 2}
SGD = {"type": "categorical", "choices": ["adam", "sgd"]}
RATE, LAYERS, NAME = "trainer.learning_rate", "model.layers", "trainer.optimizer"
optuna.logging.set_verbosity(optuna.logging.WARNING)


def _refused(table, job=JOB) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Space.from_dict(table).check(job)
    return caught.value


# ------------------------------------------------------------------------------------ what it draws


@given(space=spaces(), seed=st.integers(0, 99))
def test_what_optuna_draws_is_in_the_space(space: Space, seed: int):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    for _ in range(3):
        trial = study.ask()
        values = space.suggest(trial)
        assert space.contains(values)
        assert set(trial.params) <= set(values)


@given(space=spaces(), data=st.data())
def test_every_point_of_the_unit_cube_is_in_the_space(space: Space, data: st.DataObject):
    share = st.floats(0.0, 1.0, exclude_max=True)
    d = len(space.order)
    assert space.contains(space.at(data.draw(st.lists(share, min_size=d, max_size=d))))


@given(space=spaces())
def test_a_grid_is_as_large_as_it_was_counted_and_all_of_it_is_in_the_space(space: Space):
    size = grid_size(space)
    if size <= 5000:
        points = grid_points(space, 5000)
        assert len(points) == size
        assert len({json.dumps(point, sort_keys=True) for point in points}) == size
        assert all(space.contains(point) for point in points)


@given(space=spaces())
def test_a_space_is_read_back_from_toml_as_it_was(space: Space):
    assert Space.from_dict(tomllib.loads(space.to_toml())) == space


def test_a_grid_of_known_size():
    space = Space.from_dict(SPACE)
    assert grid_size(space) == len(grid_points(space, 288)) == 288


def test_a_grid_is_counted_without_being_made():
    table = {f"model.p{k}": {"type": "int", "low": 0, "high": 9} for k in range(100)}
    table["model.q"] = {**SGD, "when": {"model.p0": 1, "model.p1": [2, 3]}}
    assert grid_size(Space.from_dict(table)) == 10**100 + 2 * 10**98
    with pytest.raises(ConfigError) as caught:
        grid_points(Space.from_dict(table), 500)
    assert caught.value.field == "tune.trials"
    assert "500 trials are allowed" in caught.value.message


def test_a_grid_of_a_range_needs_to_know_how_many_values():
    with pytest.raises(ConfigError) as caught:
        grid_size(Space.from_dict({"trainer.learning_rate": FLOAT}))
    assert caught.value.field == "trainer.learning_rate.points"
    assert "points = 5" in caught.value.fix


def test_grids_in_the_logarithm_and_in_steps():
    space = Space.from_dict(
        {
            "model.a": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True, "points": 3},
            "model.b": {"type": "float", "low": 0.1, "high": 0.75, "step": 0.2},
            "model.c": {"type": "int", "low": 1, "high": 16, "log": True, "points": 5},
        }
    )
    a, b, c = (space.parameters[field].grid() for field in space.order)
    assert list(a) == pytest.approx([1e-3, 1e-2, 1e-1])
    assert list(b) == [0.1, 0.3, 0.5, 0.7]
    assert list(c) == [1, 2, 4, 8, 16]


def test_values_become_a_job_and_whole_numbers_stay_whole():
    space = Space.from_dict(
        {**SPACE, "dataset.preprocessing.0.components": {"type": "int", "low": 2, "high": 16}}
    )
    space.check(JOB)
    values = space.at([0.9] * len(space.order))
    job = space.apply(JOB, values)
    assert job.model.pre_layers == [16]
    assert job.trainer.optimizer == "sgd"
    assert job.trainer.optimizer_options == {"momentum": 0.9}
    assert type(values["model.layers"]) is int
    assert job.to_dict()["dataset"]["preprocessing"][0]["components"] == 15
    assert JOB.trainer.optimizer == "adam", "the job itself is as it was"


# ------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("table", "field", "words"),
    [
        ({}, "", "nothing to search"),
        ({RATE: {**FLOAT, "low": 0.3}}, f"{RATE}.high", "low = 0.2"),
        ({LAYERS: {**INT, "low": 3}}, f"{LAYERS}.high", "reversed"),
        ({RATE: {**FLOAT, "low": 0.0, "log": True}}, f"{RATE}.low", "above zero"),
        ({RATE: {**FLOAT, "low": -1.0, "log": True}}, f"{RATE}.low", "above zero"),
        ({LAYERS: {**INT, "low": 0, "log": True}}, f"{LAYERS}.low", "above zero"),
        ({RATE: {**FLOAT, "log": True, "step": 0.1}}, f"{RATE}.step", "points"),
        ({RATE: {**FLOAT, "step": 0.0}}, f"{RATE}.step", "above 0"),
        ({RATE: {**FLOAT, "step": 1e-9}}, f"{RATE}.step", "larger step"),
        ({RATE: {**FLOAT, "step": 0.01234567890123456}}, f"{RATE}.step", "fewer digits"),
        ({RATE: {**FLOAT, "step": 0.1, "points": 3}}, f"{RATE}.points", "Leave out"),
        ({RATE: {**FLOAT, "points": 1}}, f"{RATE}.points", "2 or more"),
        ({RATE: {**FLOAT, "high": math.inf}}, f"{RATE}.high", "finite"),
        ({RATE: {**FLOAT, "high": 1e300}}, f"{RATE}.high", "or less"),
        ({RATE: {**FLOAT, "low": "0.1"}}, f"{RATE}.low", "without quotes"),
        ({RATE: {**FLOAT, "hihg": 1}}, f"{RATE}.hihg", "'high'"),
        ({RATE: {**FLOAT, "high": 10**400}}, f"{RATE}.high", "number"),
        ({LAYERS: {**INT, "low": 1.5}}, f"{LAYERS}.low", "whole number"),
        ({LAYERS: {**INT, "low": True}}, f"{LAYERS}.low", "not true or false"),
        ({LAYERS: {**INT, "high": 10**400}}, f"{LAYERS}.high", "or less"),
        ({LAYERS: {**INT, "type": "integer"}}, f"{LAYERS}.type", "'int'"),
        ({LAYERS: {"low": 1, "high": 2}}, LAYERS, "a type"),
        ({LAYERS: 3}, LAYERS, "a type"),
        ({LAYERS: {"type": "fixed"}}, f"{LAYERS}.value", "required"),
        ({NAME: {**SGD, "choices": []}}, f"{NAME}.choices", "choose"),
        ({NAME: {**SGD, "choices": ["sgd", "a", "sgd"]}}, f"{NAME}.choices.2", "twice"),
        ({LAYERS: {**SGD, "choices": [1, 1.0]}}, f"{LAYERS}.choices.1", "twice"),
        ({LAYERS: {**SGD, "choices": [1, True]}}, f"{LAYERS}.choices.1", "twice"),
        ({LAYERS: {**SGD, "choices": [[1], [1]]}}, f"{LAYERS}.choices.1", "twice"),
        ({LAYERS: {**SGD, "choices": [1, None]}}, f"{LAYERS}.choices.1", "second study"),
        ({LAYERS: {**SGD, "choices": [1, math.nan]}}, f"{LAYERS}.choices.1", "nan"),
        ({LAYERS: {**INT, "when": "sgd"}}, f"{LAYERS}.when", "table"),
        ({LAYERS: {**INT, "when": {"model.layer": 1}}}, f"{LAYERS}.when.model.layer", LAYERS),
        ({NAME: SGD, LAYERS: {**INT, "when": {NAME: "sdg"}}}, f"{LAYERS}.when.{NAME}", "never has"),
        ({NAME: SGD, LAYERS: {**INT, "when": {NAME: []}}}, f"{LAYERS}.when.{NAME}", "never there"),
        (
            {RATE: FLOAT, LAYERS: {**INT, "when": {RATE: 0.1}}},
            f"{LAYERS}.when.{RATE}",
            "continuous",
        ),
        (
            {NAME: {**SGD, "when": {LAYERS: 1}}, LAYERS: {**INT, "when": {NAME: "sgd"}}},
            f"{NAME}.when",
            "circle",
        ),
        ({LAYERS: {**INT, "when": {LAYERS: 1}}}, f"{LAYERS}.when", "circle"),
    ],
)
def test_a_space_that_is_wrong_in_itself(table, field, words):
    error = _refused(table)
    assert error.field == field
    assert words in str(error)


@pytest.mark.parametrize(
    ("field", "parameter", "place", "words"),
    [
        ("trainer.learning_rat", FLOAT, "", "'trainer.learning_rate'"),
        ("modle.layers", FLOAT, "", "'model.layers'"),
        ("name", {"type": "fixed", "value": "x"}, "", "dataset.name"),
        ("track.mlflow", {"type": "fixed", "value": True}, "", "unknown field to search"),
        ("model", {"type": "fixed", "value": {}}, "", "model.layers"),
        ("model.layers.deep", FLOAT, "", "single value"),
        ("dataset.preprocessing.1.components", FLOAT, "", "from 0 to 0"),
        ("dataset.preprocessing.-1.components", FLOAT, "", "from 0 to 0"),
        ("dataset.preprocessing.0.component", FLOAT, "", "'dataset.preprocessing.0.components'"),
        ("trainer.learning_rate", {**FLOAT, "low": 0.0}, ".low", "above 0"),
        ("model.layers", {"type": "int", "low": 1, "high": 2000}, ".high", "1000 or less"),
        ("model.layers", {"type": "float", "low": 1.0, "high": 4.0}, ".between", "whole number"),
        ("trainer.optimizer", {**SGD, "choices": ["adam", "adamm"]}, ".choices.1", "'adam'"),
        ("trainer.optimizer_options.beta9", FLOAT, ".low", "beta1"),
        ("model.encoding", {"type": "fixed", "value": "angel"}, ".value", "'angle'"),
    ],
)
def test_what_the_job_refuses_is_found_before_anything_starts(field, parameter, place, words):
    error = _refused({field: parameter})
    assert error.field == f"{field}{place}"
    assert words in str(error)


def test_a_value_is_tried_under_the_condition_that_it_belongs_to():
    momentum = {**FLOAT, "when": {"trainer.optimizer": "sgd"}}
    table = {"trainer.optimizer_options.momentum": momentum, "trainer.optimizer": SGD}
    Space.from_dict(table).check(JOB)
    wrong = {**momentum, "when": {"trainer.optimizer": "adam"}}
    error = _refused({**table, "trainer.optimizer_options.momentum": wrong})
    assert error.field == "trainer.optimizer_options.momentum.low"


def test_a_value_is_refused_only_if_no_other_choice_makes_it_right():
    """gcans needs 16 rows or so a step: more than the first batch size, less than the last."""
    job = JobConfig.from_dict({**JOB.to_dict(), "trainer": {"batch_size": 1}})
    names = {"type": "categorical", "choices": ["adam", "gcans"]}
    rows = {"type": "int", "low": 1, "high": 64}
    assert _refused({"trainer.optimizer": names}, job).field == "trainer.optimizer.choices.1"
    Space.from_dict({"trainer.optimizer": names, "trainer.batch_size": rows}).check(job)


# -------------------------------------------------------------------------------- TOML, as written


def test_dotted_and_nested_tables_say_the_same():
    dotted = tomllib.loads('"model.layers" = { type = "int", low = 1, high = 2 }')
    nested = tomllib.loads('[model.layers]\ntype = "int"\nlow = 1\nhigh = 2')
    assert Space.from_dict(dotted) == Space.from_dict(nested)
    with pytest.raises(ConfigError) as caught:
        Space.from_dict({**dotted, **nested})
    assert caught.value.field == "model.layers"
    assert "twice" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        '"" = { type = "fixed", value = 1 }',
        '".." = { type = "fixed", value = 1 }',
        '"model." = { type = "fixed", value = 1 }',
        '"model.__class__" = { type = "fixed", value = 1 }',
        '"model.model_fields" = { type = "fixed", value = 1 }',
        '"../../etc" = { type = "fixed", value = 1 }',
        'model = { type = "fixed", value = { layers = 1 } }',
        '"model.layers" = { type = "categorical", choices = [2026-01-01] }',
        '"model.layers" = { type = "categorical", choices = "adam" }',
        '"model.layers" = { type = "fixed", value = inf }',
        '"model.layers" = { type = 5 }',
        "model.layers.x.y.z = 1",
        "parameters = 1",
        '[parameters]\n"model.layers" = { type = "fixed", value = 1 }',
        '"model.layers" = [{ type = "fixed", value = 1 }]',
        '"model.layers" = { type = "fixed", value = 1, when = { "model.layers" = 1 } }',
    ],
)
def test_hostile_toml_is_refused_with_a_field_or_a_fix(text: str):
    error = _refused(tomllib.loads(text))
    assert error.field or error.fix
    assert isinstance(error, ConfigError)


@pytest.mark.parametrize(
    ("point", "field"),
    [
        ({"model.layer": 2}, "points.0.model.layer"),
        ({"model.layers": 3}, "points.0.model.layers"),
        ({"model.layers": 4.0}, "points.0.model.layers"),
        ({"trainer.optimizer_options.momentum": 0.45, "trainer.optimizer": "adam"},
         "points.0.trainer.optimizer_options.momentum"),
        ({"trainer.epochs": 4}, "points.0.trainer.epochs"),
    ],
)  # fmt: skip
def test_a_point_to_try_first_lies_in_the_space(point, field):
    space = Space.from_dict(SPACE)
    space.check_point({"model.layers": 4, "trainer.optimizer": "sgd"}, field="points.0")
    with pytest.raises(ConfigError) as caught:
        space.check_point(point, field="points.0")
    assert caught.value.field == field


def test_an_unknown_condition_is_an_unknown_name():
    assert isinstance(_refused({"model.layers": {**SGD, "when": {"model.x": 1}}}), UnknownNameError)


def test_a_point_has_a_share_for_each_field():
    space = Space.from_dict({"model.layers": {"type": "int", "low": 1, "high": 4}})
    for shares in ([], [0.1, 0.2]):
        with pytest.raises(ConfigError, match="one share for each field") as caught:
            space.at(shares)
        assert caught.value.fix.startswith("Give 1:")
