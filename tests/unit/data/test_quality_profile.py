"""The profile: statistics with known answers, and a page that is whole, safe and self-contained."""

from __future__ import annotations

import json
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.quality.config import QualityConfig
from qstore_ray.data.quality.page import render
from qstore_ray.data.quality.profile import Profile, histogram, profile
from qstore_ray.data.quality.statistics import (
    column_statistics,
    correlations,
    pearson_matrix,
    spectrum,
    telling,
)
from qstore_ray.errors import DataError

RNG = np.random.default_rng(3)
X = RNG.normal(size=(90, 3))
Y = np.arange(90) % 3
HOSTILE = ("<script>alert(1)</script>", "a\"'&<b>", "$\\frac")
VOID = {"meta", "br"}
MOST_SECONDS = 5.0


def _dataset(name: str, **fields):
    return DatasetLoader.load(DatasetConfig(name=name, params={"dataset": name}, **fields))


class Page(HTMLParser):
    """Fails on a tag that is not closed, and keeps tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for key, value in attrs:
            self.attributes.setdefault(key, []).append(value or "")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def _check_page(text: str) -> Page:
    """Well formed, without script, and without a reference to anything outside the page."""
    page = Page(text)
    assert "script" not in page.tags
    assert not {"src", "href", "onload", "xmlns"} & set(page.attributes)
    for outside in ("http://", "https://", "@import", "url("):
        assert outside not in text
    return page


def test_statistics_of_a_known_column():
    found = column_statistics(np.array([1.0, 2.0, 2.0, 7.0, np.nan, np.inf]), "a")
    assert (found.count, found.missing, found.distinct) == (6, 2, 3)
    assert (found.minimum, found.quantiles[2], found.maximum) == (1.0, 2.0, 7.0)
    assert found.mean == 3.0
    assert found.std == pytest.approx(np.sqrt(5.5))


def test_statistics_agree_with_scipy():
    from scipy import stats

    values = RNG.exponential(size=500)
    assert column_statistics(values, "a").skewness == pytest.approx(stats.skew(values))
    assert column_statistics(-values, "a").skewness == pytest.approx(-stats.skew(values))
    found = correlations(X, "abc", limit=0.0)
    for pair in found.pairs:
        a, b = (X[:, "abc".index(name)] for name in (pair.first, pair.second))
        assert pair.pearson == pytest.approx(stats.pearsonr(a, b).statistic)
        assert pair.spearman == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found.n_strong == 3


def test_what_does_not_exist_is_none_and_not_nan():
    nothing = column_statistics(np.full(3, np.nan), "a")
    assert (nothing.mean, nothing.std, nothing.minimum, nothing.distinct) == (None, None, None, 0)
    assert column_statistics(np.full(3, 0.1), "a").skewness is None
    assert column_statistics(np.full(3, 0.1), "a").std == 0.0
    assert column_statistics(np.array([1e308, -1e308, 1e308]), "a").std is None


def test_strong_pairs_come_strongest_first_and_by_either_coefficient():
    a = RNG.normal(size=90)
    x = np.column_stack([a, a + 0.3 * X[:, 0], np.exp(4 * a), X[:, 1], np.full(90, 2.0)])
    found = correlations(x, "abcde")
    assert (found.pairs[0].first, found.pairs[0].second) == ("a", "c")  # monotone
    assert found.pairs[0].spearman == pytest.approx(1.0)
    assert found.pairs[0].pearson < 0.9
    assert {(pair.first, pair.second) for pair in found.pairs} >= {("a", "b")}
    assert not any("d" in (pair.first, pair.second) for pair in found.pairs)
    assert found.pearson[4] == (None,) * 5
    assert len(correlations(np.repeat(a[:, None], 9, axis=1), "abcdefghi").pairs) == 10


def test_huge_values_correlate_as_their_small_copies_do():
    np.testing.assert_allclose(pearson_matrix(X * 1e300), pearson_matrix(X), atol=1e-12)


def test_the_spectrum_of_a_line_is_one_component():
    line = np.outer(RNG.normal(size=50), [1.0, 2.0, 3.0])
    found = spectrum(line)
    assert found.shares[0] == pytest.approx(1.0)
    assert found.needed == (1, 1, 1)
    assert spectrum(np.ones((5, 2))).shares == ()
    from sklearn.decomposition import PCA

    np.testing.assert_allclose(spectrum(X).shares, PCA().fit(X).explained_variance_ratio_)


def test_the_column_that_holds_the_label_explains_everything():
    x = np.column_stack([Y * 2.0, X[:, 0], np.full(90, 0.1)])
    explained = telling(x, Y)
    assert explained[0] == pytest.approx(1.0)
    assert explained[1] < 0.2
    assert explained[2] == 0.0
    assert telling(x, Y * 2.0 + 1.0, regression=True)[0] == pytest.approx(1.0)


def test_a_histogram_counts_every_finite_row_once():
    values = np.r_[X[:88, 0], np.nan, np.inf]
    found = histogram(values, Y, "a", 3)
    assert np.sum(found.counts) == 88
    assert (found.edges[0], found.edges[-1]) == (values[:88].min(), values[:88].max())
    merged = histogram(values, Y, "a", 0)
    np.testing.assert_array_equal(np.sum(found.counts, axis=0), merged.counts[0])
    assert histogram(np.array([0.0, 1.0, 1.0]), Y[:3], "a", 0).counts == ((1, 2),)


def test_the_profile_of_iris():
    found = profile(_dataset("iris"))
    assert found.class_names == ("setosa", "versicolor", "virginica")
    assert [split.counts for split in found.splits] == [(35,) * 3, (5,) * 3, (10,) * 3]
    assert found.columns[2].name == "petal length (cm)"
    assert (found.correlations.pairs[0].first, found.correlations.n_strong) == (
        "petal length (cm)",
        1,
    )
    assert found.histograms[0].name == "petal length (cm)"
    assert any(finding.check == "leakage" for finding in found.findings)
    assert {(o.method, o.split) for o in found.outliers} >= {("iqr", "train"), ("zscore", "test")}


@pytest.mark.parametrize(("name", "task"), [("wine", "classification"), ("diabetes", "regression")])
def test_a_profile_is_read_back_from_json_and_drawn(name, task):
    found = profile(_dataset(name, task=task))
    assert Profile.from_json(found.to_json()) == found
    assert "NaN" not in found.to_json()
    page = _check_page(render(found))
    assert found.fingerprint in page.text
    assert found.columns[-1].name in page.text


def test_a_prepared_profile_has_the_columns_of_the_model():
    steps = [{"name": "standard"}, {"name": "pca", "components": 2}]
    found = profile(_dataset("iris", preprocessing=steps), QualityConfig(prepared=True))
    assert [column.name for column in found.columns] == ["column 0", "column 1"]
    assert found.columns[0].mean == pytest.approx(0.0, abs=1e-12)


def test_digits_are_profiled_in_seconds(tmp_path):
    """CPU time, so that a busy machine is no failure."""
    dataset = _dataset("digits")
    before = time.process_time()
    profile(dataset).write(tmp_path)
    assert time.process_time() - before < MOST_SECONDS
    page = _check_page((tmp_path / "profile.html").read_text(encoding="utf-8"))
    assert page.tags.count("figure") == 12
    assert json.loads((tmp_path / "profile.json").read_text(encoding="utf-8"))["name"] == "digits"


def test_whatever_columns_and_classes_are_called_is_text_on_the_page():
    labels = np.array(["</style><img src=x onerror=alert(1)>", "<script>", "\u2603 ok"])
    x = X.copy()
    x[:, 1] = 4.0  # so that a finding names the column
    dataset = DatasetLoader.from_arrays(x, labels[Y], feature_names=HOSTILE)
    text = render(profile(dataset))
    page = _check_page(text)
    assert "img" not in page.tags
    assert {"b", "onerror"} & {*page.tags, *page.attributes} == set()
    for word in (*HOSTILE, "<script>"):
        assert word in page.text


def test_findings_come_first_with_severity_and_fix():
    x = X.copy()
    x[:, 1] = 4.0
    dataset = DatasetLoader.from_arrays(x, Y, feature_names=("a", "b", "c"))
    page = _check_page(render(profile(dataset, QualityConfig(high=3.5))))
    assert page.text.index("Findings") < page.text.index("Columns of train")
    assert "finding error" in page.attributes["class"]
    assert "finding warning" in page.attributes["class"]
    assert "Drop the column" in page.text
    halves = DatasetLoader.from_arrays(X, Y, split={"train": 0.5, "test": 0.5})
    assert "Every check passed" in render(profile(halves))


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write the profile") as caught:
        profile(DatasetLoader.from_arrays(X, Y)).write(tmp_path / "file")
    assert caught.value.field == "folder"
    assert str(tmp_path) in caught.value.value


VALUES = st.floats(-1.7e308, 1.7e308) | st.sampled_from([0.0, 1.0])


@settings(max_examples=12)  # each grows a forest
@given(arrays.arrays(np.float64, st.tuples(st.integers(6, 14), st.integers(1, 3)), elements=VALUES))
def test_any_finite_numbers_can_be_profiled(x):
    dataset = DatasetLoader.from_arrays(x, np.arange(len(x)) % 2)
    found = profile(dataset)
    assert Profile.from_json(found.to_json()) == found
    _check_page(render(found))


@given(arrays.arrays(np.float64, st.integers(1, 9), elements=st.floats(width=64)))
def test_any_column_has_statistics_and_a_histogram(values):
    found = column_statistics(values, "a")
    counted = np.sum(histogram(values, np.zeros(len(values), dtype=int), "a", 1).counts)
    assert found.count - found.missing == counted == np.isfinite(values).sum()
    assert found.distinct <= counted
