"""Files that a command writes: what to do where they cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import qstore_ray.files
from qstore_ray.cli.shared.models import write_output
from qstore_ray.errors import UsageError


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        (errno.ENOSPC, "Free some space."),
        (errno.EDQUOT, "Free some space."),
        (errno.EROFS, "Give a file that may be written."),
    ],
)
def test_a_full_disk_wants_space(tmp_path: Path, monkeypatch, code: int, fix: str):
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(qstore_ray.files, "write_durably", refuse)
    with pytest.raises(UsageError, match=os.strerror(code)) as caught:
        write_output(tmp_path / "labels.csv", b"prediction\n")
    assert caught.value.fix == fix


def test_a_folder_is_no_file(tmp_path: Path):
    (tmp_path / "labels.csv").mkdir()
    with pytest.raises(UsageError, match="cannot write the output"):
        write_output(tmp_path / "labels.csv", b"prediction\n")
