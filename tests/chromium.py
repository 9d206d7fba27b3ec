"""A headless Chromium, driven over its DevTools protocol; no package beside those of the program.

A page collects what a person would see as an error in the browser's console, and every address that
it asked for. Waiting is polling in the page, bounded by the time limit of the test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--remote-debugging-port=0", "about:blank",
)  # fmt: skip
_KEYS = {"Tab": 9, "Enter": 13, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}


class ChromiumPage:
    """A tab of its own, without cookies of others.

    Attributes:
        errors: of the console, the scripts, and the network.
        requests: the addresses that were asked for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: Any) -> None:
        self._loop, self._socket = loop, socket
        self._number = 0
        self._session: str | None = None
        self.errors: list[str] = []
        self.requests: list[str] = []

    def open(self) -> None:
        """Open the tab."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol; its result."""
        return self._loop.run_until_complete(self._call(method, parameters))

    async def _call(self, method: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_json(
            {**asked, **({"sessionId": self._session} if self._session else {})}
        )
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    def _note(self, method: str | None, given: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled":
            self.errors.append(f"console: {given['args']}")
        elif method == "Runtime.exceptionThrown":
            self.errors.append(f"exception: {given['exceptionDetails']}")
        elif method == "Log.entryAdded":
            self.errors.append(f"log: {given['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])

    def goto(self, url: str) -> None:
        """Open an address; the page may still be loading then."""
        self.call("Page.navigate", url=url)

    def eval(self, expression: str) -> Any:
        """The value of an expression, of a promise what it becomes."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Wait until an expression is true, and return it; before the page is there it is not."""
        while True:
            found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
            if value := found["result"].get("value"):
                return value
            time.sleep(0.02)

    def key(self, key: str, times: int = 1) -> None:
        """Press a key."""
        text = {"Enter": "\r", " ": " "}.get(key)
        typed = {"text": text} if text else {}
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.call(
                    "Input.dispatchKeyEvent", type=kind, key=key, code=key,
                    windowsVirtualKeyCode=_KEYS[key], **(typed if kind == "keyDown" else {}),
                )  # fmt: skip

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.call("Input.insertText", text=text)

    def look(self, *, width: int = 1400, dark: bool = False) -> None:
        """Set the size of the window and what the system prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        """A picture of the window, as PNG."""
        path.write_bytes(
            base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        )


@contextmanager
def chromium() -> Iterator[ChromiumPage]:
    """A browser with one page.

    Raises:
        AssertionError: no browser is installed; see `PROGRAM`.
    """
    assert PROGRAM is not None
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [PROGRAM, f"--user-data-dir={profile}", *_FLAGS],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            address = _address(Path(profile) / "DevToolsActivePort", process)
            yield from _connected(loop, address)
        finally:
            process.terminate()
            process.wait()
            loop.close()


def _connected(loop: asyncio.AbstractEventLoop, address: str) -> Iterator[ChromiumPage]:
    async def connect() -> tuple[aiohttp.ClientSession, Any]:
        session = aiohttp.ClientSession()
        return session, await session.ws_connect(address, max_msg_size=0)

    session, socket = loop.run_until_complete(connect())
    try:
        page = ChromiumPage(loop, socket)
        page.open()
        yield page
    finally:
        loop.run_until_complete(session.close())


def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    while True:
        lines = file.read_text().split("\n") if file.exists() else []
        if len(lines) >= 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        assert process.poll() is None, "the browser has ended"
        time.sleep(0.05)
