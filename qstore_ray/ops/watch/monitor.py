"""One run and all rules: samples in, opened and closed alerts out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from qstore_ray.ops.rules import Rule, RuleEvent, Sample

OUTLIVE: Final = frozenset({"nan", "failed"})
"""Rules whose alerts stay open after the end of the run: they say how it ended."""
UNRECORDED: Final = frozenset({"stalled", "memory"})
"""Rules that judge what no record says: whoever reads the records later does not find it."""


class RunMonitor:
    """Keeps the states of the rules of one run.

    A new attempt closes all alerts and begins again; the end of a run closes those that say
    something about a run that is running.

    Attributes:
        open: the event that has opened it, for each rule with an open alert.
        taken_over: rules whose alerts others have opened, from what no record says.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._states: dict[str, Any] = {rule.name: rule.init() for rule in self._rules}
        self.open: dict[str, RuleEvent] = {}
        self.taken_over: set[str] = set()

    def take_over(self, rule: str) -> None:
        """Keep an alert that another watcher has opened: the next record closes it, if this rule
        does not find the same until then.
        """
        self.open[rule] = RuleEvent(True)
        self.taken_over.add(rule)

    def take(self, sample: Sample) -> Iterator[tuple[Rule, RuleEvent]]:
        """The events that a sample causes, each with its rule."""
        if sample.kind == "start":
            self._states = {rule.name: rule.init() for rule in self._rules}
            yield from self._close_all(keep=frozenset())
        if sample.kind in {"step", "epoch"} and self.taken_over:
            yield from self._close_all(keep=self.open.keys() - self.taken_over)
        for rule in self._rules:
            self._states[rule.name], event = rule.update(self._states[rule.name], sample)
            if event is not None and event.opens:
                self.taken_over.discard(rule.name)
            if event is None or event.opens is (rule.name in self.open):
                continue
            if event.opens:
                self.open[rule.name] = event
            else:
                del self.open[rule.name]
            yield rule, event
        if sample.kind == "end":
            yield from self._close_all(keep=OUTLIVE)

    def _close_all(self, keep: AbstractSet[str]) -> Iterator[tuple[Rule, RuleEvent]]:
        self.taken_over &= keep
        for rule in self._rules:
            if rule.name not in keep and self.open.pop(rule.name, None) is not None:
                yield rule, RuleEvent(False)
