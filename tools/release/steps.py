"""What is printed: each step with its seconds, and facts on lines of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Steps:
    """Prints as it goes and keeps the lines, which become the log of the release."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        self.lines.append(text)
        print(text, flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A step; its line is printed when it has ended without an error."""
        began = time.monotonic()
        yield
        self.say(f"{time.monotonic() - began:8.1f} s  {title}")

    def total(self, title: str) -> None:
        """All seconds since the start."""
        self.say(f"{time.monotonic() - self._began:8.1f} s  {title}, all together")
