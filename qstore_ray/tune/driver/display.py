"""The interface of a display that shows a running search.

The driver's process alone calls it, from one thread, in the order of what happens; values are of
the first objective. How it looks is the business of the command line or of a notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from qstore_ray.tune.space.fields import Values

if TYPE_CHECKING:
    from qstore_ray.learn.diagnostics.stopping import Mode


class BestTrial(NamedTuple):
    """The best trial so far: its number, its value, and what it tried."""

    number: int
    value: float
    values: Values


class SearchDisplay(Protocol):
    """Shows a search. Runs in the driver's process."""

    def start(
        self,
        study: str,
        limit: int,
        objective: str,
        done: int,
        *,
        mode: Mode = "auto",
        best: BestTrial | None = None,
    ) -> None:
        """A search begins or is resumed.

        Args:
            study: its name.
            limit: how many trials count.
            objective: the first objective's metric; `mode` is its direction.
            done: trials that had ended before; `best` is the best of them.
        """
        ...

    def trial_started(self, number: int, values: Values) -> None:
        """A trial began with these values, dotted field → value."""
        ...

    def epoch(self, number: int, epoch: int, value: float) -> None:
        """A running trial has this value after so many epochs."""
        ...

    def trial_ended(
        self, number: int, status: str, value: float | None, reason: str | None
    ) -> None:
        """A trial is completed, pruned, failed or interrupted; with its value, or why not."""
        ...

    def note(self, text: str) -> None:
        """Something that the user should know."""
        ...

    def close(self) -> None:
        """Nothing more comes. May be called twice."""
        ...
