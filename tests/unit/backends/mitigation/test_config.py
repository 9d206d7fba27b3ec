"""Mitigation as data: written, read back, refused."""

from __future__ import annotations

import tomllib

import pytest

from qstore_ray.backends.mitigation.config import MitigationConfig, MitigationCost, ZneConfig
from qstore_ray.config import dump_toml, fingerprint
from qstore_ray.errors import ConfigError
from qstore_ray.train.config import TrainerConfig

FULL = {
    "readout": "inverse",
    "calibration": "circuits",
    "calibration_shots": 500,
    "zne": {"scales": [1, 1.5, 3], "folding": "local", "extrapolation": "richardson"},
    "twirl": 8,
    "during": "always",
}


@pytest.mark.parametrize("values", [FULL, {"readout": "matrix_free"}, {"zne": True}, {"twirl": 1}])
def test_it_is_read_back_from_json_and_toml(values: dict):
    config = MitigationConfig.from_dict(values)
    assert MitigationConfig.from_dict(config.to_dict()) == config
    assert MitigationConfig.model_validate_json(config.model_dump_json()) == config
    assert MitigationConfig.from_dict(tomllib.loads(dump_toml(config.to_dict()))) == config
    assert len({c.fingerprint() for c in (config, MitigationConfig(twirl=3))}) == 2


@pytest.mark.parametrize(
    ("values", "field", "fix"),
    [
        ({"zne": {"scales": [0.5, 1]}}, "zne.scales", "[1, 2, 3]"),
        ({"zne": {"scales": [1]}}, "zne.scales", "[1, 2, 3]"),
        ({"zne": {"scales": []}}, "zne.scales", "[1, 2, 3]"),
        ({"zne": {"scales": [1, 3, 3]}}, "zne.scales", "once"),
        ({"zne": {"scales": [1, "three"]}}, "zne.scales.1", "number"),
        ({"zne": {"scales": [1, float("nan")]}}, "zne.scales.1", "number"),
        ({"zne": {"folding": "random"}}, "zne.folding", "global"),
        ({"zne": {"extrapolation": "cubic"}}, "zne.extrapolation", "richardson"),
        ({"zne": {"scale": [1, 3]}}, "zne.scale", "scales"),
        ({"twirl": 0}, "twirl", "1 or more"),
        ({"twirl": 2.5}, "twirl", "whole number"),
        ({"readout": "m3"}, "readout", "matrix_free"),
        ({"readout": "inverse", "calibration": "device"}, "calibration", "circuits"),
        ({"readout": "inverse", "calibration_shots": 0}, "calibration_shots", "1 or more"),
        ({"twirl": 2, "during": "training"}, "during", "always"),
        ({"twril": 2}, "twril", "twirl"),
        ({}, "", "zne = true"),
        ({"zne": False}, "", "zne = true"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(values: dict, field, fix: str):
    with pytest.raises(ConfigError) as caught:
        MitigationConfig.from_dict(values)
    assert caught.value.field == field
    assert fix in str(caught.value)


@pytest.mark.parametrize(
    ("trainer", "field", "fix"),
    [
        ({}, "mitigation", "trainer.noise"),
        ({"backend": "aer"}, "mitigation", "shots = 1024"),
        ({"noise": {"readout": 0.1}, "mitigation": {"readout": "matrix_free"}},
         "mitigation.readout", "inverse"),
        ({"backend": "aer", "backend_options": {"shots": 8}}, "mitigation.calibration", "circuits"),
    ],
)  # fmt: skip
def test_a_trainer_without_anything_to_mitigate_is_refused(trainer: dict, field, fix):
    with pytest.raises(ConfigError) as caught:
        TrainerConfig.from_dict({"mitigation": {"readout": "inverse"}} | trainer)
    assert caught.value.field == field
    assert fix in str(caught.value)


def test_noise_may_be_an_option_of_the_backend():
    options = {"noise": {"readout": 0.1}}
    trainer = TrainerConfig(
        backend="aer", backend_options=options, mitigation={"readout": "inverse"}
    )
    assert trainer.open_mitigated().cost() == MitigationCost()


def test_it_is_part_of_the_recipe_and_of_nothing_older():
    noise = {"readout": 0.1}
    plain, mitigated = (
        TrainerConfig(noise=noise),
        TrainerConfig(noise=noise, mitigation={"readout": "inverse"}),
    )
    assert "mitigation" not in plain.recipe(regression=False)
    assert "mitigation" not in plain.to_dict()
    assert fingerprint(mitigated.recipe(regression=False)) != fingerprint(
        plain.recipe(regression=False)
    )
    assert TrainerConfig.from_dict(mitigated.to_dict()) == mitigated


def test_costs_multiply():
    config = MitigationConfig.from_dict(FULL)
    assert config.cost() == MitigationCost(
        circuits=24, shots=3, gates=8 * 5.5, calibration_circuits=2
    )
    assert MitigationConfig(readout="inverse").cost() == MitigationCost()
    assert MitigationConfig(zne=ZneConfig(scales=(1, 3))).cost().gates == 4
