"""Spaces that Hypothesis draws, and one that every sampler is tried on."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from qstore_ray.tune.space.space import Space
from qstore_ray.types import Table

SPACE: dict[str, Table] = {
    "trainer.learning_rate": {"type": "float", "low": 1e-3, "high": 0.3, "log": True, "points": 2},
    "model.layers": {"type": "int", "low": 1, "high": 8, "step": 3},
    "trainer.batch_size": {"type": "int", "low": 8, "high": 128, "log": True, "points": 2},
    "model.initial_spread": {"type": "float", "low": 0.1, "high": 0.5, "step": 0.2},
    "model.pre_layers": {"type": "categorical", "choices": [[8, 16], [16]]},
    "trainer.optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
    "trainer.optimizer_options.momentum": {
        "type": "float", "low": 0.0, "high": 0.9, "step": 0.45, "when": {"trainer.optimizer": "sgd"}
    },
    "trainer.optimizer_options.beta1": {
        "type": "fixed", "value": 0.5, "when": {"trainer.optimizer": ["adam"]}
    },
    "trainer.epochs": {"type": "fixed", "value": 3},
}  # fmt: skip
"""Every type of parameter; a grid has 2·3·2·3·2·(1 + 3) = 288 points."""

NUMBERS = {field: SPACE[field] for field in ("trainer.learning_rate", "model.layers")}
UNCONDITIONAL = {field: table for field, table in SPACE.items() if "when" not in table}

scalars = st.one_of(
    st.booleans(), st.integers(-5, 5), st.floats(-5, 5, allow_nan=False), st.text(max_size=3)
)
choices = st.one_of(scalars, st.lists(st.integers(0, 3), max_size=2))


@st.composite
def parameters(draw: st.DrawFn) -> Table:
    """The table of one parameter, without condition; its grid has at most about ten values."""
    kind = draw(st.sampled_from(["float", "int", "categorical", "fixed"]))
    if kind == "categorical":
        return {
            "type": kind,
            "choices": draw(st.lists(choices, min_size=1, max_size=4, unique_by=_stored)),
        }
    if kind == "fixed":
        return {"type": kind, "value": draw(choices)}
    log = draw(st.booleans())
    whole = kind == "int"
    least = 1 if log else -2000
    low, high = sorted(draw(st.tuples(st.integers(least, 2000), st.integers(least, 2000))))
    step = max(1, (high - low) // draw(st.integers(1, 9)))
    unit = 1 if whole else 1000  # three digits after the point
    table = {"type": kind, "low": low if whole else low / unit, "log": log}
    table["high"] = high if whole else high / unit
    if log or draw(st.booleans()):
        return {**table, "points": draw(st.integers(2, 6))}
    return {**table, "step": step if whole else step / unit}


def _stored(choice: Any) -> Any:
    return str(choice) if isinstance(choice, list | str) else float(choice)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """A space of up to six parameters; later ones may have conditions on earlier ones."""
    table: Table = {}
    for place in range(draw(st.integers(1, 6))):
        parameter = draw(parameters())
        when = {}
        for field, earlier in table.items():
            values = _values(earlier)
            if values and draw(st.integers(0, 3)) == 0:
                when[field] = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))
        table[f"model.p{place}"] = {**parameter, "when": when}
    return Space.from_dict(table)


def _values(table: Table) -> list[Any]:
    if table["type"] == "int":
        return [table["low"]]
    if table["type"] == "fixed":
        return [table["value"]]
    return list(table.get("choices", ()))
