"""What is recorded of each attempt: time, machine, packages, commit; never the user's name."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.track.attempt import (
    commit_of,
    installed_packages,
    new_attempt,
    packages_digest,
    with_status,
)
from qstore_ray.train.run.run_folder import open_run_folder
from qstore_ray.train.run.writing import read_run_record

VERSIONS = {"python": "3.11.7"}
NAMES = st.lists(st.sampled_from(["numpy-2.1", "numpy-2.2", "ray-2.60", "qiskit-2.6"]), unique=True)


def _git(folder: Path, *words: str) -> str:
    program = shutil.which("git")
    if program is None:
        pytest.skip("git is not installed")
    who = ["-c", "user.name=tester", "-c", "user.email=tester@localhost"]
    done = subprocess.run(
        [program, "-C", str(folder), *who, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git work tree with one commit."""
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "job.toml").write_text("name = 'a'\n")
    _git(tmp_path, "add", "job.toml")
    _git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def test_the_commit_is_that_of_the_work_tree_and_says_whether_it_was_changed(tree: Path):
    head = _git(tree, "rev-parse", "HEAD")
    assert commit_of(tree) == head
    (tree / "untracked.txt").write_text("it changes nothing that is tracked")
    _git(tree, "tag", "v1")  # a tag is no commit
    assert commit_of(tree) == head
    (tree / "job.toml").write_text("name = 'b'\n")
    assert commit_of(tree) == f"{head}-dirty"


def test_outside_a_work_tree_there_is_no_commit(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path) == ""


def test_a_program_of_the_repository_is_not_run(tree: Path):
    """`core.fsmonitor` of a foreign repository could be any program."""
    sign = tree / "sign"
    (tree / "program").write_text(f"#!/bin/sh\ntouch {sign}\n")
    (tree / "program").chmod(0o755)
    _git(tree, "config", "core.fsmonitor", str(tree / "program"))
    assert commit_of(tree) != ""
    assert not sign.exists()


@given(NAMES, NAMES)
def test_other_packages_have_another_digest(one: list[str], other: list[str]):
    same = sorted(one) == sorted(other)
    assert (packages_digest(sorted(one)) == packages_digest(sorted(other))) is same


def test_the_installed_packages_are_listed_with_their_versions():
    found = installed_packages()
    assert list(found) == sorted(found)
    assert any(name.startswith("numpy-") for name in found)


def test_nobody_is_named():
    text = json.dumps(new_attempt(1, "2026-01-01T00:00:00+00:00", VERSIONS))
    assert socket.gethostname() not in text
    assert f'"{getpass.getuser()}"' not in text
    assert os.path.expanduser("~") not in text  # noqa: PTH111 - as text


@given(st.lists(st.sampled_from(["finished", "failed", "interrupted"]), max_size=130))
def test_only_the_newest_attempt_changes_and_a_hundred_are_kept(ends: list[str]):
    entries = []
    for number, end in enumerate(ends, 1):
        entries = [*entries, new_attempt_at(number)]
        assert with_status(entries, "running")[-1].get("ended") is None
        before, entries = entries, with_status(entries, end)
        assert (entries[-1]["status"], entries[-1]["generation"]) == (end, number)
        assert "ended" in entries[-1]
        assert entries[:-1] == before[-100:-1]
    assert len(entries) == min(100, len(ends))


def new_attempt_at(generation: int):
    return {
        "generation": generation, "status": "running", "started": "2026-01-01T00:00:00+00:00",
        "versions": VERSIONS, "machine": "Linux x86_64", "packages": "0" * 64,
    }  # fmt: skip


def _open(storage: Path, **more):
    return open_run_folder(
        storage, "digits", recipe={"trainer": {"epochs": 1}}, data_fingerprint="d" * 64,
        config_toml="name = 'digits'\n", **more,
    )  # fmt: skip


def test_a_resumed_run_keeps_its_earlier_attempts(tmp_path: Path):
    folder = _open(tmp_path)
    folder.close()  # killed: nothing more was written
    folder = _open(tmp_path, existing="resume")
    folder.set_status("interrupted")
    folder.close()
    folder = _open(tmp_path, existing="resume")
    folder.set_status("finished", metrics={})
    folder.close()
    attempts = read_run_record(folder.path)["attempts"]
    assert [each["generation"] for each in attempts] == [1, 2, 3]
    assert [each["status"] for each in attempts] == ["running", "interrupted", "finished"]
    assert ["ended" in each for each in attempts] == [False, True, True]
    folder = _open(tmp_path, existing="replace")
    folder.close()
    assert [each["generation"] for each in read_run_record(folder.path)["attempts"]] == [1]


def test_a_record_of_an_earlier_version_gets_its_first_entry(tmp_path: Path):
    folder = _open(tmp_path)
    folder.close()
    record = json.loads((folder.path / "run.json").read_text())
    del record["attempts"]
    (folder.path / "run.json").write_text(json.dumps(record))
    folder = _open(tmp_path, existing="resume")
    folder.close()
    assert [each["generation"] for each in read_run_record(folder.path)["attempts"]] == [2]


def test_packages_that_a_package_carries_along_are_not_listed(tmp_path, monkeypatch):
    """Ray puts such a folder on the path when it is imported."""
    (tmp_path / "ray" / "carried" / "psutil-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "own-2.0.dist-info").mkdir()
    (tmp_path / "ray" / "__init__.py").touch()
    monkeypatch.setattr("sys.path", [str(tmp_path), str(tmp_path / "ray" / "carried")])
    assert installed_packages() == ("own-2.0",)
