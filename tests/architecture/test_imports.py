"""Who may import what, and what `import qstore_ray` may cost.

The ladder between our own modules is import-linter's (pyproject.toml). Here is the other half: a
foreign package is known to few files, so that its next release is one file's problem.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.architecture.source import MODULES, imported

# package → the only modules, or packages with everything in them, that may import it
ALLOWED = {
    "boto3": ("qstore_ray.storage.cloud",),
    "cryptography": ("qstore_ray.federated.secure_sum.crypto",),
    "datasets": ("qstore_ray.data.sources",),
    "fastapi": ("qstore_ray.data.service", "qstore_ray.ops.dashboard", "qstore_ray.serve.app"),
    "flwr": ("qstore_ray.federated.flower.client",),
    "fsspec": ("qstore_ray.data.files.files",),
    "h5py": ("qstore_ray.data.sources",),
    "hypothesis": ("qstore_ray.testing",),
    "huggingface_hub": ("qstore_ray.data.sources", "qstore_ray.data.service.server.imports.hub"),
    "keras": ("qstore_ray.data.sources",),
    "matplotlib": ("qstore_ray.figures",),
    "mlflow": (
        "qstore_ray.track.mlflow.tracker",
        "qstore_ray.track.mlflow.model",
        "qstore_ray.track.mlflow.registry",
        "qstore_ray.track.mlflow.store",
    ),
    "obstore": ("qstore_ray.storage.cloud",),
    "opentelemetry": (
        "qstore_ray.telemetry.spans",
        "qstore_ray.train.telemetry.spans",
    ),
    "optuna": ("qstore_ray.tune",),
    "pandas": ("qstore_ray.data.sources",),
    "PIL": ("qstore_ray.data.files.pillow",),
    "pytest": ("qstore_ray.testing",),
    "qiskit": (
        "qstore_ray.circuits.first_import",
        "qstore_ray.circuits.qiskit.qiskit",
        "qstore_ray.circuits.qiskit.gates",
        "qstore_ray.circuits.qasm.arithmetic",
        "qstore_ray.circuits.qasm.calls",
        "qstore_ray.circuits.qasm.gates",
        "qstore_ray.circuits.qasm.program",
        "qstore_ray.circuits.qasm.reader",
        "qstore_ray.circuits.qasm.values",
        "qstore_ray.backends.aer",
        "qstore_ray.backends.ibm.service.isa",
        "qstore_ray.backends.ibm.service.estimator",
        "qstore_ray.backends.ibm.service.folding",
        "qstore_ray.backends.ibm.service.client",  # for the type checker
        "qstore_ray.backends.noise.device",
    ),
    "qdk": ("qstore_ray.advise.fault_tolerant",),
    "qiskit_aer": ("qstore_ray.backends.aer",),
    "qiskit_ibm_runtime": (
        "qstore_ray.backends.ibm.service.account",
        "qstore_ray.backends.ibm.service.client",
        "qstore_ray.backends.ibm.service.estimator",
        "qstore_ray.backends.ibm.service.estimator_options",
        "qstore_ray.backends.ibm.service.job_session",
        "qstore_ray.backends.ibm.service.options",
        "qstore_ray.backends.ibm.service.session",
        "qstore_ray.backends.noise.device.fake",
    ),
    "qiskit_qasm3_import": (),
    "ray": (
        "qstore_ray.backends.ibm.gateway.actor",
        "qstore_ray.cli.submit.attempts",  # for the type checker
        "qstore_ray.cli.submit.head",
        "qstore_ray.cluster.spare",
        "qstore_ray.cluster.supervisor",
        "qstore_ray.data.read.dataset",  # for the type checker
        "qstore_ray.data.read.ray_reader",
        "qstore_ray.deadline",
        "qstore_ray.federated.ray.fleet",
        "qstore_ray.telemetry.metrics",
        "qstore_ray.testing.tune_loop",
        "qstore_ray.train.ray.feed",
        "qstore_ray.train.ray.session",
        "qstore_ray.train.ray.controller",
        "qstore_ray.train.ray.join",
        "qstore_ray.train.ray.kernel_matrix",
        "qstore_ray.train.ray.errors",
        "qstore_ray.train.ray.failures",
        "qstore_ray.train.ray.policies",
        "qstore_ray.train.ray.side_effects",
        "qstore_ray.train.ray.predict",
        "qstore_ray.train.ray.workers",
        "qstore_ray.train.model.trained",  # for the type checker
        "qstore_ray.tune.trial.actor",
        "qstore_ray.tune.driver.experiment",
        "qstore_ray.tune.trial.part_task",
        "qstore_ray.tune.schedulers.ray_pb2",
        "qstore_ray.tune.schedulers.ray",
        "qstore_ray.tune.driver.checks",
        "qstore_ray.tune.schedulers",
        "qstore_ray.tune.driver.search",
        "qstore_ray.tune.trial.trial",
    ),
    "requests": (
        "qstore_ray.backends.ibm.service.session",
        "qstore_ray.data.service",
        "qstore_ray.data.sources",
        "qstore_ray.ops.notify.webhook",
        "qstore_ray.review.language_model",
    ),
    "rich": ("qstore_ray.cli",),
    "scipy": (
        "qstore_ray.advise",
        "qstore_ray.data.augment",
        "qstore_ray.data.quality.drift",
        "qstore_ray.data.quality.statistics",
        "qstore_ray.data.prepare.steps.projection",
        "qstore_ray.learn.kernel.shots",
        "qstore_ray.learn.privacy.audit",
        "qstore_ray.track.reading.statistics",
        "qstore_ray.tune.samplers.designs",
    ),
    "skimage": ("qstore_ray.data.prepare.steps.images",),
    "sklearn": (
        "qstore_ray.advise",
        "qstore_ray.baseline",
        "qstore_ray.data.quality.outliers",
        "qstore_ray.data.quality.rows",
        "qstore_ray.data.service.server.imports.label_studio",
        "qstore_ray.data.sources.local.libsvm",
        "qstore_ray.data.sources.sklearn",
        "qstore_ray.data.prepare.steps.projection",
        "qstore_ray.estimator",
        "qstore_ray.testing.callbacks",
        "qstore_ray.learn.scoring",  # the metrics, imported where one is computed
    ),
    "sqlalchemy": (
        "qstore_ray.track.mlflow.store",
        "qstore_ray.tune.study.address",
        "qstore_ray.tune.study.storage",
        "qstore_ray.tune.study.storage_errors",
    ),
    "starlette": ("qstore_ray.data.service", "qstore_ray.ops.dashboard", "qstore_ray.serve.app"),
    "packaging": ("qstore_ray.doctor.packages",),
    "structlog": ("qstore_ray.track.logs.logging",),
    "tensorboardX": ("qstore_ray.track.tensorboard", "qstore_ray.track.event_files"),
    "threadpoolctl": ("qstore_ray.advise.measure.rivals",),
    "torch": ("qstore_ray.torch",),
    "typer": ("qstore_ray.cli",),
    "uvicorn": ("qstore_ray.data.service", "qstore_ray.ops.dashboard", "qstore_ray.serve.app"),
    "wandb": ("qstore_ray.track.wandb",),
    "xgboost": (),  # its C library alone is called: train/loop/collective.py
    "xxhash": ("qstore_ray.data.rows.raw", "qstore_ray.data.survey"),
    "yaml": ("qstore_ray.migrate.parsing",),
}

# The rest is at everybody's hand.
EVERYWHERE = {"numpy", "pydantic", "pydantic_core", "pyarrow", "qstore_ray"}

HEAVY = ("numpy", "ray", "qiskit", "mlflow", "optuna", "sklearn", "pandas", "pyarrow")
LONGEST_IMPORT = 0.05  # CPU seconds over a bare interpreter
RUNS = 7


def test_foreign_packages_are_imported_only_where_the_table_allows():
    strangers = [
        f"{module.path}:{line} imports {name}; allowed in {homes}"
        for module in MODULES
        for name, line in imported(module.nodes)
        if (package := name.partition(".")[0]) not in EVERYWHERE | sys.stdlib_module_names
        and not _inside(module.name, homes := ALLOWED.get(package, ()))
    ]
    assert strangers == []


def _inside(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(f"{home}.") for home in homes)


def test_our_own_modules_are_imported_by_their_full_name():
    relative = [
        f"{module.path}:{node.lineno}"
        for module in MODULES
        for node in module.nodes
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def _python(code: str, folder: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_importing_the_package_loads_nothing_heavy(repository):
    code = f"import sys, qstore_ray; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    assert _python(code, repository) == ""


def test_importing_the_package_is_quick(repository):
    """CPU time, the best of several runs: neither grows much when the machine is busy."""

    def best(code: str) -> float:
        probe = f"{code}; import time; print(time.process_time())"
        return min(float(_python(probe, repository)) for _ in range(RUNS))

    assert best("import qstore_ray") - best("pass") < LONGEST_IMPORT
