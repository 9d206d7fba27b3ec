"""The configuration of QeMLflow (and of ChemML, its earlier name) as parts of a job.

It configures a program for molecules: descriptors, classical models, plots, notebooks. What a job
has a place for is the quantum backend, the seed, and the tracker.
"""

from __future__ import annotations

from typing import Final

from qstore_ray.migrate.draft import JobDraft, known
from qstore_ray.migrate.old_table import OldTable
from qstore_ray.types import Table

SECTIONS: Final = frozenset(
    {"quantum", "models", "preprocessing", "experiment_tracking", "visualization", "notebooks"}
)
"""Tables that QeMLflow's configuration has; three of them make a file one of its own."""

_MOLECULES: Final = (
    "descriptors of molecules are computed before: save them as .csv or .npz, and name the file in "
    "dataset.params"
)
_WHOLE: Final = {
    "preprocessing": _MOLECULES,
    "visualization": "figures have one style here; see track.figures",
    "notebooks": "it has no effect on a training",
}
_REST: Final = {
    "quantum.enabled": "a job always has a circuit",
    "quantum.max_qubits": "the memory decides; qstore estimate says what a job needs",
    "quantum.optimization_level": 'the exact simulator transpiles nothing; see backend "ibm"',
    "models.default_model_type": "the linear baseline is trained beside every job (baseline)",
    "models.n_jobs": "write trainer.num_workers",
    "models.memory_limit_gb": "memory is checked before a run starts",
    "models.auto_feature_scaling": 'write dataset.preprocessing = [{ name = "standard" }]',
    "models.validation_split": "it does not say how many rows are for the test; write "
    "dataset.split, such as { train = 0.7, val = 0.1, test = 0.2 }",
    "experiment_tracking.auto_log_metrics": "every metric is recorded in the run folder",
    "experiment_tracking.auto_log_artifacts": "they are in the run folder",
    "experiment_tracking.tags": 'write track.tags as a table: { team = "chemistry" }',
    "log_level": "call qstore_ray.configure_logging(level)",
    "environment": "it has no effect on a training",
    "debug_mode": "it has no effect on a training",
    "data_directory": "name the file in dataset.params",
    "enable_telemetry": "no telemetry leaves the machine here",
    "enable_gpu_acceleration": "write cluster.gpus_per_worker; see the guide on GPUs",
    "enable_distributed_computing": "write trainer.num_workers",
    "enable_auto_optimization": "qstore advise and qstore tune propose settings",
}


def take_qemlflow(draft: JobDraft, values: Table) -> None:
    """Write what a job has a place for, and list everything else."""
    for section, given in values.items():
        if section in _WHOLE:
            draft.drop(OldTable("QeMLflow", values), section, _WHOLE[section])
        elif isinstance(given, dict):
            table = OldTable(f"QeMLflow.{section}", given)
            for key in given:
                _take(draft, table, f"{section}.{key}", key)
        else:
            _take(draft, OldTable("QeMLflow", values), section, section)


def _take(draft: JobDraft, table: OldTable, path: str, key: str) -> None:
    value = known(table, key)
    match path:
        case "quantum.shots":
            draft.take(table, key, "trainer.backend_options.shots")
        case "quantum.default_backend" if value == "qiskit_aer":
            draft.take(table, key, "trainer.backend", "aer")
        case "quantum.default_backend":
            draft.drop(table, key, "write trainer.backend: statevector, aer or ibm")
        case "models.random_state" if isinstance(value, int):
            draft.take(table, key, "trainer.seed")
            draft.set("dataset.seed", value)
        case "experiment_tracking.enabled" if value:
            draft.take(
                table, key, "track.wandb", "online", state="changed",
                text="QeMLflow tracks in Weights & Biases; MLflow is the default here",
            )  # fmt: skip
        case "experiment_tracking.enabled":
            draft.take(table, key, "track.wandb", "off")
        case "experiment_tracking.default_project" if value:
            draft.take(table, key, "track.wandb_project")
        case "experiment_tracking.wandb_api_key":
            draft.hide(table, key, "a credential; set the environment variable WANDB_API_KEY")
        case "cache_directory" if value:
            draft.take(table, key, "dataset.cache_dir")
        case _:
            draft.drop(table, key, _REST.get(path, "it has no counterpart in a job"))
