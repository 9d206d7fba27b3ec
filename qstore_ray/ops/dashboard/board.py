"""What every reader of the page is shown, kept up to date while there is a reader.

One task looks at the runs, and one at each panel, which may take longer; what they read is kept, so
that ten open pages cost what one does. Without a reader all tasks end. A panel whose database or
server hangs says so, and the others are up to date all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.concurrency import run_in_threadpool

from qstore_ray.deadline import TimedCall
from qstore_ray.errors import QStoreError
from qstore_ray.ops.dashboard.answers import to_json
from qstore_ray.ops.dashboard.listing import RunListing

LOOK_SECONDS: Final = 0.25
PANEL_SECONDS: Final = 3.0
LONGEST_SECONDS: Final = 10.0
"""After so long without an answer a panel says that it waits."""
MOST_READERS: Final = 32


class Board:
    """The list of runs and the panels beside it; used by one event loop.

    Args:
        panels: name → reads what it shows; runs in a thread.

    Attributes:
        shown: name of a panel → its JSON; a panel that was not read yet is not in it. An error is
            `{"problem": …}`.
    """

    def __init__(self, runs: RunListing, panels: Mapping[str, Callable[[], Any]]) -> None:
        self.runs = runs
        self.panels = panels
        self.shown: dict[str, str] = {}
        self._locks = {name: asyncio.Lock() for name in panels}
        self._calls: dict[str, TimedCall[Any]] = {}
        self._readers = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_full(self) -> bool:
        """Whether as many read it as may."""
        return self._readers >= MOST_READERS

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        """Inside the block the board is kept up to date; the runs are read before it begins."""
        self._readers += 1
        try:
            await self._look()
            if not self._tasks:
                self._tasks = [
                    asyncio.create_task(self._keep_runs()),
                    *(asyncio.create_task(self._keep_panel(name)) for name in self.panels),
                ]
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                await self._end()

    def check(self) -> None:
        """Raise what ended a task, if one has ended: what is shown would stay as it is."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def panel(self, name: str) -> str:
        """The JSON of a panel, read now; by one thread at a time."""
        async with self._locks[name]:
            self.shown[name] = await run_in_threadpool(self._read, name)
        return self.shown[name]

    def _read(self, name: str) -> str:
        """The JSON of a panel. A call that hangs is waited for again; no second one is begun."""
        call = self._calls.get(name)
        if call is None:
            call = self._calls[name] = TimedCall(self.panels[name], f"panel-{name}")
        if not call.ends_within(LONGEST_SECONDS):
            return to_json({"problem": f"no answer within {LONGEST_SECONDS:g} s; still waiting"})
        del self._calls[name]
        try:
            return to_json(call.result(0.0))
        except QStoreError as exc:
            return to_json({"problem": str(exc)})
        except OSError as exc:  # a file that was deleted while it was read, for example
            return to_json({"problem": _said(exc)})

    async def _look(self) -> None:
        """Look at the runs; a folder that cannot be listed is reported in the panel `storage`."""
        try:
            await run_in_threadpool(self.runs.refresh)
        except QStoreError as exc:
            self.shown["storage"] = to_json({"problem": str(exc)})
        except OSError as exc:  # a disk that fails; the page keeps what it had
            self.shown["storage"] = to_json({"problem": _said(exc)})
        else:
            self.shown["storage"] = to_json({"problem": ""})

    async def _keep_runs(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _keep_panel(self, name: str) -> None:
        while True:
            await self.panel(name)
            await asyncio.sleep(PANEL_SECONDS)

    async def _end(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _said(exc: OSError) -> str:
    return f"{exc.strerror or type(exc).__name__}: {exc.filename}"
