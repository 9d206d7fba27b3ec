"""The process that reads text of variable length: its limits, and what it refuses."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import h5py
import pytest

from qstore_ray.data.sources.local.hdf5 import text_process

TEXTS = ["", "a", "ein Wort", "δύο", "three\nlines\t"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as made:
        made.create_dataset("texts", data=TEXTS, dtype=h5py.string_dtype())
        made.create_dataset("fixed", data=[b"a", b"b"], dtype=h5py.string_dtype(length=1))
        made.create_dataset("numbers", data=[1, 2])
    return str(path)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Limits of memory that it would set for itself, which is this process here."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limit: found.append(limit))
    return found


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (1, 4), (2, 2), (4, 9)])
def test_it_writes_the_texts_of_the_rows_asked_for(file, limits, capsys, start, stop):
    text_process.main(file, "texts", start, stop, 1000)
    assert json.loads(capsys.readouterr().out) == TEXTS[start:stop]


@pytest.mark.parametrize("most", [0, 10**6])
def test_its_memory_is_bounded_by_the_texts_that_are_allowed(file, limits, most):
    text_process.main(file, "texts", 0, 1, most)
    (soft, hard) = limits[0]
    assert soft == hard
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    assert 2**27 < soft - 8 * most - used + 2**28 < 2**30


@pytest.mark.parametrize(
    ("name", "most", "words"),
    [
        ("texts", 3, "longer than 3 bytes"),
        ("fixed", 100, "no longer text"),
        ("numbers", 100, "no longer text"),
    ],
)
def test_it_refuses_what_is_not_what_was_looked_at_before(file, limits, name, most, words, capsys):
    with pytest.raises(ValueError, match=words):
        text_process.main(file, name, 0, 5, most)
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux bounds the memory")
def test_without_the_size_of_the_process_only_the_time_is_bounded(
    file, limits, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(text_process, "Path", lambda path: tmp_path / "none")
    text_process.main(file, "texts", 0, 1, 1000)
    assert limits == []
