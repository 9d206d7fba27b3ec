"""The sets that are read without scikit-learn are those that scikit-learn reads."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

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


@pytest.mark.parametrize("found", [None, SimpleNamespace(submodule_search_locations=["a.zip"])])
def test_a_file_of_the_working_folder_is_not_taken_for_it(found, tmp_path: Path, monkeypatch):
    other = tmp_path / "datasets" / "data" / "iris.csv"
    other.parent.mkdir(parents=True)
    other.write_text("1,1,a\n1.0,0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qstore_ray.data.sources.sklearn.find_spec", lambda _name: found)
    assert _bundled("iris")["data"].shape == (150, 4)
