"""The list of runs: what is read again, what stays, and what no run folder can break."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.errors import UnknownNameError, UsageError
from qstore_ray.ops.dashboard import listing
from qstore_ray.ops.dashboard.answers import id_of, name_of, to_json
from qstore_ray.ops.dashboard.listing import RunListing
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.train.run.find import run_folders
from qstore_ray.train.run.summary import summarize
from tests.run_folders import epoch_record, make_run


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is scanned at each look."""
    monkeypatch.setattr(listing, "SCAN_SECONDS", 0.0)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that were read, in order."""
    names: list[str] = []

    def recorded(path: Path) -> Any:
        names.append(path.name)
        return summarize(path)

    monkeypatch.setattr(listing, "summarize", recorded)
    return names


def rows_of(runs: RunListing) -> dict[str, Any]:
    runs.refresh()
    return {row["id"]: row for row in runs.since(-1).rows}


@pytest.mark.usefixtures("scans")
def test_only_what_changed_is_read_again(tmp_path: Path, read: list[str]) -> None:
    for name in ("a", "b", "c"):
        make_run(tmp_path, name)
    runs = RunListing(str(tmp_path))
    rows_of(runs)
    assert read == ["a", "b", "c"]
    version = runs.since(-1).version
    rows_of(runs)
    assert read == ["a", "b", "c"]
    assert runs.since(version).rows == []

    with MetricsFile(tmp_path / "b" / "metrics.jsonl") as file:
        file.append(epoch_record(3))
    make_run(tmp_path, "d")
    shutil.rmtree(tmp_path / "a")
    runs.refresh()
    assert read[3:] == ["b", "d"]
    changed = runs.since(version)
    assert [(row["id"], row["epochs"]) for row in changed.rows] == [("b", 4), ("d", 3)]
    assert changed.gone == ["a"]
    make_run(tmp_path, "a")
    runs.refresh()
    assert ([row["id"] for row in runs.since(changed.version).rows], runs.since(0).gone) == (
        ["a"],
        [],
    )


def test_between_scans_only_open_runs_are_looked_at(tmp_path: Path, read: list[str]) -> None:
    folder, other = make_run(tmp_path, "open", status="running"), make_run(tmp_path, "done")
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runs = RunListing(str(tmp_path))
        assert rows_of(runs)["open"]["status"] == "running"
        read.clear()
        for each in (folder, other):
            with MetricsFile(each / "metrics.jsonl") as file:
                file.append(epoch_record(7))
        assert rows_of(runs)["open"]["epochs"] == 4
        assert read == ["open"]


@pytest.mark.usefixtures("scans")
def test_a_run_whose_driver_died_becomes_killed_although_no_file_changed(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "open", status="running")
    runs = RunListing(str(tmp_path))
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert rows_of(runs)["open"]["status"] == "running"
    assert rows_of(runs)["open"]["status"] == "killed"


def test_the_list_has_what_the_command_has(tmp_path: Path) -> None:
    for at, status in enumerate(("finished", "failed", "interrupted")):
        make_run(tmp_path, f"run-{at}", epochs=at, status=status)
    rows = rows_of(RunListing(str(tmp_path)))
    for folder in run_folders(str(tmp_path)):
        summary, row = summarize(folder), rows[folder.name]
        assert (row["status"], row["epochs"]) == (summary.status, summary.epochs)
        assert row["test"] == {"name": "accuracy", "value": summary.metrics["test_accuracy"]}


NAMES = [
    b"<img src=x onerror=alert(1)>", b"a b", b"a%2Fb", b"%", b"..a", b"#?&", "Größe".encode(),
    b"line\nbreak", b"\xff\xfe", b"'\"`", b"-rf",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_folder_has_an_id_in_ascii_that_leads_back(name: bytes, tmp_path: Path):
    folder = tmp_path / os.fsdecode(name)
    shutil.move(make_run(tmp_path, "run"), folder)
    runs = RunListing(str(tmp_path))
    (identifier,) = rows_of(runs)
    assert identifier.isascii()
    assert identifier == id_of(folder, tmp_path)
    assert name_of(identifier) == folder.name
    assert runs.find(identifier) == folder
    to_json(runs.since(-1).rows).encode("ascii")


@pytest.mark.parametrize(
    "identifier",
    ["", ".", "..", "../x", "%2e%2e/x", "/etc", "run/checkpoints", "run/..", "study/../run", "%00"],
)
def test_no_id_leads_out_of_the_folder(identifier: str, tmp_path: Path) -> None:
    make_run(tmp_path, "x")
    make_run(tmp_path / "runs", "run")
    make_run(tmp_path / "runs", "study")
    runs = RunListing(str(tmp_path / "runs"))
    runs.refresh()
    with pytest.raises(UnknownNameError):
        runs.find(identifier)


def test_trials_are_found_by_their_study(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.journal").touch()
    make_run(tmp_path / "s", "trial-0001")
    runs = RunListing(str(tmp_path))
    assert rows_of(runs) == {}
    assert runs.find("s/trial-0001") == tmp_path / "s" / "trial-0001"
    with pytest.raises(UnknownNameError):
        runs.find("s/trial-0002")


@pytest.mark.usefixtures("scans")
def test_a_run_folder_that_is_being_written_is_listed_at_every_point(tmp_path: Path) -> None:
    """Every prefix of what a training writes, byte by byte at the end of each file."""
    whole = make_run(tmp_path / "whole", "run")
    folder = tmp_path / "runs" / "run"
    folder.mkdir(parents=True)
    runs = RunListing(str(folder.parent))
    assert rows_of(runs) == {}
    for name in ("run.json", "config.toml", "metrics.jsonl"):
        data = (whole / name).read_bytes()
        for length in (0, 1, len(data) // 2, len(data) - 1, len(data)):
            (folder / name).write_bytes(data[:length])
            row = rows_of(runs)["run"]
            to_json(row)
    assert (row["status"], row["epochs"], row["problem"]) == ("finished", 3, "")


def test_a_storage_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot list the runs"):
        RunListing(str(tmp_path / "file")).refresh()
