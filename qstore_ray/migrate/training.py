"""`TrainingConfig` and `QuantumModel` of Q-Store 4.1 as `[model]` and `[trainer]`.

Of the 73 fields, the old trainer never read 38. A field that had no effect gets none here, and the
list says what to write if the effect is wanted.
"""

from __future__ import annotations

from typing import Any, Final

from qstore_ray.migrate.callbacks import take_callbacks
from qstore_ray.migrate.draft import JobDraft, known
from qstore_ray.migrate.old_table import OldTable, Unread
from qstore_ray.migrate.schedules import take_schedule

RENAMED: Final[dict[str, tuple[str, Any]]] = {
    "learning_rate": ("trainer.learning_rate", 0.01),
    "batch_size": ("trainer.batch_size", 32),
    "epochs": ("trainer.epochs", 100),
    "checkpoint_interval": ("trainer.checkpoint_every_epochs", None),
}
"""Old field → the field of a job, and the old default if it is written when the file has none."""

SIZES: Final = {"n_qubits": ("model.n_qubits", 10), "circuit_depth": ("model.layers", 4)}
"""Sizes of the circuit: old field → the field of a job, and the old default."""

ENTANGLEMENTS: Final = {"linear": "linear", "circular": "ring", "full": "full"}

GRADIENTS: Final = {
    "parameter_shift": "parameter_shift",
    "spsa": "spsa",
    "spsa_parallel": "spsa",
    "spsa_subsampled": "spsa",
}

_EXACT: Final = "exact gradients are faster: delete gradient and backend_options"
_SECRET: Final = "a credential; nothing is uploaded here, so there is no place for it"  # noqa: S105 - an explanation
_ALWAYS: Final = "it is always done here"
_NO_EFFECT: Final = "it had no effect"

DROPPED: Final[dict[str, str]] = {
    "pinecone_environment": "training rows are not uploaded here",
    "pinecone_index_name": "training rows are not uploaded here",
    "quantum_sdk": f'{_NO_EFFECT}; the exact simulator is trainer.backend = "statevector", the '
    'default; "aer" is Qiskit\'s, "ibm" a quantum computer',
    "quantum_target": f'{_NO_EFFECT}; a quantum computer is trainer.backend = "ibm"',
    "weight_decay": f"{_NO_EFFECT}; for an effect write trainer.optimizer_options.weight_decay",
    "max_concurrent_circuits": f"{_NO_EFFECT}; circuits are evaluated in batches here",
    "log_interval": "every step is recorded in the run folder",
    "track_gradients": f'{_NO_EFFECT}; write callbacks = [{{ name = "gradient_stats" }}]',
    "enable_circuit_cache": "a circuit is compiled once here",
    "enable_batch_execution": _ALWAYS,
    "enable_circuit_batching": _ALWAYS,
    "cache_size": "a circuit is compiled once here",
    "batch_timeout": f"{_NO_EFFECT}; calls have limits of their own here",
    "max_parallel_circuits": "circuits are evaluated in batches here",
    "spsa_a_initial": "the step of every gradient is trainer.learning_rate here",
    "gradient_subsample_size": "no example is left out here; the precision is set by "
    "trainer.gradient_options.directions",
    "batch_submission_timeout": "calls have limits of their own here",
    "enable_performance_tracking": "seconds and circuits of each epoch are always recorded",
    "performance_log_dir": "they are in the run folder",
    "use_concurrent_submission": f"{_NO_EFFECT}; jobs of all workers are joined here",
    "use_batch_api": f"{_NO_EFFECT}; jobs of all workers are joined here",
    "use_native_gates": f"{_NO_EFFECT}; circuits are transpiled for the device here",
    "enable_smart_caching": f"{_NO_EFFECT}; a circuit is compiled once here",
    "adaptive_batch_sizing": f"{_NO_EFFECT}; trainer.batch_size is fixed",
    "connection_pool_size": _NO_EFFECT,
    "max_queue_wait_time": f"{_NO_EFFECT}; see the budget of backend ibm",
    "enable_multi_backend": f"{_NO_EFFECT}; see trainer.fallback for one backend after another",
    "backend_configs": f"{_NO_EFFECT}; see trainer.fallback",
    "adaptive_circuit_depth": f"{_NO_EFFECT}; search model.layers by qstore tune",
    "circuit_depth_schedule": _NO_EFFECT,
    "min_circuit_depth": _NO_EFFECT,
    "max_circuit_depth": _NO_EFFECT,
    "adaptive_shot_allocation": f'{_NO_EFFECT}; trainer.optimizer = "gcans" chooses shots',
    "min_shots": _NO_EFFECT,
    "max_shots": _NO_EFFECT,
    "base_shots": f"{_NO_EFFECT}; write trainer.backend_options.shots",
    "use_natural_gradient": f'{_NO_EFFECT}; write trainer.optimizer = "qng"',
    "natural_gradient_regularization": f'{_NO_EFFECT}; optimizer "qng" has regularization',
    "qfim_cache_size": _NO_EFFECT,
    "enable_circuit_optimization": f"{_NO_EFFECT}; rotations are merged here",
    "gate_merging": f"{_NO_EFFECT}; rotations are merged here",
    "identity_removal": f"{_NO_EFFECT}; rotations are merged here",
    "entanglement_pruning": _NO_EFFECT,
    "enable_all_v34_features": _NO_EFFECT,
    "enable_all_v35_features": _NO_EFFECT,
    "enable_all_v40_features": _NO_EFFECT,
}
"""Fields without a counterpart, and what to do."""

