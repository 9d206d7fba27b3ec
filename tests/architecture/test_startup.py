"""What a user waits for: modules that take long to import stay out of the way.

Times depend on the machine; which modules a process has loaded does not.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = (
    "IPython", "aiohttp", "datasets", "fastapi", "matplotlib", "mlflow", "optuna", "pandas",
    "qiskit", "qiskit_aer", "qiskit_ibm_runtime", "scipy", "sklearn", "sqlalchemy", "structlog",
    "torch", "wandb", "xgboost",
)  # fmt: skip
"""Each takes a tenth of a second to three seconds of CPU time."""

COMMAND = """
import sys
sys.argv = ["qstore", *{arguments!r}]
from qstore_ray.cli.entry import main
import atexit
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
main()
"""

TRAINING = """
import sys
from qstore_ray import Callback, DatasetLoader, JobConfig
from qstore_ray.train.trainer import QuantumTrainer

class First(Callback):
    def on_batch_end(self, run, done):
        print(*sys.modules, file=sys.stderr)
        raise SystemExit

job = JobConfig.load("jobs/digits.toml", ["trainer.num_workers=0", "trainer.epochs=1"])
QuantumTrainer(job.model, job.trainer, name="a", storage=sys.argv[1], track=job.track,
               callbacks=[First()]).fit(DatasetLoader.load(job.dataset))
"""


def _loaded(code: str, repository: Path, *arguments: str) -> set[str]:
    """The top modules that a program has loaded, which it prints last to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=repository, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    modules = max(done.stderr.splitlines(), key=len).split()
    assert "qstore_ray.cli" in modules or "qstore_ray.train.trainer" in modules, done.stderr
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (["--help"], ("numpy", "pyarrow", "pydantic", "ray", "rich")),
        (["runs"], ("numpy", "pyarrow", "ray")),
    ],
    ids=lambda given: given[0],
)
def test_a_light_command_loads_nothing_slow(arguments, more, repository, tmp_path):
    if arguments == ["runs"]:
        arguments = ["runs", "--storage", str(tmp_path)]
    loaded = _loaded(COMMAND.format(arguments=arguments), repository)
    assert loaded & {*SLOW, *more} == set()


def test_nothing_slow_is_loaded_before_the_first_step(repository, tmp_path):
    loaded = _loaded(TRAINING, repository, str(tmp_path))
    assert loaded & {*SLOW, "pyarrow", "ray", "rich"} == set()


def test_a_worker_loads_only_what_ray_train_loads(repository):
    # Ray Train itself imports pandas and pyarrow.
    code = "import sys, qstore_ray.train.ray.workers, qstore_ray.train.trainer; "
    loaded = _loaded(f"{code} print(*sys.modules, file=sys.stderr)", repository)
    assert loaded & {*SLOW} - {"pandas", "aiohttp"} == set()
