"""The nearest known name is found in any case, for every key of a job."""

from __future__ import annotations

import pytest

from qstore_ray.errors import unknown_name_error
from qstore_ray.job import JobConfig


@pytest.mark.parametrize("change", [str.upper, str.title, lambda name: name.upper() + "S"])
@pytest.mark.parametrize("name", [*JobConfig.model_fields])
def test_the_case_of_a_key_does_not_hide_the_right_one(name: str, change):
    error = unknown_name_error("key", change(name), JobConfig.model_fields)
    assert error.fix.startswith(f"Did you mean {name!r}? ")


def test_a_name_in_its_own_case_is_nearer():
    assert "'Label'" in unknown_name_error("column", "Labell", ["label", "Label"]).fix.split("?")[0]
    assert "'label'" in unknown_name_error("column", "labell", ["label", "Label"]).fix.split("?")[0]
    assert "Did you mean" not in unknown_name_error("column", "XYZ", ["label", "Label"]).fix
