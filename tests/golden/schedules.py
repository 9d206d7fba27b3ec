"""Writes schedules.json: the learning rates that PyTorch's schedulers give, one case a line.

    python tests/golden/schedules.py     where torch is installed; nothing else here needs it

Each case has our schedule's name and options, PyTorch's class, the metrics it was told of, and its
learning rate in each step. The learning rate asked for is 1, so that rates are factors.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.optim import lr_scheduler

STEPS = 20
LOSSES = [0.9, 0.7, 0.7, 0.6999, 0.65, 0.66, 0.64, 0.64, 0.64, 0.64, 0.64, 0.5, 0.5, 0.49999, 0.5]
ACCURACIES = [0.1, 0.4, 0.5, 0.5, 0.50001, 0.52, 0.51, 0.51, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
ONE = {"cycle_momentum": False}

# (our name, our options, PyTorch's class, its arguments, times, metrics)
CASES: list[tuple[str, dict[str, Any], str, dict[str, Any], int, list[float]]] = [
    ("step", {"step_size": 3}, "StepLR", {"step_size": 3}, 11, []),
    ("step", {"step_size": 4, "gamma": 0.5}, "StepLR", {"step_size": 4, "gamma": 0.5}, 11, []),
    ("exponential", {"gamma": 0.95}, "ExponentialLR", {"gamma": 0.95}, 20, []),
    ("cosine", {}, "CosineAnnealingLR", {"T_max": STEPS}, 20, []),
    ("cosine", {"T_max": 9, "eta_min": 0.1}, "CosineAnnealingLR", {"T_max": 9, "eta_min": 0.1},
     10, []),
    ("cosine_restarts", {"T_0": 4}, "CosineAnnealingWarmRestarts", {"T_0": 4}, 13, []),
    ("cosine_restarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.05}, "CosineAnnealingWarmRestarts",
     {"T_0": 3, "T_mult": 2, "eta_min": 0.05}, 30, []),
    ("cyclic", {"base": 0.2, "step_size_up": 4}, "CyclicLR",
     {"base_lr": 0.2, "max_lr": 1.0, "step_size_up": 4, **ONE}, 20, []),
    ("cyclic", {"base": 0.1, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"},
     "CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "step_size_down": 5,
                  "mode": "triangular2", **ONE}, 30, []),
    ("cyclic", {"base": 0.1, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9}, "CyclicLR",
     {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9, **ONE},
     20, []),
    ("one_cycle", {}, "OneCycleLR", {"max_lr": 1.0, "total_steps": STEPS, **ONE}, 20, []),
    ("one_cycle", {"anneal_strategy": "linear", "pct_start": 0.25, "div_factor": 10.0,
                   "final_div_factor": 100.0}, "OneCycleLR",
     {"max_lr": 1.0, "total_steps": STEPS, "anneal_strategy": "linear", "pct_start": 0.25,
      "div_factor": 10.0, "final_div_factor": 100.0, **ONE}, 20, []),
    ("one_cycle", {"three_phase": True}, "OneCycleLR",
     {"max_lr": 1.0, "total_steps": STEPS, "three_phase": True, **ONE}, 20, []),
    ("one_cycle", {"three_phase": True, "pct_start": 0.45, "anneal_strategy": "linear"},
     "OneCycleLR", {"max_lr": 1.0, "total_steps": STEPS, "three_phase": True, "pct_start": 0.45,
                    "anneal_strategy": "linear", **ONE}, 20, []),
    ("plateau", {"patience": 1}, "ReduceLROnPlateau", {"patience": 1}, 16, LOSSES),
    ("plateau", {"patience": 0, "factor": 0.5, "min_factor": 0.2, "cooldown": 2},
     "ReduceLROnPlateau", {"patience": 0, "factor": 0.5, "min_lr": 0.2, "cooldown": 2}, 16, LOSSES),
    ("plateau", {"patience": 1, "threshold": 0.02, "threshold_mode": "abs", "factor": 0.3},
     "ReduceLROnPlateau",
     {"patience": 1, "threshold": 0.02, "threshold_mode": "abs", "factor": 0.3}, 16, LOSSES),
    ("plateau", {"mode": "max", "patience": 1, "threshold": 0.05, "factor": 0.5, "cooldown": 1},
     "ReduceLROnPlateau",
     {"mode": "max", "patience": 1, "threshold": 0.05, "factor": 0.5, "cooldown": 1},
     16, ACCURACIES),
]  # fmt: skip


def rates(
    scheduler: Any, optimizer: torch.optim.Optimizer, times: int, metrics: list[float]
) -> Any:
    """The learning rate of each of the `times` steps."""
    found = []
    for time in range(times):
        found.append(float(optimizer.param_groups[0]["lr"]))
        if time + 1 < times:
            scheduler.step(*metrics[time : time + 1])
    return found


def optimizer() -> torch.optim.Optimizer:
    """One parameter, learning rate 1."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def combined() -> list[dict[str, Any]]:
    """The cases made of several schedulers: warm-up, chain and product."""
    made = []
    cosine, step = {"name": "cosine", "unit": "step"}, {"name": "step", "unit": "step"}
    one = optimizer()
    parts = [
        lr_scheduler.LinearLR(one, start_factor=0.2, total_iters=5),
        lr_scheduler.CosineAnnealingLR(one, T_max=15),
    ]
    options: dict[str, Any] = {"length": 5, "unit": "step", "start_factor": 0.2, "then": cosine}
    made.append(("warmup", options, lr_scheduler.SequentialLR(one, parts, [5]), one))
    one = optimizer()
    rise = lr_scheduler.ConstantLR(one, total_iters=6)
    fall = lr_scheduler.StepLR(one, step_size=4, gamma=0.5)
    options = {"length": 0.3, "shape": "constant", "then": step | {"step_size": 4, "gamma": 0.5}}
    made.append(("warmup", options, lr_scheduler.SequentialLR(one, [rise, fall], [6]), one))
    one = optimizer()
    three = [
        lr_scheduler.ConstantLR(one, factor=1.0, total_iters=1),
        lr_scheduler.ExponentialLR(one, gamma=0.9),
        lr_scheduler.StepLR(one, step_size=3, gamma=0.5),
    ]
    tables = [
        {"name": "constant"},
        {"name": "exponential", "gamma": 0.9, "unit": "step"},
        step | {"step_size": 3, "gamma": 0.5},
    ]
    options = {"milestones": [4, 12], "unit": "step", "schedules": tables}
    made.append(("chain", options, lr_scheduler.SequentialLR(one, three, [4, 12]), one))
    one = optimizer()
    both = [lr_scheduler.CosineAnnealingLR(one, T_max=STEPS), lr_scheduler.StepLR(one, 7, 0.5)]
    options = {"schedules": [cosine, step | {"step_size": 7, "gamma": 0.5}]}
    made.append(("product", options, lr_scheduler.ChainedScheduler(both), one))
    return [
        {"name": name, "options": options, "torch": type(scheduler).__name__,
         "metrics": [], "factors": rates(scheduler, one, STEPS, [])}
        for name, options, scheduler, one in made
    ]  # fmt: skip


def single() -> list[dict[str, Any]]:
    """The cases of one scheduler."""
    found = []
    for name, options, kind, arguments, times, metrics in CASES:
        one = optimizer()
        factors = rates(getattr(lr_scheduler, kind)(one, **arguments), one, times, metrics)
        found.append(
            {
                "name": name,
                "options": options,
                "torch": kind,
                "metrics": metrics,
                "factors": factors,
            }
        )
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # no optimizer.step(): there is nothing to train here
    lines = ",\n  ".join(json.dumps(case) for case in single() + combined())
    text = f'{{"torch": "{torch.__version__}", "steps": {STEPS}, "cases": [\n  {lines}\n]}}\n'
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
