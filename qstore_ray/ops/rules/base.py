"""What a rule takes and gives: samples of one run, and events that open and close its alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from qstore_ray.ops.alerts import Severity

Kind: TypeAlias = Literal["start", "step", "epoch", "end", "tick"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One observation of a run: a record of its metrics file, or that time has passed.

    Attributes:
        kind: `start`, `step`, `epoch`, `end` of metrics.jsonl; `tick` if nothing was written.
        at: seconds of a steady clock of whoever follows the run, when it was read.
        values: numbers by name, as in the record: `loss` of a step; `train_loss`, `gradient_norm`,
            `samples`, `seconds` of an epoch; `epochs` of a start, and `allowed_NAME` for each limit
            of a budget; `memory_mib` of a tick.
        text: why the run ended.
    """

    kind: Kind
    at: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)
    text: str = ""


class RuleEvent(NamedTuple):
    """A rule opens or closes its alert.

    Attributes:
        opens: False closes it.
        value, threshold: what was measured, and what it was compared with.
        message: what is wrong. fix: what to do.
    """

    opens: bool
    value: float = 0.0
    threshold: float = 0.0
    message: str = ""
    fix: str = ""


class Rule(Protocol):
    """Looks for one kind of fault in the samples of one run; has no state of its own.

    Attributes:
        name: of its alerts. severity: of its alerts.
    """

    @property
    def name(self) -> str:
        """Of its alerts; no two rules have the same."""
        ...

    @property
    def severity(self) -> Severity:
        """Of its alerts."""
        ...

    def init(self) -> Any:
        """The state before the first sample."""
        ...

    def update(self, state: Any, sample: Sample) -> tuple[Any, RuleEvent | None]:
        """The state after a sample, and the event that it causes, if any."""
        ...


class Latch(NamedTuple):
    """Hysteresis: open after several bad samples in a row, closed after several good ones.

    Attributes:
        is_open: whether the alert is open. streak: samples in a row that speak for a change.
    """

    is_open: bool = False
    streak: int = 0

    def after(
        self, *, bad: bool, good: bool, opens_after: int, closes_after: int
    ) -> tuple[Latch, Literal["opens", "closes", ""]]:
        """The latch after a sample, and what changed.

        Args:
            bad: speaks for opening. good: speaks for closing; a sample may be neither.
        """
        if not (good if self.is_open else bad):
            return Latch(self.is_open), ""
        streak = self.streak + 1
        if streak < (closes_after if self.is_open else opens_after):
            return Latch(self.is_open, streak), ""
        return Latch(not self.is_open), "closes" if self.is_open else "opens"
