"""Values that change while a model trains: they stay in the space, and they do change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.testing.search_spaces import SPACE, parameters
from qstore_ray.tune.space.mutation import continuous, mutable, mutated, perturbed, share
from qstore_ray.tune.space.parameters import PARAMETERS
from qstore_ray.tune.space.space import Space

FIELD = "trainer.optimizer_options.any"
shares = st.floats(0.0, 1.0, exclude_max=True)


def test_only_what_a_training_reads_anew_can_change():
    space = Space.from_dict(
        {
            **SPACE,
            "trainer.clip_norm": {"type": "fixed", "value": 1.0},
            "trainer.clip_value": {"type": "categorical", "choices": [0.1, 1.0]},
            "trainer.optimizer_options.min_rows": {"type": "int", "low": 16, "high": 64},
            "trainer.optimizer_options.nesterov": {"type": "categorical", "choices": [True, False]},
            "trainer.optimizer_options.kind": {"type": "int", "low": 0, "high": 1},
            "model.data_reuploading": {
                "type": "fixed", "value": True, "when": {"trainer.optimizer_options.kind": 1}
            },
        }
    )  # fmt: skip
    assert list(mutable(space)) == [
        "trainer.learning_rate", "trainer.clip_value", "trainer.optimizer_options.min_rows"
    ]  # fmt: skip
    assert list(continuous(space)) == ["trainer.learning_rate"]


@given(parameters(), shares, st.floats(0.1, 4.0), st.floats(0.0, 1.0), st.integers(0, 9))
def test_a_changed_value_is_one_that_the_space_has(table, u, factor, resample, seed):
    space = Space.from_dict({FIELD: table, "model.layers": {"type": "fixed", "value": 3}})
    values = {FIELD: space.parameters[FIELD].at(u), "model.layers": 3}
    changed = mutated(
        values,
        mutable(space),
        resample=resample,
        factors=(factor, 1 / factor),
        rng=np.random.default_rng(seed),
    )
    assert space.contains(changed)
    assert changed["model.layers"] == 3
    assert type(changed[FIELD]) is type(values[FIELD]) or table["type"] == "categorical"


@given(parameters(), shares)
def test_a_share_of_a_range_and_its_value_are_the_same(table, u):
    for field, parameter in continuous(Space.from_dict({FIELD: table})).items():
        assert field == FIELD
        assert share(parameter, parameter.at(u)) == pytest.approx(u, abs=1e-6)


@pytest.mark.parametrize(
    ("table", "value", "factor", "expected"),
    [
        ({"type": "float", "low": 0.0, "high": 1.0}, 0.5, 1.2, 0.6),
        ({"type": "float", "low": 0.0, "high": 1.0}, 0.9, 1.2, 1.0),
        ({"type": "float", "low": 0.0, "high": 1.0}, 0.0, 1.2, "anew"),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.25}, 0.25, 0.8, 0.0),
        ({"type": "float", "low": -1.0, "high": 1.0, "step": 0.25}, 0.0, 1.2, 0.25),
        ({"type": "float", "low": -4.0, "high": 4.0}, -2.0, 1.5, -3.0),
        ({"type": "int", "low": 1, "high": 2**50}, 1, 1.2, 2),
        ({"type": "int", "low": 1, "high": 2**50}, 10, 1.2, 12),
        ({"type": "int", "low": 1, "high": 9, "step": 4}, 9, 1.2, 9),
        ({"type": "int", "low": -9, "high": 9}, -5, 1.2, -6),
        ({"type": "categorical", "choices": [3, 1, 2]}, 2, 0.9, 1),
    ],
)
def test_a_factor_goes_to_the_nearest_value_and_a_step_at_least(table, value, factor, expected):
    parameter = PARAMETERS[table["type"]](**table)
    assert perturbed(parameter, value, factor, "anew") == pytest.approx(expected)
