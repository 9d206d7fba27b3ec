"""Server-sent events: the board as it changes, and the epochs of runs as they are written.

    event: runs      {"all": true, "rows": […], "gone": []}     first everything, then what changed
    event: panel     {"name": "cluster", "content": {…}}
    event: curves    {"run": id, "every": 1, "records": [{"restart": 0}, {"epoch": 0, …}, …]}
    event: problem   {"run": id, "message": …}

Each connection reads the metrics files of its runs from the beginning, so one that was interrupted
needs no memory of what it had: the browser connects again and gets everything. A run that is not
there is in `gone`, and no reason to refuse the page its events. `restart` says that
an attempt began after so many epochs: what a reader has of later ones is void. Of a run of many
epochs, what is read at once is thinned out to every second, third, … one, and the last.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from starlette.concurrency import run_in_threadpool

from qstore_ray.errors import QStoreError
from qstore_ray.ops.dashboard.answers import to_json
from qstore_ray.ops.dashboard.board import Board
from qstore_ray.storage.address import origin_of
from qstore_ray.track.base import Record
from qstore_ray.track.logs.text import metrics_of
from qstore_ray.track.tail import Tail
from qstore_ray.train.run.origin import refresh
from qstore_ray.types import Table

TAIL_SECONDS: Final = 0.2
MOST_EPOCHS: Final = 4_000
"""Of one event, more than a chart has pixels."""
_FETCH_SECONDS: Final = 5.0
_ALIVE_SECONDS: Final = 15.0


class LiveCurves:
    """The new records of one run, as the page needs them."""

    def __init__(self, identifier: str, path: Path) -> None:
        self.identifier = identifier
        self._path = path
        self._tail = Tail(path / "metrics.jsonl")
        self._is_remote = origin_of(path) is not None
        self._next_fetch = 0.0

    def read(self) -> list[str]:
        """The events since the last call."""
        try:
            if self._is_remote and time.monotonic() >= self._next_fetch:
                refresh(self._path)
                self._next_fetch = time.monotonic() + _FETCH_SECONDS
            every, kept = _thinned(self._tail.read())
            records = list(_without_old_steps(kept))
            problems = [str(error) for error in self._tail.take_errors()]
        except QStoreError as exc:
            every, records, problems = 1, [], [str(exc)]
        except OSError as exc:
            every, records, problems = 1, [], [exc.strerror or type(exc).__name__]
        said: list[tuple[str, Table]] = []
        if records:
            said.append(("curves", {"every": every, "records": records}))
        said += [("problem", {"message": message}) for message in problems]
        return [event(kind, {"run": self.identifier, **content}) for kind, content in said]

    def close(self) -> None:
        """Close the file."""
        self._tail.close()


async def events(
    board: Board,
    runs: Mapping[str, Path],
    is_ending: Callable[[], bool],
    missing: Sequence[str] = (),
) -> AsyncIterator[str]:
    """The events for one page, until it is closed or the server ends.

    Args:
        runs: id → folder of the runs whose curves are followed.
        is_ending: asked several times a second.
        missing: ids that the page asked for and that are no runs, or no longer.
    """
    followed = [LiveCurves(identifier, path) for identifier, path in runs.items()]
    try:
        async with board.read():
            version, shown, alive_at = -1, dict[str, str](), time.monotonic()
            while not is_ending():
                board.check()
                said = []
                changed = board.runs.since(version)
                if changed.rows or changed.gone or version < 0:
                    gone = [*missing, *changed.gone] if version < 0 else changed.gone
                    rows = {"all": version < 0, "rows": changed.rows, "gone": gone}
                    said.append(event("runs", rows))
                version = changed.version
                for name, content in list(board.shown.items()):
                    if shown.get(name) != content:
                        shown[name] = content
                        said.append(
                            _raw("panel", f'{{"name":{to_json(name)},"content":{content}}}')
                        )
                for run in followed:
                    said += await run_in_threadpool(run.read)
                if said:
                    alive_at = time.monotonic()
                    yield "".join(said)
                elif time.monotonic() - alive_at > _ALIVE_SECONDS:
                    alive_at = time.monotonic()
                    yield ": alive\n\n"
                await asyncio.sleep(TAIL_SECONDS)
    finally:
        for run in followed:
            run.close()


def event(name: str, content: Any) -> str:
    """One server-sent event."""
    return _raw(name, to_json(content))


def _raw(name: str, content: str) -> str:
    return f"event: {name}\ndata: {content}\n\n"


def _thinned(records: Sequence[Record]) -> tuple[int, list[Record]]:
    """Every how many epochs are kept, and the records without the others."""
    epochs = sum(record.get("event") == "epoch" for record in records)
    every = -(-epochs // MOST_EPOCHS)
    if every <= 1:
        return 1, list(records)
    number = itertools.count(1 - epochs)  # so that the last one is kept
    return every, [
        record
        for record in records
        if record.get("event") == "start"
        or (record.get("event") == "epoch" and next(number) % every == 0)
    ]


def _without_old_steps(records: Sequence[Record]) -> Iterator[Table]:
    """What the page gets of new records; of the steps the last one, if no epoch ended after it."""
    for record in records[:-1]:
        if record.get("event") != "step":
            yield from _shown(record)
    for record in records[-1:]:
        yield from _shown(record)


def _shown(record: Record) -> Iterator[Table]:
    """What the page gets of a record: an epoch's metrics, a step, where an attempt began."""
    match record.get("event"):
        case "start":
            yield {"restart": record.get("resumed_from_epoch", 0)}
        case "epoch":
            yield {"epoch": record.get("epoch"), **dict(metrics_of(record))}
        case "step":
            yield {"at": record.get("epoch"), "step": record.get("step")}
