"""What worker 0 asks of all workers: one small record that travels with every sum.

Only worker 0 knows that a user pressed Ctrl-C, that a checkpoint is due or that a callback wants to
stop. All workers must act on it after the same step, so it is sent with the sum of that step.
"""

from __future__ import annotations

from typing import NamedTuple


class Control(NamedTuple):
    """What to do after this sum; the same on every worker once it has been sent.

    Attributes:
        stop: save a checkpoint and stop.
        save: save a checkpoint.
        report: report the metrics of this epoch to Ray Train.
    """

    stop: bool = False
    save: bool = False
    report: bool = False

    def __or__(self, other: tuple[object, ...]) -> Control:
        """What either asks for."""
        return Control(*(bool(a or b) for a, b in zip(self, other, strict=True)))

    def to_number(self) -> float:
        """As a number that adds to zeros of other workers without a change."""
        return float(sum(2**i for i, asked in enumerate(self) if asked))

    @staticmethod
    def from_number(number: float) -> Control:
        """The inverse of `to_number`."""
        return Control(*(bool(int(number) >> i & 1) for i in range(len(Control._fields))))
