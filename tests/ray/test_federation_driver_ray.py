"""A server of its own process: killed and resumed, and searched for what it must not have."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from qstore_ray.federated.client import LocalClient
from qstore_ray.federated.secure_sum.fixed_point import encoded
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.run.checkpoint import latest_checkpoint
from tests.ray.federation_driver import ROUNDS, federate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
NAMES = ("east", "north", "south")


def _plant(folder: Path) -> None:
    """Rows and targets that are found nowhere else."""
    for seed, name in enumerate(NAMES):
        generator = np.random.default_rng(seed + 77)
        x = generator.uniform(-1.0, 1.0, size=(64, 3))
        np.savez(folder / f"{name}.npz", x=x, y=np.sin(x).sum(axis=1) / 3.0)


class _Server:
    """A driver process, and all that descends from it, known by a mark that they inherit."""

    def __init__(self, folder: Path, repository: Path, *words: str) -> None:
        self.folder, self._mark = folder, secrets.token_hex(8)
        self.said = folder / "said.txt"
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.ray.federation_driver", str(folder), *words],
                cwd=repository, env={**os.environ, "QSTORE_TEST_MARK": self._mark},
                stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def descendants(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                marked = process.environ().get("QSTORE_TEST_MARK") == self._mark
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return [process for process in found if process.pid != self.process.pid]

    def rounds(self) -> int:
        records = read_records(self.folder / "runs" / "federation" / "metrics.jsonl")
        return sum(record["event"] == "epoch" for record in records)

    def result(self) -> dict:
        return json.loads((self.folder / "result.json").read_text())

    def end(self) -> None:
        """Leave nothing running."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for process in self.descendants():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait(30)


def _wait_until(condition: Callable[[], object], seconds: float) -> bool:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.01)
    return True


def _arrays(run: Path) -> dict[str, bytes]:
    saved, problems = latest_checkpoint(run / "checkpoints")
    assert problems == []
    # What is sealed has the id of its run.
    return {n: a.tobytes() for n, a in saved.arrays.items() if not n.endswith(".sealed")}


def test_a_server_that_is_killed_resumes_with_the_bits_of_this_process(tmp_path, repository):
    _plant(tmp_path)
    here = federate(tmp_path, tmp_path / "here", 0)
    first = _Server(tmp_path, repository, "new")
    try:
        assert _wait_until(lambda: first.rounds() >= 3, 120), first.said.read_text()
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(30)
        assert not (tmp_path / "result.json").exists()
        assert first.rounds() < ROUNDS
        assert _wait_until(lambda: not first.descendants(), 30), "actors are left"
    finally:
        first.end()
    second = _Server(tmp_path, repository, "resume")
    try:
        assert second.process.wait(180) == 0, second.said.read_text()
    finally:
        second.end()
    assert second.result()["theta"] == here.theta.tobytes().hex()
    assert _arrays(tmp_path / "runs" / "federation") == _arrays(tmp_path / "here" / "federation")


# ---------------------------------------------------------------------------------- planted values


def _memory(process: psutil.Process) -> Iterator[bytes]:
    """All that a process has written to memory, also what it shares, such as the object store."""
    text = Path(f"/proc/{process.pid}/smaps").read_text()
    regions = re.findall(r"(?ms)^([0-9a-f]+)-([0-9a-f]+) rw.*?^Rss: +([0-9]+) kB", text)
    with Path(f"/proc/{process.pid}/mem").open("rb", 0) as memory:
        for start, end, used in regions:
            if not int(used):
                continue
            for first in range(int(start, 16), int(end, 16), 2**24):
                with suppress(OSError):  # it has been given back
                    memory.seek(first)
                    part = memory.read(min(2**24 + 64, int(end, 16) - first))
                    if part.count(0) < len(part):
                        yield part


def _files(folder: Path) -> Iterator[bytes]:
    """The contents of all files; an archive is opened."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    yield from (archive.read(name) for name in archive.namelist())


def _hits(parts: Iterator[bytes], values: dict[str, bytes]) -> set[str]:
    return {name for part in parts for name, value in values.items() if value in part}


def _planted(folder: Path, updates: list) -> dict[str, bytes]:
    """Bytes and texts of rows, targets and single updates."""
    found = {}
    for name in NAMES:
        with np.load(folder / f"{name}.npz") as rows:
            x, y = rows["x"], rows["y"]
        for place in (0, 40):
            found[f"row {name} {place}"] = x[place].tobytes()[:16]
            found[f"row as text {name} {place}"] = repr(float(x[place, 0])).encode()
            found[f"target {name} {place}"] = y[place].tobytes()
            found[f"target as text {name} {place}"] = repr(float(y[place])).encode()
    for update, start in updates:
        change = update.theta - start
        about = f"{update.client} {update.round}"
        found[f"model {about}"] = update.theta[:2].tobytes()
        found[f"change {about}"] = change[:2].tobytes()
        found[f"fixed point {about}"] = encoded(change, len(NAMES))[:2].tobytes()
        found[f"loss {about}"] = np.float64(update.loss).tobytes()
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="the memory of a process is root's to read")
def test_no_row_label_or_single_update_is_in_the_server_the_object_store_or_a_file(
    tmp_path, repository, monkeypatch
):
    _plant(tmp_path)
    sound, updates = LocalClient.train, []

    def train(own, task, memory):
        update, after = sound(own, task, memory)
        updates.append((update, task.theta))
        return update, after

    with monkeypatch.context() as patch:
        patch.setattr(LocalClient, "train", train)
        here = federate(tmp_path, tmp_path / "here", 0)
    assert len(updates) == ROUNDS * len(NAMES)
    planted = _planted(tmp_path, [each for each in updates if each[0].round in (0, ROUNDS - 1)])
    server = _Server(tmp_path, repository, "new", "wait")
    try:
        assert _wait_until((tmp_path / "result.json").exists, 120), server.said.read_text()
        assert _wait_until(lambda: "session" in server.said.parent.joinpath(
            "result.json").read_text(), 10)  # fmt: skip
        found = server.result()
        assert found["theta"] == here.theta.tobytes().hex()
        known = {"theta": here.theta[:2].tobytes()}
        itself = psutil.Process(server.process.pid)
        store = {p.name(): p for p in server.descendants() if p.name() in ("raylet", "gcs_server")}
        assert len(store) == 2
        for process in (itself, *store.values()):
            assert _hits(_memory(process), planted) == set(), process.name()
        assert _hits(_memory(itself), known) == {"theta"}  # what is there would be found
        assert _hits(_files(Path(found["session"])), planted) == set()
        assert _hits(_files(tmp_path / "runs"), planted) == set()
        assert _hits(_files(tmp_path / "runs"), known) == {"theta"}
        assert _hits(iter([server.said.read_bytes()]), planted) == set()
        begins = {"theta": updates[0][1][:2].tobytes()}
        assert _hits(_memory(store["raylet"]), begins) == {"theta"}  # the task of the first round
    finally:
        server.end()
