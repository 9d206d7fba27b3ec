"""Rules on the metric stream of a run: pure functions of a state and a sample.

    rule = LossJump()
    state = rule.init()
    for sample in samples:
        state, event = rule.update(state, sample)

Begin with `base.py`: what a sample, an event and a rule are. `robust.py` has the statistics. One
file a rule; each opens its alert only after several bad samples in a row, and closes it only after
several good ones (`Latch`). To add one, write a class like `LossJump` and list it in `all_rules`.
"""

from __future__ import annotations

from qstore_ray.ops.rules.base import Latch, Rule, RuleEvent, Sample
from qstore_ray.ops.rules.budget import BudgetBurn
from qstore_ray.ops.rules.failed import FailedRun
from qstore_ray.ops.rules.gradients import VanishingGradients
from qstore_ray.ops.rules.jump import LossJump
from qstore_ray.ops.rules.memory import MemoryGrowth
from qstore_ray.ops.rules.not_finite import NotFinite
from qstore_ray.ops.rules.plateau import PlateauRule
from qstore_ray.ops.rules.stalled import Stalled
from qstore_ray.ops.rules.throughput import ThroughputDrop

__all__ = ["Latch", "Rule", "RuleEvent", "Sample", "all_rules"]


def all_rules(*, silence_seconds: float = 300.0) -> tuple[Rule, ...]:
    """All rules with their defaults.

    Args:
        silence_seconds: least silence of a run that counts as stalled; a run on hardware waits in
            the queue of the device, so it needs hours.
    """
    return (
        NotFinite(),
        FailedRun(),
        Stalled(floor_seconds=silence_seconds),
        LossJump("jump", "loss"),
        LossJump("epoch_jump", "train_loss"),
        PlateauRule(),
        VanishingGradients(),
        ThroughputDrop(),
        MemoryGrowth(),
        BudgetBurn(),
    )
