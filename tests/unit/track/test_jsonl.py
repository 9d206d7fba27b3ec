"""metrics.jsonl: whole lines, no hidden NaN, rewound exactly to a step."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.errors import RunError
from qstore_ray.track.jsonl import MetricsFile, encode, epoch_records, read_records

START = {"event": "start", "generation": 1, "resumed_from_step": 0}


def _epoch(epoch: int, step: int, **more: object) -> dict[str, object]:
    return {"event": "epoch", "epoch": epoch, "step": step, **more}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_what_is_appended_is_read_back(path: Path):
    records = [START, {"event": "step", "epoch": 0, "step": 1, "loss": 0.1}, _epoch(0, 5, loss=0.2)]
    with MetricsFile(path) as metrics:
        for record in records:
            metrics.append(record)
        assert metrics.read() == records
    assert read_records(path) == records


def test_numbers_of_numpy_are_numbers(path: Path):
    record = {"a": np.float32(0.5), "b": np.int64(3), "c": np.float64(0.1), "d": [np.int8(1)]}
    with MetricsFile(path) as metrics:
        metrics.append(record)
    assert read_records(path) == [{"a": 0.5, "b": 3, "c": 0.1, "d": [1]}]


def test_a_float_is_read_back_to_the_last_bit(path: Path):
    values = np.random.default_rng(0).normal(size=100).tolist()
    with MetricsFile(path) as metrics:
        metrics.append({"values": values})
    assert read_records(path)[0]["values"] == values


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
@pytest.mark.parametrize("place", ["val_loss", "scores.f1", "scores.all.1"])
def test_what_is_not_finite_is_refused_by_name(path: Path, bad: float, place: str):
    scores = {"f1": bad if place == "scores.f1" else 1.0, "all": [0, bad if "all" in place else 0]}
    record = _epoch(0, 1, val_loss=bad if place == "val_loss" else 1.0, scores=scores)
    metrics = MetricsFile(path)
    with pytest.raises(RunError) as caught:
        metrics.append(record)
    assert caught.value.field == place
    assert read_records(path) == []


def test_what_is_no_value_is_refused():
    with pytest.raises(RunError, match="number, text, list or table"):
        encode({"model": object()})


def test_a_file_that_is_not_there_has_no_records(path: Path):
    assert read_records(path) == []


def test_an_unfinished_last_line_is_no_record_yet(path: Path):
    whole, half = encode(START), encode(_epoch(0, 5))[:-1]
    path.write_bytes(whole + half)
    assert read_records(path) == [START]


@pytest.mark.parametrize("line", [b"{'a': 1}", b"[1, 2]", b"\xff\xfe", b""])
def test_a_damaged_line_is_named(path: Path, line: bytes):
    path.write_bytes(encode(START) + line + b"\n" + encode(START))
    with pytest.raises(RunError, match="line 2 of the metrics file is damaged"):
        read_records(path)


def test_a_folder_in_the_way_is_an_error(path: Path):
    path.mkdir()
    with pytest.raises(RunError, match="cannot write the metrics"):
        MetricsFile(path).append(START)
    with pytest.raises(RunError, match="cannot read the metrics"):
        read_records(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error():
    with MetricsFile(Path("/dev/full")) as metrics, pytest.raises(RunError, match="No space left"):
        metrics.append(START)


steps = st.integers(0, 12)
records = st.lists(
    st.one_of(
        st.builds(lambda s: {"event": "step", "epoch": s // 4, "step": s, "loss": 1.0}, steps),
        st.builds(lambda s: _epoch(s // 4, s), steps),
        st.builds(lambda s: {**START, "resumed_from_step": s}, steps),
        st.just({"event": "end", "status": "failed"}),
        st.just({"event": "warning", "message": "odd"}),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(records, steps)
def test_trimming_keeps_what_had_happened_by_the_step(tmp_path_factory, before, step: int):
    metrics = MetricsFile(tmp_path_factory.mktemp("run") / "metrics.jsonl")
    for record in before:
        metrics.append(record)
    metrics.trim(step)
    place = {"start": "resumed_from_step", "step": "step", "epoch": "step"}
    expected, stays = [], True
    for record in before:
        reached = record.get(place.get(record["event"], ""), 0) <= step
        stays = reached if record["event"] == "start" else stays
        if stays if record["event"] == "end" else reached:
            expected.append(record)
    assert metrics.read() == expected
    kept = metrics.read()
    metrics.trim(step)
    metrics.append(START)
    assert metrics.read() == [*kept, START]
    metrics.close()


def test_trimming_drops_an_unfinished_line(path: Path):
    path.write_bytes(encode(START) + b'{"event":"ep')
    with MetricsFile(path) as metrics:
        metrics.trim(5)
        metrics.append(_epoch(0, 5))
    assert read_records(path) == [START, _epoch(0, 5)]


def test_trimming_nothing_is_fine(path: Path):
    MetricsFile(path).trim(5)
    assert not path.exists()


def test_a_writer_of_an_earlier_attempt_writes_where_nobody_reads(path: Path):
    with MetricsFile(path) as stale, MetricsFile(path) as owner:
        stale.append(START)
        owner.trim(0)
        stale.append(_epoch(7, 99))
        owner.append(_epoch(0, 5))
    assert read_records(path) == [START, _epoch(0, 5)]


def test_a_record_is_one_write_of_one_line(path: Path, monkeypatch: pytest.MonkeyPatch):
    written: list[bytes] = []
    write = os.write
    monkeypatch.setattr(
        os, "write", lambda fd, data: written.append(bytes(data)) or write(fd, data)
    )
    with MetricsFile(path) as metrics:
        metrics.append({"event": "step", "step": 1, "text": "two\nlines"})
    assert len(written) == 1
    assert written[0].count(b"\n") == 1
    assert json.loads(written[0])["text"] == "two\nlines"


def test_of_an_epoch_done_twice_the_later_record_counts():
    records = [START, _epoch(1, 10, loss=2), _epoch(0, 5, loss=3), START, _epoch(1, 10, loss=1)]
    assert epoch_records(records) == [_epoch(0, 5, loss=3), _epoch(1, 10, loss=1)]
