"""One number of workers, or the fewest and the most of them."""

from __future__ import annotations

import pytest

from qstore_ray.config import dump_toml
from qstore_ray.errors import ConfigError
from qstore_ray.train.config import TrainerConfig, TrainingJob


@pytest.mark.parametrize(
    ("given", "fewest", "most"),
    [(0, 0, 0), (3, 3, 3), ((2, 4), 2, 4), ([2, 4], 2, 4), ([1, 1], 1, 1), ([1, 1024], 1, 1024)],
)
def test_a_number_and_a_pair_say_how_many(given, fewest, most):
    config = TrainerConfig(num_workers=given)
    assert (config.min_workers, config.max_workers) == (fewest, most)
    assert TrainerConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    "value", [-1, 1025, [4, 2], [0, 2], [2], [1, 2, 3], [1, 2000], "2-4", [1.5, 2], {"min": 1}]
)
def test_anything_else_is_refused_with_what_to_write(value):
    with pytest.raises(ConfigError) as caught:
        TrainerConfig(num_workers=value)
    assert caught.value.field == "num_workers"
    assert "Write" in caught.value.fix


def test_a_bool_is_no_number():
    for value in (True, [True, 2]):
        with pytest.raises(ConfigError) as caught:
            TrainerConfig(num_workers=value)
        assert caught.value.field == "num_workers"


def test_a_job_file_and_an_override_have_a_list(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(
        'name = "a"\n[dataset]\nname = "iris"\nparams = {dataset = "iris"}\n'
        "[trainer]\nnum_workers = [2, 4]\n"
    )
    job = TrainingJob.load(path)
    assert job.trainer.num_workers == (2, 4)
    path.write_text(dump_toml(job.to_dict()))
    assert TrainingJob.load(path) == job
    changed = TrainingJob.load(path, ["trainer.num_workers=[1, 3]"])
    assert changed.trainer.num_workers == (1, 3)


def test_how_many_workers_there_are_does_not_decide_the_result():
    recipes = [TrainerConfig(num_workers=n).recipe(regression=False) for n in (0, 3, (2, 4))]
    assert recipes[0] == recipes[1] == recipes[2]
