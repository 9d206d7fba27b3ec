"""A growing file as numbered objects: what is read is the file as it was flushed last."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.errors import StorageError
from qstore_ray.files import write_durably
from qstore_ray.storage import parts as module
from qstore_ray.storage.parts import PartedFile
from tests.object_store import FailingObjects, in_memory

CHANGES = st.lists(
    st.one_of(st.binary(min_size=1, max_size=40), st.integers(0, 3), st.none()), max_size=12
)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 30)


def changed(file: Path, change: bytes | int) -> None:
    """Append to a file, or cut it back to that many quarters of its length."""
    if isinstance(change, bytes):
        with file.open("ab") as opened:
            opened.write(change)
    elif file.exists():
        data = file.read_bytes()
        write_durably(file, data[: len(data) * change // 4])


@given(changes=CHANGES)
def test_the_objects_have_the_bytes_of_the_file(changes: list[bytes | int | None]) -> None:
    """None: another process goes on."""
    with tempfile.TemporaryDirectory() as folder:
        objects, file = in_memory(), Path(folder) / "metrics.jsonl"
        writer = PartedFile(objects, file)
        for change in changes:
            if change is None:
                writer = PartedFile(objects, file)
                continue
            changed(file, change)
            writer.flush()
            expected = file.read_bytes() if file.exists() else b""
            assert (PartedFile(objects, file).fetch() or b"") == expected


def test_a_part_grows_until_the_next_one_begins(tmp_path: Path) -> None:
    objects, file = in_memory(), tmp_path / "metrics.jsonl"
    writer = PartedFile(objects, file)
    for _ in range(20):
        changed(file, b"1234567890")
        writer.flush()
        writer.flush()
    sizes = {key: facts.size for key, facts in objects.listing().items()}
    assert sizes == {f"metrics/000001-{n:06d}.jsonl": 30 if n < 6 else 20 for n in range(7)}


@given(changes=CHANGES, lost=st.integers(0, 30))
def test_a_writer_that_dies_leaves_the_old_bytes_or_the_new(
    changes: list[bytes | int | None], lost: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        objects, file = in_memory(), Path(folder) / "metrics.jsonl"
        writer = PartedFile(FailingObjects(objects, lost), file)
        before: bytes = b""
        for change in changes:
            if change is None:
                continue
            changed(file, change)
            after = file.read_bytes() if file.exists() else b""
            try:
                writer.flush()
            except StorageError:
                assert (PartedFile(objects, file).fetch() or b"") in (before, after)
                break
            before = after


def test_of_two_writers_the_one_without_the_lease_is_refused(tmp_path: Path) -> None:
    objects = in_memory()
    old, new = tmp_path / "a" / "metrics.jsonl", tmp_path / "b" / "metrics.jsonl"
    for file in (old, new):
        file.parent.mkdir()
        file.write_bytes(b"1\n")
    holder = old

    def guard(file: Path) -> None:
        if file != holder:
            raise StorageError("taken over")

    left = PartedFile(objects, old, lambda: guard(old))
    taken = PartedFile(objects, new, lambda: guard(new))
    left.flush()
    holder = new
    changed(new, b"2\n")
    taken.flush()
    write_durably(new, b"0\n")  # cut back, as by a resume
    taken.flush()
    changed(old, b"3\n")
    with pytest.raises(StorageError, match="taken over"):
        left.flush()
    assert taken.fetch() == b"0\n"


def test_an_attempt_begins_a_log_of_its_own(tmp_path: Path) -> None:
    """What the one before it writes late is added to its own log, which nobody reads any more."""
    objects, file = in_memory(), tmp_path / "metrics.jsonl"
    file.write_bytes(b"1\n")
    PartedFile(objects, file).flush()
    changed(file, b"2\n")
    PartedFile(objects, file).flush()
    assert list(objects.listing()) == ["metrics/000002-000000.jsonl"]
    assert objects.create("metrics/000001-000001.jsonl", b"late\n") is not None
    assert PartedFile(objects, file).fetch() == b"1\n2\n"
