"""Where the tests run that kill a process many times."""

from __future__ import annotations

from tests.laws.conftest import folder

__all__ = ["folder"]  # a fixture
