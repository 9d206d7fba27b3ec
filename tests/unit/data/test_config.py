"""`DatasetConfig`: what is refused, where the error points, and what is written down."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from qstore_ray.config import Config, apply_overrides
from qstore_ray.data.config import DatasetConfig, SplitConfig, StepConfig
from qstore_ray.data.prepare.steps import STEPS, Pca, Standard
from qstore_ray.data.sources.local.adapter import _FORMATS
from qstore_ray.errors import ConfigError, UnknownNameError

DIGITS = {
    "name": "digits",
    "source": "sklearn",
    "params": {"dataset": "digits"},
    "split": {"train": 0.65, "val": 0.15, "test": 0.2},
    "preprocessing": [{"name": "standard"}, {"name": "pca", "components": 16}],
}


class Job(Config):
    dataset: DatasetConfig


def _refused(**fields) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        DatasetConfig(**{**DIGITS, **fields})
    return caught.value


def test_defaults():
    config = DatasetConfig(name="iris", params={"dataset": "iris"})
    assert config.source == "sklearn"
    assert config.split.fractions() == {"train": 0.7, "val": 0.1, "test": 0.2}
    assert (config.stratify, config.seed, config.task) == (True, 0, "classification")


def test_toml_and_json_give_the_configuration_back(tmp_path):
    config = DatasetConfig(**DIGITS, columns={"features": ["pixel_0_1"]})
    file = tmp_path / "dataset.toml"
    file.write_text(config.to_toml(), encoding="utf-8")
    assert DatasetConfig.from_toml(file) == config
    assert DatasetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_is_written_says_the_defaults_of_params_and_steps():
    written = DatasetConfig(**DIGITS).to_dict()
    assert written["params"] == {"dataset": "digits", "rows_per_task": 65_536}
    assert written["preprocessing"][1] == {"name": "pca", "components": 16, "whiten": False}


def test_steps_may_be_written_as_mappings_or_as_steps():
    mappings = DatasetConfig(**DIGITS)
    steps = DatasetConfig(**{**DIGITS, "preprocessing": [Standard(), Pca(components=16)]})
    named = DatasetConfig(**{**DIGITS, "preprocessing": [StepConfig(name="standard")]})
    assert steps == mappings
    assert named.preprocessing == (Standard(),)


def test_overrides_reach_into_steps():
    values = Job(dataset=DatasetConfig(**DIGITS)).to_dict()
    changed = apply_overrides(values, ["dataset.preprocessing.1.components=4"])
    assert Job.from_dict(changed).dataset.preprocessing[1] == Pca(components=4)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "x" * 101])
def test_a_name_is_no_path(name: str):
    error = _refused(name=name)
    assert error.field == "name"
    assert "letters" in error.fix


@pytest.mark.parametrize(
    ("fields", "fix"),
    [
        ({"params": {}}, 'Write dataset = "digits".'),
        ({"source": "local", "params": {}}, 'Write path = "data/*.csv".'),
        ({"preprocessing": [{"name": "pca"}]}, "Write components = 8."),
        ({"preprocessing": [{"name": "scale"}]}, "Write factor = …."),
        ({"augmentation": {"copies": 2}}, 'Write steps = [{"name": "gaussian_noise"}].'),
        (
            {"augmentation": [{"name": "rotate"}]},
            "Write a table, with keys of its own: copies, keep_original, shape, steps.",
        ),
        (
            {"columns": ["a", "b"]},
            "Write a table, with keys of its own: "  # noqa: ISC004
            "categories, encoding, exclude, features, group, label, max_categories, unknown, "
            "weight.",
        ),
        (
            {"source": "backend_api", "params": {"dataset_id": "mine"}},
            'Write for example dataset_id = "0123456789abcdef".',
        ),
    ],
)
def test_what_is_missing_comes_with_what_to_write(fields: dict, fix: str):
    assert _refused(**fields).fix == fix


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"params": {"dataset": "digits", "x": 1}}, "params.x"),
        ({"params": {"dataset": "digit"}}, "params.dataset"),
        ({"params": {}}, "params.dataset"),
        ({"params": {"dataset": "digits", "noise": 0.1}}, "params.noise"),
        ({"params": {"dataset": "make_moons", "factor": 0.1}}, "params.factor"),
        ({"split": {"train": 0.5, "test": 0.4}}, "split"),
        ({"split": {"train": 1.0, "holdout": 0.2}}, "split.holdout"),
        ({"split": {"val": 0.5, "test": 0.5}}, "split.train"),
        ({"split": {"train": 1.2, "test": -0.2}}, "split.train"),
        ({"split": {"train": 1.0, "test": 0.0}}, "split.test"),
        ({"preprocessing": [{"name": "standart"}]}, "preprocessing.0.name"),
        ({"preprocessing": [{"name": "standard"}, {"name": "pca"}]}, "preprocessing.1.components"),
        ({"preprocessing": [{"name": "standard", "k": 1}]}, "preprocessing.0.k"),
        ({"preprocessing": [{"components": 3}]}, "preprocessing.0"),
        ({"preprocessing": "standard"}, "preprocessing"),
        (
            {"preprocessing": [{"name": "minmax", "feature_range": [1.0, 1.0]}]},
            "preprocessing.0.feature_range",
        ),
        ({"source": "sklern"}, "source"),
        ({"source": "local", "params": {}}, "params.path"),
        ({"revision": "v2"}, "revision"),
        ({"cache_dir": "cache"}, "cache_dir"),
        ({"columns": {"label": "y"}}, "columns.label"),
        ({"columns": {"features": ["a", "b", "a"]}}, "columns.features"),
        ({"seed": -1}, "seed"),
        ({"task": "clustering"}, "task"),
        ({"shuffle": True}, "shuffle"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_field(fields: dict, field: str):
    assert _refused(**fields).field == field
    with pytest.raises(ConfigError) as nested:
        Job.from_dict({"dataset": {**DIGITS, **fields}})
    assert nested.value.field == f"dataset.{field}"


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"source": "sklern"}, "'sklearn'"),
        ({"preprocessing": [{"name": "standart"}]}, "'standard'"),
        ({"params": {"dataset": "digit"}}, "'digits'"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(fields: dict, known: str):
    error = _refused(**fields)
    assert isinstance(error, UnknownNameError)
    assert known in error.fix


@pytest.mark.parametrize("name", [*_FORMATS, "CSV", "h5", "file"])
def test_a_file_format_in_place_of_a_source_names_the_source_of_files(name: str):
    assert _refused(source=name).fix.startswith("Did you mean 'local'? Known: ")


def test_fractions_are_allowed_to_be_off_by_rounding():
    third = 1.0 / 3.0
    assert math.fsum(SplitConfig(train=third, val=third, test=third).fractions().values()) == 1.0


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_registered_under_its_own_name(name: str):
    assert STEPS[name].model_fields["name"].default == name


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("qstore_ray.data.config", ("numpy", "ray", "sklearn", "qiskit", "pyarrow")),
        ("qstore_ray.data.loader", ("ray", "sklearn", "qiskit", "pyarrow", "pandas")),
    ],
)
def test_importing_stays_light(module: str, heavy: tuple[str, ...], repository):
    code = f"import sys, {module}; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == ""


SPACE = {"tune": {"space": {"model.layers": {"type": "int", "low": 1, "high": 8}}}}


@pytest.mark.parametrize(
    "field",
    [
        'tune.space."model.layers".high',
        "tune.space.'model.layers'.high",
        "tune.space.model.layers.high",
    ],
)
def test_an_override_reaches_a_key_that_has_dots(field):
    space = apply_overrides(SPACE, [f"{field}=4"])["tune"]["space"]
    assert space == {"model.layers": {"type": "int", "low": 1, "high": 4}}


def test_an_override_makes_a_key_that_has_dots():
    changed = apply_overrides({}, ['tune.space."model.layers"={type = "fixed", value = 2}'])
    assert changed == {"tune": {"space": {"model.layers": {"type": "fixed", "value": 2}}}}


@pytest.mark.parametrize("field", ['a."b', 'a."b"c', "'a"])
def test_quotes_that_do_not_end_are_refused(field):
    with pytest.raises(ConfigError, match="no TOML key"):
        apply_overrides({}, [f"{field}=4"])
