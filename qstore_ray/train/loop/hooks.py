"""Calling the callbacks of a run, each under its own policy. Lives in worker 0.

A callback is user code. Any exception that it raises is caught in one place, `_Guard`, and
becomes either the end of the run, with the callback's and the hook's name, or a recorded warning.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qstore_ray.errors import CallbackError, QStoreError
from qstore_ray.train.callbacks.base import HOOKS, Callback
from qstore_ray.train.callbacks.run import Run

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

PREFIX = "callback."
"""Of the names of callbacks' arrays in a checkpoint."""


class Hooks:
    """The callbacks of one attempt, in the order in which they were given.

    Args:
        callbacks: copied, so that an attempt changes nothing of the caller's.
        run: what they see; the loop keeps its `state` up to date.
    """

    def __init__(self, callbacks: Iterable[Callback], run: Run) -> None:
        self.run = run
        self._callbacks = named(copy.deepcopy(list(callbacks)))
        in_order = sorted(self._callbacks.items(), key=lambda item: item[1].comes_last)
        # Only what is overridden is called: a hook at every step that does nothing costs nothing.
        # For the same reason guards are made here and not at every call.
        self._calls = {
            hook: [
                (getattr(callback, hook), _Guard(name, hook, callback, run))
                for name, callback in in_order
                if getattr(type(callback), hook) is not getattr(Callback, hook)
            ]
            for hook in HOOKS
        }

    def __call__(self, hook: str, *arguments: Any) -> None:
        """Call a hook of every callback that has it.

        Raises:
            CallbackError: one raised, and its policy is to end the run.
        """
        for call, guard in self._calls[hook]:
            with guard:
                call(self.run, *arguments)

    def arrays(self) -> dict[str, AnyArray]:
        """The state of all callbacks as arrays of a checkpoint."""
        return {
            f"{PREFIX}{name}.{key}": array
            for name, callback in self._callbacks.items()
            for key, array in callback.state().items()
        }

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Restore the callbacks from `arrays()`; a callback without state in it starts fresh."""
        for name, callback in self._callbacks.items():
            prefix = f"{PREFIX}{name}."
            own = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
            if own:
                callback.restore(own)


class _Guard:
    """Turns what one hook of one callback raises into a `CallbackError`, or into a warning."""

    def __init__(self, name: str, hook: str, callback: Callback, run: Run) -> None:
        self._where = f"{name}.{hook}"
        self._callback = callback
        self._run = run

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False  # nothing, or Ctrl-C, which is no error of a callback
        own = isinstance(error, QStoreError)
        said = str(error).rstrip(".") if own else f"{type(error).__name__}: {error}"
        if self._callback.on_error == "warn":
            self._run.warn(f"callback {self._where}: {said}")
            return True
        raise CallbackError(
            f"a callback raised: {said}",
            field=self._where,
            fix="Fix it, or set on_error='warn'. A run in a folder resumes with existing='resume'.",
        ) from error


def named(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """Callbacks by class name; the n-th one of a class is called `Name-n`."""
    found: dict[str, Callback] = {}
    for callback in callbacks:
        name, number = type(callback).__name__, 1
        while (unique := name if number == 1 else f"{name}-{number}") in found:
            number += 1
        found[unique] = callback
    return found
