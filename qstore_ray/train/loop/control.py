"""What a worker asks of all workers: one small record that travels with every sum.

Only worker 0 knows that a user pressed Ctrl-C, that a checkpoint is due or that a callback wants to
stop, and any worker may learn that its machine is about to go. All workers must act on it after
the same step, so it is sent with the sum of that step.
"""

from __future__ import annotations

from typing import NamedTuple

_ROOM = 2**12
"""More than there are workers; four counts fit into the 53 bits of a float."""


class Control(NamedTuple):
    """What to do after this sum; the same on every worker once it has been sent.

    Attributes:
        stop: save a checkpoint and stop.
        save: save a checkpoint.
        regroup: save a checkpoint and end this group of workers; another one continues.
    """

    stop: bool = False
    save: bool = False
    regroup: bool = False

    def __or__(self, other: tuple[object, ...]) -> Control:
        """What either asks for."""
        return Control(*(bool(a or b) for a, b in zip(self, other, strict=True)))

    def to_number(self) -> float:
        """As a number: a sum over workers holds, for each field, how many of them ask."""
        return float(sum(_ROOM**i for i, asked in enumerate(self) if asked))

    @staticmethod
    def from_number(number: float) -> Control:
        """What any worker asks, from the sum of their numbers."""
        counts = (int(number) // _ROOM**i % _ROOM for i in range(len(Control._fields)))
        return Control(*map(bool, counts))
