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
from qstore_ray.ops.dashboard.run_facts import compared_runs, run_facts
from qstore_ray.ops.health import HealthScope
from qstore_ray.ops.health.run_states import examine_runs
from qstore_ray.ops.usage.report import usage_report
from qstore_ray.ops.watch.watcher import RunWatcher
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
    "watch": _watched,
}


@pytest.mark.parametrize("odd", ODD)
def test_no_content_of_a_run_folder_stops_a_reader(tmp_path: Path, odd: str):
    make_run(tmp_path, "sound")
    run = make_run(tmp_path, "odd")
    file, text = ODD[odd]
    (run / file).write_text(text)
    for name, reader in READERS.items():
        with suppress(QStoreError if name == "comparison" else ()):
            assert to_json(reader(tmp_path, run)).isascii()
