"""Records of metrics.jsonl as samples, and the limits of a run's budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

from qstore_ray.config import read_toml
from qstore_ray.errors import ConfigError
from qstore_ray.ops.rules.base import Kind, Sample
from qstore_ray.ops.rules.budget import ALLOWED
from qstore_ray.track.base import Record
from qstore_ray.track.logs.text import is_number

_KINDS: Final = frozenset({"start", "step", "epoch", "end"})
_LIMITS: Final = ("seconds", "circuits", "shots", "qpu_seconds", "money")
_HARDWARE_SILENCE, _USUAL_SILENCE = 6 * 3600.0, 300.0


def sample_of(record: Record, at: float, limits: dict[str, float] | None = None) -> Sample | None:
    """A record as a sample; None for one that says nothing about the progress of the run.

    Args:
        at: when it was read, by a steady clock.
        limits: `allowed_NAME` → a limit of the budget; they belong to a start.
    """
    kind = record.get("event")
    if kind not in _KINDS:
        return None
    values = {name: float(value) for name, value in record.items() if is_number(value)}
    more = limits or {} if kind == "start" else {}
    failed = kind == "end" and record.get("status") == "failed"
    text = str(record.get("reason") or "no reason is recorded") if failed else ""
    return Sample(cast("Kind", kind), at, {**values, **more}, text)


def budget_limits(run_dir: Path) -> dict[str, float]:
    """`allowed_NAME` → the limit, of the callback `budget` in a run's configuration."""
    callbacks = _trainer(run_dir).get("callbacks")
    tables = callbacks if isinstance(callbacks, list) else []
    return {
        f"{ALLOWED}{name}": float(table[name])
        for table in tables
        if isinstance(table, dict) and table.get("name") == "budget"
        for name in _LIMITS
        if is_number(table.get(name)) and table[name] > 0
    }


def usual_silence(run_dir: Path) -> float:
    """Seconds of silence that are in order for a run: on hardware, jobs wait in a queue."""
    return _HARDWARE_SILENCE if _trainer(run_dir).get("backend") == "ibm" else _USUAL_SILENCE


def _trainer(run_dir: Path) -> dict[str, Any]:
    """The trainer's part of a run's configuration; empty for one that cannot be read (yet)."""
    try:
        trainer = read_toml(run_dir / "config.toml").get("trainer")
    except ConfigError:
        return {}
    return trainer if isinstance(trainer, dict) else {}
