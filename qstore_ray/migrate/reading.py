"""Old configuration files, as tables: JSON, YAML, TOML, and Python that makes the old objects.

A file of Q-Store is recognised by its keys, since there was no format for one:

    {"TrainingConfig": {"epochs": 50}, "DatasetConfig": {…}}      a table for each object
    {"training": {"epochs": 50}, "dataset": {…}}                  the same under usual names
    {"epochs": 50, "n_qubits": 8, …}                              the fields of one object alone
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from qstore_ray.errors import DataError, UsageError
from qstore_ray.migrate.datasets import SOURCES
from qstore_ray.migrate.old_table import OLD_CLASSES, OldTable
from qstore_ray.migrate.parsing import parsed
from qstore_ray.migrate.python_source import OldPython, read_python
from qstore_ray.migrate.qemlflow import SECTIONS
from qstore_ray.migrate.training import DROPPED, RENAMED, SECRETS, SIZES
from qstore_ray.types import Table

SUFFIXES: Final = (".json", ".yaml", ".yml", ".toml", ".py", ".ipynb")
_LARGEST: Final = 2**20
_LARGEST_WRITTEN_OUT: Final = 2**22
_SECTIONS: Final = {
    "training": "TrainingConfig",
    "training_config": "TrainingConfig",
    "trainer": "TrainingConfig",
    "dataset": "DatasetConfig",
    "dataset_config": "DatasetConfig",
    "data": "DatasetConfig",
    "model": "QuantumModel",
    "quantum_model": "QuantumModel",
    "mlflow": "MLflowConfig",
    "mlflow_config": "MLflowConfig",
    "optuna": "OptunaConfig",
    "optuna_config": "OptunaConfig",
    **{name: name for name in OLD_CLASSES},
}
"""Names of tables → the class whose fields they have."""

TRAINING_FIELDS: Final = frozenset(
    {*RENAMED, *SIZES, *DROPPED, *SECRETS, "entanglement", "optimizer", "gradient_method",
     "momentum", "shots_per_circuit", "use_gradient_clipping", "gradient_clip_value",
     "checkpoint_directory", "hardware_efficient_ansatz", "spsa_c_initial", "lr_scheduler",
     "lr_scheduler_params", "enable_early_stopping", "early_stopping_patience",
     "early_stopping_min_delta", "early_stopping_monitor", "callbacks", "dataset_source",
     "dataset_name", "dataset_params"}
)  # fmt: skip
"""Every field of TrainingConfig."""

_COMMON: Final = {"learning_rate", "batch_size", "epochs", "optimizer", "momentum", "callbacks"}
"""Fields that configurations of many programs have: they alone do not make a file Q-Store's."""

_USUAL: Final = _COMMON | {
    "n_qubits", "circuit_depth", "entanglement", "weight_decay", "lr_scheduler", "dataset_name",
    "early_stopping_patience", "checkpoint_interval", "log_interval", "cache_size", "max_shots",
}  # fmt: skip
"""Fields that other programs of this kind have, too: these alone make a file Q-Store's only if it
has hardly anything else, since what is dropped as unknown would be what mattered."""


_OLD_NAMES: Final = re.compile(
    rb"\b(?:q_store|qemlflow|TrainingConfig|DatasetConfig|QuantumModel|circuit_depth|source_params"
    rb"|gradient_method|shots_per_circuit|pinecone_\w+)\b"
)


class OldConfiguration(NamedTuple):
    """What a file holds.

    Args:
        product: `q_store` or `qemlflow`; empty if it is neither.
        tables: the objects of Q-Store. values: the whole file of QeMLflow.
        python: what a Python file imports, calls and asks for.
        strange: keys at the top that nothing is known of.
    """

    product: str
    tables: tuple[OldTable, ...] = ()
    values: Table | None = None
    python: OldPython | None = None
    strange: tuple[str, ...] = ()


def read_old(path: Path) -> OldConfiguration:
    """What a file holds; nothing of it is run.

    Raises:
        DataError: it cannot be read, or is not what its suffix says.
        UsageError: a suffix that is none of `SUFFIXES`.
    """
    text = _text(path)
    if path.suffix in (".py", ".ipynb"):
        python = read_python(path, text)
        return OldConfiguration(python.product, python.tables, python=python)
    return recognised(_parsed(path, text))


def recognised(values: Any) -> OldConfiguration:
    """Whose configuration a table is."""
    if not isinstance(values, dict):
        return OldConfiguration("")
    if len(SECTIONS & values.keys()) >= 3:
        return OldConfiguration("qemlflow", values=values)
    tables = []
    for key, given in values.items():
        if key in _SECTIONS and isinstance(given, dict):
            tables.append(OldTable(_SECTIONS[key], given))
    named = {key for key in values if key in _SECTIONS and isinstance(values[key], dict)}
    flat = {key: value for key, value in values.items() if key not in named}
    kind = _kind_of(flat)
    if kind:
        tables.append(OldTable(kind, flat))
        flat = {}
    is_ours = any(table.kind != "QuantumModel" and _fits(table) for table in tables)
    strange = tuple(key for key in flat if key not in named)
    return OldConfiguration("q_store" if is_ours else "", tuple(tables), strange=strange)


def may_be_old(path: Path) -> bool:
    """Whether a file that cannot be read has names of Q-Store or QeMLflow in it."""
    try:
        with path.open("rb") as file:
            return _OLD_NAMES.search(file.read(_LARGEST)) is not None
    except OSError:
        return False


def _kind_of(values: Table) -> str:
    """The class that a table without a name has the fields of."""
    if _is_training(values):
        return "TrainingConfig"
    if {"source", "source_params"} <= values.keys():
        return "DatasetConfig"
    return ""


def _is_training(values: Table) -> bool:
    """Whether a table has the fields of `TrainingConfig`, and not those of another program."""
    known = TRAINING_FIELDS & values.keys()
    if known - _USUAL:
        return True
    n_others = len(values.keys() - known)
    return bool(known - _COMMON) and n_others <= 1 and n_others < len(known)


def _fits(table: OldTable) -> bool:
    if table.kind == "TrainingConfig":
        return _is_training(table.values)
    if table.kind == "DatasetConfig":
        return str(table.values.get("source", "")).rpartition(".")[2].lower() in SOURCES
    return True


def _text(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise UsageError(
            "not a kind of file that an old configuration has",
            field="FILE",
            value=str(path),
            fix=f"Give a file that ends in {', '.join(SUFFIXES)}.",
        )
    try:
        if path.stat().st_size > _LARGEST:
            raise _file_error(path, "is larger than 1 MiB")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise _file_error(path, f"cannot be read: {type(exc).__name__}") from exc


def _parsed(path: Path, text: str) -> Any:
    try:
        return _as_json(path, parsed(path.suffix, text))
    except (ValueError, RecursionError) as exc:
        raise _file_error(path, f"is no {path.suffix[1:].upper()} that can be read: {exc}") from exc


def _as_json(path: Path, values: Any) -> Any:
    """Values as JSON has them: dates are texts, and what an alias names is repeated.

    Raises:
        DataError: they are too long then.
    """
    parts: list[str] = []
    size = 0
    for part in json.JSONEncoder(default=str).iterencode(values):
        parts.append(part)
        size += len(part)
        if size > _LARGEST_WRITTEN_OUT:
            raise _file_error(path, "is larger than 4 MiB with its aliases written out")
    return json.loads("".join(parts))


def _file_error(path: Path, what: str) -> DataError:
    return DataError(
        f"the file {what}", field=str(path), fix="Check that it is the configuration you mean."
    )