SECRETS: Final = frozenset({"pinecone_api_key", "quantum_api_key"})


def take_training(draft: JobDraft, table: OldTable, model: OldTable | None) -> None:
    """Write `[model]` and `[trainer]`.

    Args:
        draft: the job. table: of TrainingConfig. model: of QuantumModel, if there is one; its
            sizes are those that the old program used.
    """
    for key, (new, default) in RENAMED.items():
        if key in table.values:
            draft.take(table, key, new, state="kept" if new.endswith(f".{key}") else "renamed")
        elif default is not None:
            draft.default(table, key, new, default)
    _take_sizes(draft, table, model)
    _take_optimizer(draft, table)
    _take_gradient(draft, table)
    _take_clipping(draft, table)
    take_schedule(draft, table)
    take_callbacks(draft, table)
    if "checkpoint_directory" in table.values:
        draft.take(
            table, "checkpoint_directory", "storage", state="changed",
            text="here it is the folder of all runs, each with its checkpoints",
        )  # fmt: skip
    for key in table.values:
        if key in SECRETS:
            draft.hide(table, key, _SECRET)
        elif key in DROPPED:
            draft.drop(table, key, DROPPED[key])


def _take_sizes(draft: JobDraft, table: OldTable, model: OldTable | None) -> None:
    if model is not None:
        _take_model(draft, table, model)
        return
    for key, (new, default) in SIZES.items():
        if key in table.values:
            text = "the old trainer took it from QuantumModel; check that both agreed"
            draft.take(table, key, new, text=text)
        else:
            draft.default(table, key, new, default)
    _take_entanglement(draft, table)
    if "hardware_efficient_ansatz" in table.values:
        _take_ansatz(draft, table, "hardware_efficient_ansatz")


def _take_model(draft: JobDraft, table: OldTable, model: OldTable) -> None:
    for key, new, own in (
        ("n_qubits", "model.n_qubits", "n_qubits"),
        ("depth", "model.layers", "circuit_depth"),
    ):
        read = model.values.get(key)
        if isinstance(read, Unread) and read.text.endswith(f".{own}") and own in table.values:
            draft.take(table, own, new)  # QuantumModel(n_qubits=config.n_qubits)
        elif key in model.values:
            draft.take(model, key, new, state="kept" if key == "n_qubits" else "renamed")
        elif key == "depth":
            draft.default(model, key, new, 4)
    if "hardware_efficient" in model.values:
        _take_ansatz(draft, model, "hardware_efficient")
    for key, text in (
        ("input_dim", "the features of the data decide it"),
        ("output_dim", "the classes of the data decide it; a trained linear head gives them"),
        ("backend", "see trainer.backend"),
    ):
        if key in model.values:
            draft.drop(model, key, text)
    listed = {key.old for key in draft.keys}
    for key in (*SIZES, "hardware_efficient_ansatz"):
        if key in table.values and f"{table.kind}.{key}" not in listed:
            draft.drop(table, key, f"{_NO_EFFECT}; QuantumModel had its own, which is taken")
    _take_entanglement(draft, table)


