"""Searches of Q-Store 4.1 as `[tune]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from qstore_ray.migrate.draft import JobDraft, known
from qstore_ray.migrate.old_table import OldTable, is_number, is_read
from qstore_ray.migrate.training import RENAMED, SIZES
from qstore_ray.types import Table

SAMPLERS: Final = {"TPE": "tpe", "CMA-ES": "cmaes", "Grid": "grid", "Random": "random"}
PRUNERS: Final = {
    "MedianPruner": "median",
    "SuccessiveHalvingPruner": "asha",
    "HyperbandPruner": "hyperband",
    "NopPruner": "none",
}
FIELDS: Final = {
    **{old: new for old, (new, _) in RENAMED.items()},
    **{old: new for old, (new, _) in SIZES.items()},
    "lr": "trainer.learning_rate",
    "depth": "model.layers",
    "num_qubits": "model.n_qubits",
    "optimizer": "trainer.optimizer",
    "entanglement": "model.entanglement",
}
"""What the old programs called what they varied → the field of a job."""


def take_search(draft: JobDraft, table: OldTable, suggested: Sequence[OldTable]) -> None:
    """Write `[tune]`.

    Args:
        draft: the job. table: of OptunaConfig, GridSearch, RandomSearch or BayesianOptimizer.
        suggested: what the objective asks Optuna's trial for: `name` and the limits.
    """
    space = _space(draft, table, suggested)
    if not space:
        draft.note(
            table, "()", "unknown", new="tune.space",
            text="what is varied cannot be read; write [tune] with its space yourself",
        )  # fmt: skip
        return
    draft.set("tune.space", space)
    if table.kind == "OptunaConfig":
        _take_optuna(draft, table)
        return
    sampler = {"GridSearch": "grid", "RandomSearch": "random"}.get(table.kind, "gp")
    draft.set("tune.sampler", sampler)
    draft.note(table, "()", "renamed", new="tune.sampler", new_value=sampler)
    seed = known(table, "random_seed")
    if seed is not None:
        draft.take(table, "random_seed", "tune.seed")
    if "scoring" in table.values:
        draft.drop(
            table, "scoring",
            "the old objective was a function; write tune.objectives, such as "
            '[{ metric = "val_accuracy" }]',
            "tune.objectives",
        )  # fmt: skip
    if "n_init_points" in table.values:
        draft.take(table, "n_init_points", "tune.sampler_options.startup")
    if "verbose" in table.values:
        draft.drop(table, "verbose", "progress is always shown")


def _take_optuna(draft: JobDraft, table: OldTable) -> None:
    if "n_trials" in table.values:
        draft.take(table, "n_trials", "tune.trials")
    else:
        draft.default(table, "n_trials", "tune.trials", 100)
    sampler = known(table, "sampler", "TPE")
    if "sampler" in table.values:
        known_name = SAMPLERS.get(str(sampler))
        text = "" if known_name else "unknown; the old search ran TPE under this name"
        state = "renamed" if known_name else "changed"
        draft.take(table, "sampler", "tune.sampler", known_name or "tpe", state=state, text=text)  # type: ignore[arg-type]
    pruner = known(table, "pruner", "MedianPruner")
    text = "every epoch of a trial is reported to it here"
    if pruner == "PercentilePruner":
        draft.drop(table, "pruner", "no such scheduler; median is the 50th percentile")
    elif "pruner" in table.values:
        name = PRUNERS.get(str(pruner), "median")
        draft.take(table, "pruner", "tune.scheduler", name, state="changed", text=text)
    for key, new in (("n_jobs", "tune.concurrency"), ("storage", "tune.storage_url")):
        value = known(table, key)
        if key == "n_jobs" and value == -1:
            draft.drop(table, key, "without tune.concurrency all CPUs of the cluster are used")
        elif value is not None:
            draft.take(table, key, new)
    for key, why in (
        ("study_name", "the study has the name of the job"),
        ("direction", "each metric has its own; tune.objectives names it, val_loss by default"),
        ("timeout", "Ctrl-C ends a search, which can be resumed"),
        ("load_if_exists", "a study is resumed only if that is asked for"),
        ("sampler_kwargs", "see tune.sampler_options"),
        ("pruner_kwargs", "see tune.scheduler_options"),
    ):
        if table.values.get(key) is not None:
            draft.drop(table, key, why)


def _space(draft: JobDraft, table: OldTable, suggested: Sequence[OldTable]) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for key, reads in (
        ("param_grid", _grid),
        ("param_distributions", _distribution),
        ("param_bounds", _bounds),
    ):
        given = table.values.get(key)
        for name, limits in given.items() if isinstance(given, Mapping) else ():
            parameter = reads(name, limits) if is_read(limits) else None
            _add(draft, found, OldTable(key, {name: limits}, table.line), name, parameter)
    for each in suggested:
        name = str(known(each, "name", ""))
        parameter = _suggestion(each)
        _add(draft, found, OldTable(each.kind, {name: each.kind}, each.line), name, parameter)
    return found


def _add(
    draft: JobDraft, found: dict[str, Table], table: OldTable, name: str, parameter: Any
) -> None:
    field = FIELDS.get(name)
    if field is None:
        text = "no field of a job has this name; write its space yourself"
        draft.note(table, name, "unknown", text=text, new="tune.space")
    elif parameter is None:
        text = "its limits cannot be read; write its space yourself"
        draft.note(table, name, "unknown", text=text, new=f"tune.space.{field}")
    else:
        found[field] = parameter
        draft.note(table, name, "renamed", new=f"tune.space.{field}", new_value=parameter)


def _grid(name: str, choices: Any) -> Table | None:
    is_list = isinstance(choices, list | tuple) and choices
    return {"type": "categorical", "choices": list(choices)} if is_list else None


def _distribution(name: str, limits: Any) -> Table | None:
    match limits:
        case ("uniform", low, high) if is_number(low) and is_number(high):
            return {"type": "float", "low": float(low), "high": float(high)}
        case ("log_uniform", low, high) if is_number(low) and is_number(high):
            return {"type": "float", "low": float(low), "high": float(high), "log": True}
        case ("int_uniform", int() as low, int() as high):
            return {"type": "int", "low": low, "high": high}
        case ("choice", [*choices]) | ("choice", [*choices], *_):
            return {"type": "categorical", "choices": list(choices)}
    return None  # normal has no limits


def _bounds(name: str, limits: Any) -> Table | None:
    whole = FIELDS.get(name, "") in {"model.n_qubits", "model.layers", "trainer.batch_size",
                                     "trainer.epochs"}  # fmt: skip
    match limits:
        case [low, high] if is_number(low) and is_number(high):
            if whole:
                return {"type": "int", "low": int(low), "high": int(high)}
            return {"type": "float", "low": float(low), "high": float(high)}
    return None


def _suggestion(asked: OldTable) -> Table | None:
    """`trial.suggest_float("lr", 1e-4, 1e-1, log=True)` as a parameter."""
    values = asked.values
    if not is_read(values):
        return None
    if asked.kind == "suggest_categorical":
        return _grid("", values.get("choices"))
    if not all(is_number(values.get(name)) for name in ("low", "high")):
        return None
    log = bool(values.get("log")) or asked.kind == "suggest_loguniform"
    if asked.kind == "suggest_int":
        more = {"log": True} if log else {}
        given = values.get("step")
        step = {"step": int(given)} if is_number(given) and given != 1 else {}
        low, high = int(values["low"]), int(values["high"])
        return {"type": "int", "low": low, "high": high, **more, **step}
    low_high = {"low": float(values["low"]), "high": float(values["high"])}
    return {"type": "float", **low_high, **({"log": True} if log else {})}
