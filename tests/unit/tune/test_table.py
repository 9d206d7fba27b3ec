"""A space as a table of a larger configuration, which is where a job will hold it."""

from __future__ import annotations

import pytest

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.testing.search_spaces import SPACE
from qstore_ray.tune.objective import Objective, check_objectives
from qstore_ray.tune.space.space import Space


class Tune(Config):
    trials: int = 20
    objectives: tuple[Objective, ...] = (Objective(metric="val_loss"),)
    space: Space


class Job(Config):
    name: str = "digits"
    tune: Tune | None = None


def test_it_goes_to_toml_and_back(tmp_path):
    job = Job.from_dict({"tune": {"space": SPACE}})
    (tmp_path / "job.toml").write_text(job.to_toml())
    assert Job.from_toml(tmp_path / "job.toml") == job
    assert job.tune.space == Space.from_dict(SPACE)
    assert Tune(space=Space.from_dict(SPACE)) == job.tune
    assert Job.from_dict(job.to_dict()).fingerprint() == job.fingerprint()
    assert "when" not in job.to_dict()["tune"]["space"]["model.layers"]


def test_a_tuple_is_a_list():
    choices = {"type": "categorical", "choices": [(8, 16), (16,)]}
    space = Space.from_dict({"model.pre_layers": choices})
    assert Space.from_dict(space.to_dict()) == space
    assert space.at([0.0]) == {"model.pre_layers": [8, 16]}


def test_an_override_reaches_into_it(tmp_path):
    (tmp_path / "job.toml").write_text(
        '[tune.space.model.layers]\ntype = "int"\nlow = 1\nhigh = 2\n'
    )
    job = Job.from_toml(tmp_path / "job.toml", ["tune.space.model.layers.high=5"])
    assert job.tune.space.parameters["model.layers"].high == 5


@pytest.mark.parametrize(
    ("space", "field"),
    [
        ({"model.layers": {"type": "int", "low": 3, "high": 1}}, "tune.space.model.layers.high"),
        ({"model.layers": {"type": "itn"}}, "tune.space.model.layers.type"),
        ({}, "tune.space"),
        ([], "tune.space"),
        ("model.layers", "tune.space"),
    ],
)
def test_an_error_has_the_whole_path(space, field):
    with pytest.raises(ConfigError) as caught:
        Job.from_dict({"tune": {"space": space}})
    assert caught.value.field == field
    assert caught.value.fix


@pytest.mark.parametrize(
    ("objectives", "field"),
    [
        ([], "objectives"),
        ([Objective(metric="val_loss")] * 2, "objectives.1.metric"),
        ([Objective(metric="strange")], "objectives.0.mode"),
    ],
)
def test_objectives_are_told_apart_and_have_a_direction(objectives, field):
    with pytest.raises(ConfigError) as caught:
        check_objectives(objectives)
    assert caught.value.field == field
    assert caught.value.fix


def test_directions_follow_from_names_or_are_given():
    directions = [
        Objective(metric="val_loss").direction,
        Objective(metric="val_accuracy").direction,
        Objective(metric="strange", mode="max").direction,
    ]
    assert directions == ["minimize", "maximize", "maximize"]
