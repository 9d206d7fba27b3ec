"""Run folders that were made by hand, by other programs, or damaged: every reader says so, or
passes over them, and the runs beside them are there all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.errors import QStoreError
from qstore_ray.ops.dashboard.answers import to_json
from qstore_ray.ops.dashboard.listing import RunListing
from qstore_ray.ops.dashboard.live import LiveCurves
from qstore_ray.ops.dashboard.panels.searches import SearchPanel
from qstore_ray.ops.dashboard.run_facts import compared_runs, run_facts
from qstore_ray.ops.health import HealthScope
from qstore_ray.ops.health.run_states import examine_runs
from qstore_ray.ops.usage.report import usage_report
from qstore_ray.ops.watch.watcher import RunWatcher
from tests.file_rights import plain_user
from tests.run_folders import epoch_record, make_run

HUGE = 10**400
DEEP = "[" * 100_000
RECORD: dict[str, Any] = {
    "id": "odd-0123456789ab", "generation": 1, "name": "odd", "status": "finished",
    "started": "2026-11-30T03:00:00+00:00", "fingerprints": {}, "versions": {},
}  # fmt: skip
PAID = {"hardware_jobs": 2, "hardware_seconds": HUGE, "train_seconds": HUGE, "shots": HUGE}
START = {"event": "start", "generation": 1, "epochs": 3, "resumed_from_epoch": 0}
ODD: dict[str, tuple[str, str]] = {
    "paid": ("run.json", json.dumps({**RECORD, "metrics": PAID})),
    "date": ("run.json", json.dumps({**RECORD, "started": "0001-01-01"})),
    "no-date": ("run.json", json.dumps({**RECORD, "started": "9999-99-99T99"})),
    "attempt": ("run.json", json.dumps({**RECORD, "generation": HUGE, "status": "running"})),
    "deep-record": ("run.json", DEEP),
    "deep": ("metrics.jsonl", f"{json.dumps(START)}\n{DEEP}\n{json.dumps(epoch_record(0))}\n"),
    "config": ("config.toml", "trainer = 3\ntrack = 1979-05-27\nmodel = [1]\n"),
} | {
    f"{name}-{value!r:.12}": (
        "metrics.jsonl",
        "".join(
            f"{json.dumps(record)}\n"
            for record in (
                {**START, name: value},
                {**epoch_record(0), name: value},
                epoch_record(1),
            )
        ),
    )
    for name in ("event", "epoch", "epochs", "step", "message", "train_loss", "resumed_from_epoch")
    for value in (None, HUGE, float("nan"), "x", "\ud800", [1], {"a": 1})
}


def _listed(storage: Path, _: Path) -> Any:
    listing = RunListing(str(storage))
    listing.refresh()
    rows = listing.since(-1).rows
    assert "sound" in {row["name"] for row in rows}
    return rows


def _followed(storage: Path, run: Path) -> Any:
    curves = LiveCurves("odd", run)
    try:
        return curves.read()
    finally:
        curves.close()


def _watched(storage: Path, run: Path) -> Any:
    with RunWatcher(storage) as watcher:
        watcher.poll()
        with (run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(epoch_record(9)) + "\n")
        return [each.as_dict() for each in watcher.poll() + watcher.poll()]


READERS: dict[str, Callable[[Path, Path], Any]] = {
    "health": lambda storage, _: [d.found for d in examine_runs(HealthScope(storage))],
    "usage": lambda storage, _: usage_report(str(storage), 1.0).runs,
    "list": _listed,
    "run": lambda _, run: run_facts("odd", run),
    "comparison": lambda s, run: compared_runs(["odd", "sound"], [run, s / "sound"]),
    "curves": _followed,
    "searches": lambda storage, _: SearchPanel(str(storage))(),
    "watch": _watched,
}
CLOSED = (
    "lost+found", "odd", "odd/run.json", "odd/metrics.jsonl", "odd/config.toml", "odd/figures",
    "odd/checkpoints", "odd/.lock", "search", "search/study.journal", "search/trial-0000",
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_no_content_of_a_run_folder_stops_a_reader(tmp_path: Path, odd: str):
    make_run(tmp_path, "sound")
    run = make_run(tmp_path, "odd")
    file, text = ODD[odd]
    (run / file).write_text(text)
    for name, reader in READERS.items():
        with suppress(QStoreError if name == "comparison" else ()):
            assert to_json(reader(tmp_path, run)).isascii()


@pytest.mark.parametrize("mode", [0, 0o444], ids=["closed", "names-only"])
@pytest.mark.parametrize("closed", CLOSED)
def test_what_this_user_may_not_read_hides_nothing_else(tmp_path: Path, closed: str, mode: int):
    """A disk that is mounted at the runs has such a folder, `lost+found`."""
    make_run(tmp_path, "sound")
    odd = make_run(tmp_path, "odd")
    (tmp_path / "lost+found").mkdir()
    (odd / ".lock").touch()
    for name in ("figures", "checkpoints"):
        (odd / name).mkdir(exist_ok=True)
    make_run(tmp_path / "search", "trial-0000")
    (tmp_path / "search" / "study.journal").touch()
    (tmp_path / closed).chmod(mode)
    try:
        with plain_user():
            for name, reader in READERS.items():
                if name != "watch":  # which writes into the run
                    with suppress(QStoreError if name == "comparison" else ()):
                        assert to_json(reader(tmp_path, odd)).isascii()
            with RunWatcher(tmp_path) as watcher:
                assert watcher.poll() == watcher.poll() == []
            last = [each.found for each in examine_runs(HealthScope(tmp_path))][-1]
        assert ("may not be read" in last) is ("/" not in closed)
    finally:
        (tmp_path / closed).chmod(0o700)


def test_a_run_folder_that_is_half_written_stops_no_reader(tmp_path: Path):
    """Whatever a killed writer, or a copy that is under way, has left of the two files."""
    make_run(tmp_path, "sound")
    odd = make_run(tmp_path, "odd", epochs=1)
    for name in ("run.json", "metrics.jsonl"):
        whole = (odd / name).read_bytes()
        for size in range(0, len(whole), 7):
            (odd / name).write_bytes(whole[:size])
            rows = {row["name"]: row["status"] for row in _listed(tmp_path, odd)}
            assert rows["sound"] == "finished"
            assert rows["odd"] in {"damaged", "finished"}
            assert to_json(run_facts("odd", odd)).isascii()
            _followed(tmp_path, odd)
            assert [d.found for d in examine_runs(HealthScope(tmp_path))][-1].startswith("2 in ")
            with RunWatcher(tmp_path) as watcher:
                assert watcher.poll() == []
        (odd / name).write_bytes(whole)
