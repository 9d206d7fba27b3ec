"""TOML: what is written is read again with the same values."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qstore_ray.config import Config, dump_toml

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ['"""', "\\n", "a\nb\\", "\r\n", "\x7f\x00", "", "x" * 120, "'", "ends in \\\n"]
)
KEYS = TEXTS | st.sampled_from(["plain", "with.dot", "with blank", 'with "quotes"', ""])
SCALARS = (
    TEXTS
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.dates()
    | st.times()
    | st.datetimes()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(values=st.dictionaries(KEYS, VALUES, max_size=5))
@example(values={"a": [{"b": "x" * 120}, {}], "c": {"d": {}}, "e": [[{"f": [1]}], []]})
@example(values={"t": {"rows": [{"n": "x\ny", "m": [{"k": "z" * 99}]}]}, "last": 1e16})
def test_what_is_written_is_read_again(values):
    assert tomllib.loads(dump_toml(values)) == values


def test_a_number_that_is_not_finite_is_written_as_toml_has_it():
    text = dump_toml({"low": float("-inf"), "none": float("nan"), "zero": -0.0})
    assert text == "low = -inf\nnone = nan\nzero = -0.0\n"


def test_a_job_is_written_as_people_write_it():
    values = {
        "name": "digits",
        "steps": [{"name": "pca", "n": 8}, {"name": "minmax"}],
        "when": [date(2026, 11, 2), time(9), datetime(2026, 11, 2, tzinfo=UTC)],
        "trainer": {"epochs": 5, "noise": {"readout": 0.01}, "gates": [{"on": "cx" * 60}, {}]},
        "track": {"trackers": {"ledger": {}}},
        "note": "first\nsecond",
    }
    assert dump_toml(values) == (
        'name = "digits"\n'
        'steps = [\n    { name = "pca", n = 8 },\n    { name = "minmax" },\n]\n'
        "when = [\n    2026-11-02,\n    09:00:00,\n    2026-11-02T00:00:00+00:00,\n]\n"
        'note = """\nfirst\nsecond"""\n'
        "\n[trainer]\nepochs = 5\n"
        "\n[trainer.noise]\nreadout = 0.01\n"
        f'\n[[trainer.gates]]\non = "{"cx" * 60}"\n'
        "\n[[trainer.gates]]\n"
        "\n[track.trackers.ledger]\n"
    )


@given(table=st.dictionaries(KEYS, VALUES, max_size=3), n=st.integers(11, 15))
@example(table={"text": "a\nb", "deep": [{"more": [{}] * 30, "none": []}]}, n=21)
def test_many_tables_are_one_line(table, n):
    values = {"device": {"name": "d", "gates": [{**table, "n": k} for k in range(n)]}}
    text = dump_toml(values)
    assert tomllib.loads(text) == values
    if n > 12:
        assert text.count("\n") == 3, "[device], name, gates"


@pytest.mark.parametrize("value", [None, {1}, b"bytes", object()])
def test_a_value_that_toml_does_not_have_is_refused(value):
    with pytest.raises(TypeError, match="TOML has no value"):
        dump_toml({"a": [value]})


def test_a_configuration_survives_the_way_to_disk(tmp_path):
    class Folder(Config):
        path: str
        sizes: tuple[int, ...] = ()
        labels: dict[str, str]

    folder = Folder(path='C:\\a"b\n', sizes=(1, 2), labels={"a.b": "ü"})
    (tmp_path / "folder.toml").write_text(folder.to_toml(), encoding="utf-8")
    assert Folder.load(tmp_path / "folder.toml") == folder
    assert Folder.from_toml(tmp_path / "folder.toml") == folder, "the earlier name"
