"""A new file is written whole, or not at all, and never over another one."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from qstore_ray import files
from qstore_ray.errors import UsageError
from qstore_ray.files import write_new


def test_a_new_file_has_the_text_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write_new(tmp_path / "job.toml", "α = 1\n", field="write", fix="Move.")
    assert (tmp_path / "job.toml").read_text(encoding="utf-8") == "α = 1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["job.toml"]


def test_a_file_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="cannot write the file: File exists") as caught:
        write_new(path, "yours", field="write", fix="Move it away first.")
    error = caught.value
    assert (error.field, error.value, error.fix) == ("write", str(path), "Move it away first.")
    assert path.read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="File exists"):
        write_new(path, "text", field="write", fix="Move.")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        write_new(tmp_path / "no" / "job.toml", "text", field="write", fix="Make the folder.")


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_durably", full)
    with pytest.raises(UsageError, match="No space left"):
        write_new(tmp_path / "job.toml", "text", field="write", fix="Free some space.")
    assert list(tmp_path.iterdir()) == []
