"""The sets that are read without scikit-learn are those that scikit-learn reads."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import datasets

from qstore_ray.data.sources.sklearn import _bundled


@pytest.mark.parametrize("name", ["digits", "iris", "wine"])
def test_a_bundled_set_has_the_bits_of_its_loader(name: str):
    ours, theirs = _bundled(name), getattr(datasets, f"load_{name}")()
    for key in ("data", "target", "feature_names", "target_names", "images"):
        if key in theirs:
            found, wanted = np.asarray(ours[key]), np.asarray(theirs[key])
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)
