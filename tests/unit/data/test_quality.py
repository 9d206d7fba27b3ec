"""Checks of data quality: each fires on a fault that was planted, and is silent without it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.quality.classes import find_imbalance, find_label_leaks, find_missing_classes
from qstore_ray.data.quality.columns import (
    find_bad_shape,
    find_bad_values,
    find_constant,
    find_out_of_range,
)
from qstore_ray.data.quality.config import QualityConfig
from qstore_ray.data.quality.drift import (
    benjamini_hochberg,
    find_drift,
    measure_drift,
    stability_index,
)
from qstore_ray.data.quality.finding import Finding, RowOrigin
from qstore_ray.data.quality.parts import Split
from qstore_ray.data.quality.qubits import find_unfit
from qstore_ray.data.quality.report import Report, check_splits, validate
from qstore_ray.data.quality.rows import find_duplicates, find_near, find_shared
from qstore_ray.errors import ConfigError, DataError, UnknownNameError

RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 3))
Y = RNG.integers(0, 2, size=200)
CLASSES = ("no", "yes")
TRAIN = RowOrigin("train", np.arange(200), ("a", "b", "c"))
TEST = RowOrigin("test", np.arange(1000, 1050), ("a", "b", "c"))
OTHER = RNG.normal(size=(50, 3))


def _only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_clean_rows_have_no_findings():
    splits = {"train": Split(X, Y, TRAIN), "test": Split(OTHER, Y[:50], TEST)}
    assert check_splits(splits, CLASSES, QualityConfig(low=-9, high=9)) == []


@pytest.mark.parametrize(
    ("x", "y", "width", "message"),
    [
        (X[:0], Y[:0], None, "0 rows"),
        (X[:, :0], Y, None, "0 features"),
        (X[:, 0], Y, None, r"not \(N, F\)"),
        (X, Y[:-1], None, "200 rows but labels of shape"),
        (X, np.ones((200, 2)), None, "200 rows but labels of shape"),
        (X, Y, 4, "3 features, 4 are expected"),
    ],
)
def test_shapes(x, y, width, message):
    finding = _only(find_bad_shape(x, y, width, TRAIN))
    assert finding.severity == "error"
    assert re.search(message, finding.message)
    assert find_bad_shape(X, Y, 3, TRAIN) == []


def test_bad_values_are_counted_and_named_by_column_and_first_row():
    x = OTHER.copy()
    x[[7, 9], 1] = np.nan
    x[8, 1] = -np.inf
    finding = _only(find_bad_values(x, TEST))
    assert (finding.field, finding.value, finding.rows) == ("b", 3, (1007, 1008, 1009))
    assert "2 NaN and 1 infinite of 50 values in test, first in row 1007" in finding.message
    assert find_bad_values(OTHER, TEST) == []


def test_many_columns_alike_are_summed_up():
    findings = find_bad_values(np.full((2, 784), np.nan))
    assert len(findings) == 11
    assert findings[-1].severity == "error"
    assert findings[-1].value == 774
    assert "774 more columns: column 10, column 11" in findings[-1].message


def test_a_range_is_one_for_all_columns_or_one_a_column():
    x = np.array([[0.0, 5.0], [2.0, -7.0], [1.0, np.nan]])
    assert find_out_of_range(x, -7.0, 5.0) == []
    assert find_out_of_range(x) == []
    finding = _only(find_out_of_range(x, 0.0, (2.0, 4.0), RowOrigin(names=("u", "v"))))
    assert (finding.field, finding.value, finding.rows) == ("v", -7.0, (0, 1))
    assert "2 of 3 values are outside [0, 4]" in finding.message
    with pytest.raises(ConfigError, match="3 bounds for 2 columns") as caught:
        find_out_of_range(x, (1.0, 2.0, 3.0))
    assert caught.value.field == "low"


def test_constant_and_nearly_constant_columns():
    x = np.column_stack([np.full(200, 4.0), np.r_[np.zeros(199), 1.0], X[:, 0]])
    constant, nearly = find_constant(x, origin=TRAIN)
    assert (constant.field, constant.severity, constant.value) == ("a", "warning", 4.0)
    assert (nearly.field, nearly.severity, nearly.value) == ("b", "info", 0.995)
    assert len(find_constant(x, near_constant=0.999)) == 1
    assert find_constant(X) == []
    assert find_constant(X[:1]) == []  # one row does not vary, and that says nothing


def test_duplicates_name_both_rows_and_labels_that_contradict():
    x = X.copy()
    x[[40, 90]] = x[5]
    y = Y.copy()
    y[[5, 40, 90]] = 1, 1, 0
    again, contradiction = find_duplicates(x, y, TRAIN)
    assert (again.rows, again.value) == ((40, 90), 2)
    assert "row 40 repeats row 5" in again.message
    assert (contradiction.check, contradiction.rows) == ("contradictions", (90,))
    assert find_duplicates(X, Y, TRAIN) == []
    assert len(find_duplicates(np.array([[0.0], [-0.0]]), np.array([1, 1]))) == 1


def test_a_row_in_two_splits_is_named_in_both():
    x = OTHER.copy()
    x[12] = X[33]
    finding = _only(find_shared(X, x, train_origin=TRAIN, origin=TEST))
    assert (finding.severity, finding.value, finding.rows) == ("error", 1, (1012,))
    assert "1 of 50 rows in test are also in train; row 1012 equals row 33" in finding.message
    tolerated = find_shared(X, x, max_leaked=0.02, train_origin=TRAIN, origin=TEST)
    assert _only(tolerated).severity == "warning"
    assert find_shared(X, OTHER) == []


def test_a_nearly_equal_row_is_named_and_an_equal_one_is_left_to_the_exact_check():
    x = OTHER.copy()
    x[12] = X[33] + 1e-5
    x[13] = X[34]
    finding = _only(find_near(X, x, train_origin=TRAIN, origin=TEST))
    assert (finding.severity, finding.value, finding.rows) == ("warning", 1, (1012,))
    assert "row 1012 is nearest to row 33" in finding.message
    assert find_near(X, OTHER, near=1e-3) == []


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_what_is_near_depends_on_the_scale_of_no_column(scale):
    x = OTHER.copy()
    x[12] = X[33] + 1e-5
    units = np.array([scale, 1.0, 1.0 / scale])
    assert _only(find_near(X * units, x * units)).rows == (12,)


def test_many_rows_are_sampled_and_the_finding_says_so():
    quiet = _only(find_near(X, OTHER, near=1e-3, max_rows=20, seed=1))
    assert quiet.severity == "info"
    assert "searched a sample of 20 rows a split" in quiet.message
    found = _only(find_near(X, X[:60] + 1e-7, max_rows=60, seed=1))
    assert found.severity == "warning"
    assert "sample of 60 rows" in found.message
    assert find_near(X, X[:60] + 1e-7, max_rows=60, seed=1) == [found]


def test_rows_that_are_all_equal_have_no_measure_of_near():
    assert "too few different rows" in _only(find_near(np.ones((5, 2)), OTHER[:, :2])).message


def test_class_balance():
    y = np.array([0] * 101 + [1] * 9)
    few, imbalance = find_imbalance(y, CLASSES, origin=TRAIN)
    assert "class 'yes' has 9 rows in train, fewer than 10" in few.message
    assert imbalance.value == pytest.approx(101 / 9)
    assert "101 to 9" in imbalance.message
    assert find_imbalance(np.array([0] * 100 + [1] * 10), CLASSES) == []
    assert find_imbalance(y, CLASSES, min_per_class=9, max_imbalance=12) == []


def test_a_missing_class_is_named_with_the_counts():
    finding = _only(find_missing_classes(np.zeros(4, dtype=int), CLASSES, TEST))
    assert finding.severity == "warning"
    assert "no row of class 'yes' in test (rows by class: no 4, yes 0)" in finding.message
    assert _only(find_missing_classes(np.zeros(4, dtype=int), CLASSES, TRAIN)).severity == "error"
    assert find_missing_classes(np.array([0, 1]), CLASSES, TEST) == []


@pytest.mark.parametrize(
    "leak",
    [
        lambda y: y * 1.0,
        lambda y: 7.0 - 3.0 * y,
        lambda y: y + RNG.uniform(0.0, 0.9, len(y)),  # the classes side by side
        lambda y: np.array([3.0, 1.0, 8.0, 6.0])[y + 2 * RNG.integers(0, 2, len(y))],  # a code
    ],
)
def test_a_column_that_gives_every_label_is_named(leak):
    x = np.column_stack([X[:, 0], leak(Y)])
    assert _only(find_label_leaks(x, Y, origin=TRAIN)).field == "b"


def test_a_column_that_gives_most_labels_is_no_leak():
    almost = Y * 1.0
    almost[7] = 1.0 - almost[7]
    assert find_label_leaks(np.column_stack([almost, X]), Y) == []


def test_what_happens_by_chance_is_no_leak():
    """Three rows are always told apart, and so are rows that each have a number of their own."""
    assert find_label_leaks(RNG.normal(size=(3, 50)), np.array([0, 0, 1])) == []
    assert find_label_leaks(np.arange(200.0)[:, None], Y) == []


def test_a_regression_leaks_by_a_linear_column():
    y = 2.0 * X[:, 1] - 5.0
    assert _only(find_label_leaks(X, y, regression=True, origin=TRAIN)).field == "b"
    assert find_label_leaks(X, y + 1e-3 * X[:, 0], regression=True) == []


def test_drift_names_the_column_that_moved():
    x = RNG.normal(size=(100, 3))
    x[:, 2] += 1.5
    finding = _only(find_drift(X, x, origin=TEST))
    assert (finding.field, finding.severity) == ("c", "warning")
    assert find_drift(X, RNG.normal(size=(100, 3)), origin=TEST) == []
    assert "drift was not measured" in _only(find_drift(X, OTHER[:9])).message


def test_drift_agrees_with_scipy_s_exact_test():
    from scipy.stats import ks_2samp

    x = RNG.normal(0.3, size=(80, 3))
    for drift in measure_drift(X, x):
        exact = ks_2samp(X[:, drift.column], x[:, drift.column], method="exact")
        assert drift.ks == pytest.approx(exact.statistic)
        assert drift.p_value == pytest.approx(exact.pvalue, rel=0.25, abs=1e-6)


def test_false_alarms_are_kept_below_the_rate_asked_for():
    """Without drift, a search over 20 columns alarms in at most about 5 % of the data sets."""
    draw = np.random.default_rng(5)
    alarms = [
        any(
            drift.differs
            for drift in measure_drift(draw.normal(size=(60, 20)), draw.normal(size=(30, 20)))
        )
        for _ in range(20)
    ]
    assert np.mean(alarms) <= 0.1


def test_benjamini_and_hochberg_s_own_example():
    """The 15 p-values of their paper, section 3.2: four are rejected at 0.05."""
    p = np.array(
        [
            *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
            *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
        ]
    )
    order = np.random.default_rng(0).permutation(15)
    assert sorted(p[order][benjamini_hochberg(p[order], 0.05)]) == p[:4].tolist()


def test_the_stability_index_is_symmetric_at_zero_and_known_for_two_bins():
    values = np.arange(1000.0)
    assert stability_index(values, values)[0] == 0.0
    a, b = np.repeat([0.0, 1.0], [500, 500]), np.repeat([0.0, 1.0], [800, 200])
    expected = (0.5 - 0.8) * math.log(0.5 / 0.8) + (0.5 - 0.2) * math.log(0.5 / 0.2)
    index, bins = stability_index(a, b)
    assert index == pytest.approx(expected, rel=0.01)
    assert bins == 2


@pytest.mark.parametrize(
    ("encoding", "n_qubits", "width", "fits"),
    [
        ("angle", 4, 4, True),
        ("angle", 3, 4, False),
        ("dense_angle", 2, 4, True),
        ("amplitude", 2, 4, True),
        ("amplitude", 2, 5, False),
        ("zz", 4, 3, False),
        ("iqp", 3, 3, True),
        ("hamiltonian", 4, 3, True),
        ("hamiltonian", 3, 3, False),
    ],
)
def test_the_width_is_what_the_encoding_takes(encoding, n_qubits, width, fits):
    findings = find_unfit(np.full((2, width), 0.5), encoding, n_qubits)
    assert (findings == []) == fits
    if not fits:
        assert (_only(findings).severity, findings[0].value) == ("error", width)
        assert findings[0].fix


def test_rows_that_an_encoding_cannot_take():
    x = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, -0.5]])
    zero = _only(find_unfit(x, "amplitude", 1, RowOrigin("test", np.array([5, 6, 7]))))
    assert (zero.rows, zero.severity) == ((6,), "error")
    assert _only(find_unfit(x, "basis", 2)).rows == (2,)
    assert find_unfit(np.abs(np.sign(x)), "basis", 2) == []
    with pytest.raises(UnknownNameError, match="unknown encoding"):
        find_unfit(x, "angel", 2)


def test_angles_a_turn_apart_are_a_warning():
    turn = np.array([[0.0, 0.0], [2 * math.pi, 1.0]])
    assert find_unfit(turn, "angle", 2) == []
    finding = _only(find_unfit(turn * 1.01, "angle", 2, RowOrigin(names=("u", "v"))))
    assert (finding.severity, finding.field) == ("warning", "u")


def test_a_report_raises_its_first_error():
    dataset = DatasetLoader.from_arrays(X, Y, test=(np.vstack([OTHER, X[:1]]), Y[:51]))
    report = validate(dataset)
    assert not report.ok
    with pytest.raises(DataError, match="row 250 equals row 0") as caught:
        report.raise_for_errors()
    assert (caught.value.field, caught.value.value) == ("x", 1)
    assert "Drop duplicates" in caught.value.fix
    assert "(rows 250)" in str(caught.value)
    assert Report.from_json(report.to_json()) == report
    assert "error [leakage] x: 1 of 51 rows" in report.describe()


def test_a_report_without_errors_raises_nothing():
    report = validate(DatasetLoader.from_arrays(X, Y))
    assert report.ok
    report.raise_for_errors()
    assert Report(()).describe() == "no findings"


def test_raw_rows_are_checked_for_range_and_prepared_rows_for_the_circuit():
    dataset = DatasetLoader.from_arrays(
        X + 100.0,
        Y,
        preprocessing=[{"name": "minmax", "clip": True}],
        feature_names=("a", "b", "c"),
    )
    for split in dataset.sizes:
        x, y = dataset.plan(split).read_raw()
        np.testing.assert_array_equal(x, X[dataset.rows(split)] + 100.0)
        np.testing.assert_array_equal(y, Y[dataset.rows(split)])
    fits = QualityConfig(low=90, high=110, encoding="angle", n_qubits=3)
    assert validate(dataset, fits).findings == ()
    assert validate(dataset, QualityConfig(high=4, prepared=True)).findings == ()
    assert len(validate(dataset, QualityConfig(high=90)).errors) == 9
    (narrow,) = validate(dataset, QualityConfig(encoding="angle", n_qubits=2)).errors
    assert "at most 2 features on 2 qubits" in narrow.message


def test_iris_has_one_flower_twice():
    report = validate(DatasetLoader.load(DatasetConfig(name="iris", params={"dataset": "iris"})))
    assert "row 101 equals row 142" in _only(list(report.errors)).message


def test_an_encoding_without_qubits_is_refused():
    for values, field in (({"encoding": "angle"}, "n_qubits"), ({"n_qubits": 3}, "encoding")):
        with pytest.raises(ConfigError, match="belong together") as caught:
            QualityConfig(**values)
        assert caught.value.field == field


def test_splits_of_other_widths_are_found_before_columns_are_compared():
    splits = {"train": Split(X, Y, TRAIN), "test": Split(OTHER[:, :2], Y[:50], TEST)}
    assert _only(check_splits(splits, CLASSES, QualityConfig())).check == "shape"
    with pytest.raises(DataError, match="no split called train"):
        check_splits({"test": splits["test"]}, CLASSES, QualityConfig())


VALUES = st.floats(allow_nan=True, allow_infinity=True, width=64)
TABLES = st.tuples(st.integers(1, 15), st.integers(1, 4)).flatmap(
    lambda shape: arrays.arrays(np.float64, shape, elements=VALUES)
)


@given(TABLES, TABLES, st.sampled_from(["angle", "amplitude", "basis"]))
def test_any_numbers_can_be_checked(x, other, encoding):
    """Odd shapes, constants, 1e308, NaN: findings come out, nothing is raised or warned of."""
    other = np.resize(other, (len(other), x.shape[1]))
    splits = {
        "train": Split(x, np.arange(len(x)) % 2, RowOrigin("train")),
        "test": Split(other, np.arange(len(other)) % 2, RowOrigin("test")),
    }
    findings = check_splits(splits, CLASSES, QualityConfig(low=-1, high=1))
    findings += find_unfit(x, encoding, 2)
    assert Report.from_json(Report(tuple(findings)).to_json()).findings == tuple(findings)
    bad = {f.field for f in findings if f.check == "finite" and "in train" in f.message}
    assert len(bad) == (~np.isfinite(x)).any(axis=0).sum()
