"""`lr_scheduler` of Q-Store 4.1 as `trainer.schedule`. The old ones advanced once an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from qstore_ray.migrate.draft import JobDraft, known
from qstore_ray.migrate.old_table import OldTable, Unread, is_number
from qstore_ray.types import Table

_EPOCH: Final = {"unit": "epoch"}


class MovedSchedule(NamedTuple):
    """A schedule of a job, its options, and what is different."""

    name: str
    options: Table
    rate: float | None = None
    text: str = ""


def take_schedule(draft: JobDraft, table: OldTable) -> None:
    """Write `trainer.schedule` and its options."""
    key, new = "lr_scheduler", "trainer.schedule"
    old = known(table, key)
    if key not in table.values or (old is None and not isinstance(table.values[key], Unread)):
        draft.default(table, key, new, "constant")
        if "lr_scheduler_params" in table.values:
            draft.drop(table, "lr_scheduler_params", "they had no effect without lr_scheduler")
        return
    given = known(table, "lr_scheduler_params", {}) or {}
    unread = isinstance(table.values.get("lr_scheduler_params"), Unread)
    if unread or not isinstance(given, dict):
        draft.note(
            table, "lr_scheduler_params", "unknown", new="trainer.schedule_options",
            text="it is no table that can be read; write trainer.schedule_options yourself",
        )  # fmt: skip
        return
    if old is not None and not (isinstance(old, str) and old in SCHEDULES):
        draft.take(
            table, key, new, "constant", state="changed",
            text="unknown; the old trainer logged a warning, and kept the rate constant",
        )  # fmt: skip
        return
    if old is None:
        draft.take(table, key, new)
        return
    rate = table.values.get("learning_rate", 0.01)
    if missing := _missing(old, given, rate):
        draft.note(
            table, key, "unknown", new=new,
            text=f"{missing} cannot be known; without it the old trainer kept the rate constant",
        )  # fmt: skip
        return
    moved = SCHEDULES[old](given, float(rate) if is_number(rate) else 0.0)
    draft.take(table, key, new, moved.name, text=moved.text)
    if moved.rate is not None:
        draft.set("trainer.learning_rate", moved.rate)
    if moved.options:
        draft.set("trainer.schedule_options", moved.options)
    if "lr_scheduler_params" in table.values:
        draft.note(
            table, "lr_scheduler_params", "renamed", new="trainer.schedule_options",
            new_value=moved.options, text=_left_out(given),
        )  # fmt: skip


def _step(given: Table, rate: float) -> MovedSchedule:
    options = {"step_size": given["step_size"], "gamma": given.get("gamma", 0.1), **_EPOCH}
    return MovedSchedule("step", options)


def _exponential(given: Table, rate: float) -> MovedSchedule:
    return MovedSchedule("exponential", {"gamma": given.get("gamma", 0.95), **_EPOCH})


def _cosine(given: Table, rate: float) -> MovedSchedule:
    lowest = _share(given.get("eta_min", 0.0), rate)
    options = {"T_max": given["T_max"], "eta_min": lowest, **_EPOCH}
    return MovedSchedule("cosine", options, text="eta_min is a share of learning_rate here")


def _cyclic(given: Table, rate: float) -> MovedSchedule:
    most = float(given["max_lr"])
    options = {
        "base": _share(rate, most),
        "step_size_up": given["step_size"],
        "mode": given.get("mode", "triangular"),
        "gamma": given.get("gamma", 1.0),
        **_EPOCH,
    }
    text = "learning_rate is the highest rate here, and base the lowest one's share of it"
    return MovedSchedule("cyclic", options, max(most, rate), text)


def _one_cycle(given: Table, rate: float) -> MovedSchedule:
    options = {
        "pct_start": given.get("pct_start", 0.3),
        "div_factor": given.get("div_factor", 25.0),
        "final_div_factor": given.get("final_div_factor", 1e4),
        "anneal_strategy": "linear",
        **_EPOCH,
    }
    text = "the cycle is the whole run here, not total_steps; the old rate became negative after it"
    return MovedSchedule("one_cycle", options, text=text)


def _plateau(given: Table, rate: float) -> MovedSchedule:
    kept = ("factor", "patience", "threshold")
    options: dict[str, Any] = {name: given[name] for name in kept if name in given}
    options |= {
        "mode": given.get("mode", "min"),
        "threshold_mode": "abs",
        "min_factor": _share(given.get("min_lr", 1e-7), rate),
    }
    text = "here the monitored metric decides; the old trainer gave it the number of the epoch"
    return MovedSchedule("plateau", options, text=text)


def _warmup(given: Table, rate: float) -> MovedSchedule:
    """The old rate in epoch t was (t + 1)/W of the target, so it was reached in epoch W − 1."""
    epochs = int(given["warmup_steps"])
    if epochs <= 1:
        return MovedSchedule("constant", {}, text="the first epoch had the target rate already")
    options = {
        "length": epochs - 1,
        "shape": "linear",
        "start_factor": 1.0 / epochs,
        "then": {"name": "constant"},
        **_EPOCH,
    }
    text = "the same rates; a schedule after it stands in then"
    return MovedSchedule("warmup", options, text=text)


SCHEDULES: Final[dict[str, Callable[[Table, float], MovedSchedule]]] = {
    "step": _step,
    "exponential": _exponential,
    "cosine": _cosine,
    "cyclic": _cyclic,
    "onecycle": _one_cycle,
    "plateau": _plateau,
    "warmup": _warmup,
}
"""Old name → what it becomes."""

_OF_RATE: Final = ("cosine", "cyclic", "plateau")
"""Those with a rate among their parameters, which is a share of another here."""

NEEDED: Final = {
    "step": ("step_size",),
    "cosine": ("T_max",),
    "cyclic": ("max_lr", "step_size"),
    "onecycle": ("total_steps",),
    "warmup": ("warmup_steps",),
}
"""What the old schedulers could not be made without."""

_READ: Final = {
    "step_size", "gamma", "T_max", "eta_min", "max_lr", "mode", "total_steps", "pct_start",
    "div_factor", "final_div_factor", "factor", "patience", "threshold", "min_lr", "warmup_steps",
    "verbose",
}  # fmt: skip

_NUMBERS: Final = _READ - {"mode", "verbose"}


def _missing(old: str, given: Table, rate: Any) -> str:
    """The parameters without which a schedule cannot be made; empty if all are known."""
    missing = [each for each in NEEDED.get(old, ()) if each not in given]
    missing += [each for each in given if each in _NUMBERS and not is_number(given[each])]
    if old in _OF_RATE and not is_number(rate):
        missing.append("learning_rate")
    others = any(isinstance(each, Unread) for each in given.values())
    return ", ".join(missing) or ("some of its parameters" if others else "")


def _share(part: Any, whole: float) -> float:
    """`part` divided by `whole`, at most 1."""
    return min(1.0, float(part) / whole) if whole else 0.0


def _left_out(given: Table) -> str:
    left = sorted(set(given) - _READ)
    return f"without a counterpart: {', '.join(left)}" if left else ""
