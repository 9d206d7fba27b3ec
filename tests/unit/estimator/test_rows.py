"""Rows and labels that no estimator takes: the error names the column or the row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from qstore_ray.errors import ConfigError, DataError
from qstore_ray.estimator import QuantumClassifier, QuantumKernelClassifier, QuantumRegressor

ESTIMATORS = {
    "classifier": QuantumClassifier(epochs=1, n_layers=1),
    "kernel": QuantumKernelClassifier(),
    "regressor": QuantumRegressor(epochs=1, n_layers=1),
}
N = 8
NUMBERS = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 2)), columns=["u", "v"])
STRANGE = {
    "dates": pd.Timestamp("2020-01-01"),
    "dates with a zone": pd.Timestamp("2020-01-01", tz="UTC"),
    "spans of time": pd.Timedelta("1D"),
    "periods": pd.Period("2020", "Y"),
    "text": "Bonn",
    "complex numbers": 1j,
}


def _labels(name: str) -> list:
    return [0.5, 1.5] * (N // 2) if name == "regressor" else ["a", "b"] * (N // 2)


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_column_without_numbers_is_named(name: str, strange: str):
    rows = NUMBERS.assign(odd=STRANGE[strange])
    with pytest.raises(ConfigError, match="features must be real numbers") as caught:
        ESTIMATORS[name].fit(rows, _labels(name))
    assert caught.value.field == "X, column 'odd'"


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_column_without_numbers_to_predict_on_is_named(name: str):
    fitted = ESTIMATORS[name].fit(NUMBERS, _labels(name))
    with pytest.raises(ConfigError, match="features must be real numbers") as caught:
        fitted.predict(NUMBERS.assign(v=pd.Timestamp("2020-01-01")))
    assert caught.value.field == "X, column 'v'"


def test_an_array_of_dates_is_not_taken_for_numbers():
    rows = np.full((N, 2), "2020-01-01", dtype="M8[D]")
    with pytest.raises(ConfigError, match="of type datetime64"):
        ESTIMATORS["classifier"].fit(rows, _labels("classifier"))


@pytest.mark.parametrize("form", [list, np.array, lambda y: pd.Series(y, dtype=object)])
@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_missing_label_has_its_row(name: str, missing: object, form):
    labels = _labels(name)
    labels[3] = missing
    given = np.array(labels, dtype=object) if form is np.array else form(labels)
    with pytest.raises(ConfigError, match="a label is missing, first in row 3"):
        ESTIMATORS[name].fit(NUMBERS, given)


@pytest.mark.parametrize("name", ["classifier", "kernel"])
def test_text_beside_numbers_is_no_label(name: str):
    labels = np.array([*_labels(name)[:-1], 7], dtype=object)
    with pytest.raises(ConfigError, match="text and numbers side by side, first in row 7"):
        ESTIMATORS[name].fit(NUMBERS, labels)


def test_numbers_written_otherwise_are_still_taken():
    rows = NUMBERS.astype(object).assign(w=[True, False] * (N // 2), z=[str(k) for k in range(N)])
    assert ESTIMATORS["classifier"].fit(rows, _labels("classifier")).n_features_in_ == 4


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_masked_value_is_missing(name: str):
    masked = np.ma.masked_array(NUMBERS.to_numpy(), mask=np.zeros((N, 2), bool))
    fitted = ESTIMATORS[name].fit(masked, _labels(name))
    masked[3, 1] = np.ma.masked
    for use in (lambda: fitted.fit(masked, _labels(name)), lambda: fitted.predict(masked)):
        with pytest.raises(ConfigError, match="a value is masked, first in row 3") as caught:
            use()
        assert caught.value.field == "X"


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_arrow_table_is_read_by_its_names(name: str):
    table = pa.table({column: NUMBERS[column] for column in NUMBERS})
    fitted = ESTIMATORS[name].fit(table, _labels(name))
    assert list(fitted.feature_names_in_) == ["u", "v"]
    assert (fitted.predict(table) == fitted.predict(NUMBERS)).all()
    with pytest.raises(ValueError, match="same order"):
        fitted.predict(table.select(["v", "u"]))


def test_a_column_of_an_arrow_table_without_numbers_is_named():
    table = pa.table({"u": NUMBERS["u"], "odd": ["Bonn"] * N})
    with pytest.raises(ConfigError, match="of type string") as caught:
        ESTIMATORS["classifier"].fit(table, _labels("classifier"))
    assert caught.value.field == "X, column 'odd'"


class LazyFrame:
    """Has columns and no rows, as the lazy table of polars."""

    columns = ("u", "v")


def test_a_lazy_table_has_to_be_collected():
    with pytest.raises(DataError, match=r"no rows yet.*collect\(\)"):
        ESTIMATORS["classifier"].fit(LazyFrame(), _labels("classifier"))


TARGETS = {
    "days": np.arange(N).astype("M8[D]"),
    "spans": np.arange(N).astype("m8[s]"),
    "a column of dates": pd.Series(pd.date_range("2020", periods=N)),
    "arrow dates": pa.array(np.arange(N).astype("M8[D]")),
    "dates of Python": pd.date_range("2020", periods=N).date.tolist(),
    "names": ["a", "b"] * (N // 2),
}


@pytest.mark.parametrize("targets", TARGETS)
def test_targets_that_are_no_numbers_are_refused(targets: str):
    with pytest.raises(ConfigError, match="targets must be real numbers") as caught:
        ESTIMATORS["regressor"].fit(NUMBERS, TARGETS[targets])
    assert caught.value.field == "y"
