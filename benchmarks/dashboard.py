"""Seconds until `qstore dashboard` lists 1,000 runs, and until a new epoch is on the page.

    python benchmarks/dashboard.py           # writes results/dashboard.json

The server is a process of its own on loopback. The first list is the one that reads every run
folder; `again` is the one after it. An epoch's delay is from its write, by another process, to its
arrival as an event, and, if a Chromium is installed, to the text on the page that has the list of
all runs, too. Idle is without a page, watched is with one open. Seconds are on the wall and grow
with the load of the machine; `page_task_seconds` are of the browser's main thread.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]  # this tree before an installed one

from record import origin, write  # noqa: E402

from tests.chromium import PROGRAM, ChromiumPage, chromium  # noqa: E402
from tests.run_folders import make_run  # noqa: E402

RUNS, EPOCHS, LIVE_EPOCHS, IDLE_SECONDS = 1_000, 50, 15, 10.0
TOKEN = secrets.token_hex(16)

WRITER = """
import fcntl, json, sys, time
from pathlib import Path
from qstore_ray.track.jsonl import MetricsFile
from tests.run_folders import epoch_record, make_run

folder = make_run(Path(sys.argv[1]), "live", epochs=0, planned=int(sys.argv[2]), status="running")
lock = (folder / ".lock").open("w")
fcntl.flock(lock, fcntl.LOCK_EX)
sys.stdin.readline()
with MetricsFile(folder / "metrics.jsonl") as file:
    for epoch in range(int(sys.argv[2])):
        time.sleep(0.4 + 0.037 * epoch)
        file.append(epoch_record(epoch), wait=False)
        print(time.time(), flush=True)
"""


def main() -> None:
    """Measure all of it."""
    with tempfile.TemporaryDirectory(prefix="dashboard-") as scratch:
        storage = Path(scratch) / "runs"
        for number in range(RUNS):
            started = f"2026-11-{1 + number % 28:02d}T{number % 24:02d}:00:00+00:00"
            make_run(storage, f"run-{number:04d}", epochs=EPOCHS, started=started)
        with _served(storage) as (port, process):
            found = _lists(port, process)
            found["idle_cpu_percent"] = _cpu_percent(process)
            found["event_seconds"] = _summary(_events(port, storage))
            found["watched_cpu_percent"] = _watched(port, process)
            if PROGRAM is not None:
                found |= _browser(port, storage)
            found["resident_mb"] = round(process.memory_info().rss / 1e6)
    write("dashboard", 0, [], runs=RUNS, epochs=EPOCHS, **found, **origin(),
          load_average=os.getloadavg()[0])  # fmt: skip


@contextmanager
def _served(storage: Path) -> Iterator[tuple[int, psutil.Process]]:
    command = [
        sys.executable, "-m", "qstore_ray", "dashboard", "--storage", str(storage), "--port", "0",
        "--json",
    ]  # fmt: skip
    environment = {**os.environ, "QSTORE_DASHBOARD_TOKEN": TOKEN, "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        try:
            yield int(url.rpartition(":")[2].partition("/")[0]), psutil.Process(process.pid)
        finally:
            process.terminate()


def _ask(port: int, path: str) -> Any:
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
    return connection.getresponse()


def _lists(port: int, process: psutil.Process) -> dict[str, Any]:
    found = {}
    for name in ("first", "again"):
        before, began = process.cpu_times(), time.perf_counter()
        body = _ask(port, "/api/runs").read()
        found[f"{name}_list_seconds"] = round(time.perf_counter() - began, 3)
        after = process.cpu_times()
        used = after.user + after.system - before.user - before.system
        found[f"{name}_list_cpu_seconds"] = round(used, 3)
    assert len(json.loads(body)["runs"]) == RUNS
    return {**found, "list_kb": round(len(body) / 1e3)}


def _cpu_percent(process: psutil.Process) -> float:
    before = process.cpu_times()
    time.sleep(IDLE_SECONDS)
    after = process.cpu_times()
    return round(100 * (after.user + after.system - before.user - before.system) / IDLE_SECONDS, 2)


def _watched(port: int, process: psutil.Process) -> float:
    """CPU while a page is open and nothing happens."""
    with _ask(port, "/api/events") as answer:
        answer.readline()
        time.sleep(6.0)  # the panels have been read for the first time
        return _cpu_percent(process)


@contextmanager
def _writing(storage: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, str(storage), str(LIVE_EPOCHS)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        while not (storage / "live" / "run.json").exists():
            time.sleep(0.05)
        yield process
    subprocess.run(["rm", "-r", str(storage / "live")], check=True)
    time.sleep(3.0)  # a scan sees that it is gone


def _begin(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()


def _times(writer: subprocess.Popen[str]) -> list[float]:
    assert writer.stdout is not None
    return [float(line) for line in writer.stdout]


def _events(port: int, storage: Path) -> list[float]:
    """Seconds from the write of each epoch to its event."""
    with _writing(storage) as writer:
        while (answer := _ask(port, "/api/events?id=live")).status != 200:
            time.sleep(0.2)
        _begin(writer)
        arrived = []
        for line in answer:
            if b'"val_loss"' in line and b'"records"' in line:
                new = line.count(b'"val_loss"')
                arrived += [time.time()] * new
                if len(arrived) == LIVE_EPOCHS:
                    break
        written = _times(writer)
        answer.close()
    return [seen - wrote for seen, wrote in zip(arrived, written, strict=True)]


def _browser(port: int, storage: Path) -> dict[str, Any]:
    """Seconds until the table has all runs, and until each epoch is a text on the page."""
    url = f"http://127.0.0.1:{port}"
    with chromium() as page:
        page.goto(f"{url}/enter#token={TOKEN}")
        rows = "document.querySelectorAll('table.runs tbody tr').length"
        page.wait(f"location.pathname === '/' && {rows} === {RUNS}")
        page.goto("about:blank")
        page.wait("location.href === 'about:blank'")
        page.call("Performance.enable")
        before, began = _task_seconds(page), time.perf_counter()
        page.goto(f"{url}/")
        page.wait(f"{rows} >= 100")
        first = time.perf_counter() - began
        page.wait(f"{rows} === {RUNS}")
        shown = time.perf_counter() - began
        time.sleep(1.0)
        busy = _task_seconds(page) - before
        with _writing(storage) as writer:
            page.wait("document.querySelector('.card .readout') !== null")
            page.eval(
                "window.seen = {}; new MutationObserver(() => {"
                "const text = document.querySelector('.card .readout')?.textContent ?? '';"
                "const epoch = text.match(/^epoch (\\d+):/)?.[1];"
                "if (epoch) window.seen[epoch] ??= Date.now() / 1000;"
                "}).observe(document.body, {subtree: true, childList: true, characterData: true})"
            )
            _begin(writer)
            page.wait(f"window.seen[{LIVE_EPOCHS}]")
            written = _times(writer)
            seen = page.eval("window.seen")
        assert page.errors == []
    delays = [seen[str(n)] - at for n, at in enumerate(written, start=1) if str(n) in seen]
    return {
        "page_with_first_runs_seconds": round(first, 3),
        "page_with_all_runs_seconds": round(shown, 3),
        "page_task_seconds": round(busy, 3),
        "page_epoch_seconds": _summary(delays),
        "page_epochs_seen": len(delays),
    }


def _task_seconds(page: ChromiumPage) -> float:
    """Seconds that the page's main thread has worked."""
    found = page.call("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in found if each["name"] == "TaskDuration")


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "largest": round(max(values), 3),
        "count": len(values),
    }


if __name__ == "__main__":
    main()