def _take_ansatz(draft: JobDraft, table: OldTable, key: str) -> None:
    if known(table, key) is False:
        draft.drop(
            table, key,
            "RX RY RZ on each qubit is in no ansatz here; model.ansatz is hardware_efficient, or "
            "write the circuit yourself (model.circuit)",
        )  # fmt: skip
        return
    draft.take(
        table, key, "model.ansatz", "hardware_efficient", state="changed",
        text="RY RZ as before; here with CZ, and a last layer of RY",
    )  # fmt: skip


def _take_entanglement(draft: JobDraft, table: OldTable) -> None:
    key, new = "entanglement", "model.entanglement"
    if key not in table.values:
        draft.default(table, key, new, "linear")
        return
    old = known(table, key)
    if old is not None and not (isinstance(old, str) and old in ENTANGLEMENTS):
        draft.drop(table, key, "unknown; choose one of linear, ring, full, pairwise, heavy_hex")
        return
    value = ENTANGLEMENTS.get(old or "", "")
    draft.take(table, key, new, value or None, state="kept" if value == old else "renamed")


def _take_optimizer(draft: JobDraft, table: OldTable) -> None:
    key, new = "optimizer", "trainer.optimizer"
    old = known(table, key, "adam")
    if key in table.values:
        if old in ("adam", "sgd"):
            draft.take(table, key, new, state="kept")
        else:
            draft.take(
                table, key, new, "sgd", state="changed",
                text="the old trainer ran plain gradient descent under this name, which is sgd; "
                'the natural gradient is "qng"',
            )  # fmt: skip
    momentum = "trainer.optimizer_options.momentum"
    if old == "sgd":
        if "momentum" in table.values:
            draft.take(table, "momentum", momentum)
        else:
            draft.default(table, "momentum", momentum, 0.9)
    elif "momentum" in table.values:
        draft.drop(table, "momentum", f"{_NO_EFFECT} with this optimizer")


def _take_gradient(draft: JobDraft, table: OldTable) -> None:
    key, new = "gradient_method", "trainer.gradient"
    old = known(table, key, "spsa_subsampled")
    method = GRADIENTS.get(str(old), "parameter_shift")
    if key not in table.values:
        draft.default(table, key, new, "spsa", _EXACT)
    elif old == "adaptive":
        draft.drop(table, key, "no method switches during a run; choose trainer.gradient")
        method = ""
    elif old == method:
        draft.take(table, key, new, state="renamed", text=_EXACT)
    else:
        why = (
            "no example is left out here"
            if method == "spsa"
            else "the old trainer ran parameter_shift under this name"
        )
        draft.take(table, key, new, method, state="changed", text=f"{why}; {_EXACT}")
    shots = "trainer.backend_options.shots"
    if "shots_per_circuit" in table.values:
        draft.take(table, "shots_per_circuit", shots, text=_EXACT)
    else:
        draft.default(table, "shots_per_circuit", shots, 1000, _EXACT)
    if "spsa_c_initial" in table.values:
        if method == "spsa":
            draft.take(
                table, "spsa_c_initial", "trainer.gradient_options.size", state="changed",
                text="it does not become smaller during a run here",
            )  # fmt: skip
        else:
            draft.drop(table, "spsa_c_initial", f"{_NO_EFFECT} with this gradient")


def _take_clipping(draft: JobDraft, table: OldTable) -> None:
    clips, value = "use_gradient_clipping", "gradient_clip_value"
    is_on = known(table, clips, True)
    if clips in table.values:
        draft.note(
            table, clips, "changed" if is_on else "dropped",
            text="clip_norm alone says whether and where",
        )  # fmt: skip
    if not is_on:
        if value in table.values:
            draft.drop(table, value, f"{_NO_EFFECT}: clipping was off")
        return
    if value in table.values:
        draft.take(table, value, "trainer.clip_norm")
    else:
        draft.default(table, value, "trainer.clip_norm", 1.0)
