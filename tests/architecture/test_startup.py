"""What a user waits for: modules that take long to import stay out of the way.

Times depend on the machine; which modules a process has loaded does not.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from qstore_ray import JobConfig
from qstore_ray.train import beside

SLOW = (
    "IPython", "aiohttp", "datasets", "fastapi", "matplotlib", "mlflow", "optuna", "pandas",
    "qiskit", "qiskit_aer", "qiskit_ibm_runtime", "scipy", "sklearn", "sqlalchemy", "structlog",
    "torch", "wandb", "xgboost",
)  # fmt: skip
"""Each takes a tenth of a second to three seconds of CPU time."""

IRIS = {"name": "iris", "source": "sklearn", "params": {"dataset": "iris"}}

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


WHOLE = """
import sys
from qstore_ray import JobConfig, run_job
job = JobConfig.load("jobs/digits.toml", ["trainer.num_workers=0", "trainer.epochs=2",
                     f"storage='{sys.argv[1]}'"])
run_job(job)
from qstore_ray.sidecar.process import FIGURES, TRACKERS, sidecar
print("driver:", *sys.modules)
for work in (FIGURES, TRACKERS):
    names = sidecar(work).submit("ask", eval, "list(__import__('sys').modules)").result()
    print(f"{work}:", *names)
"""


def test_a_whole_training_leaves_what_is_slow_to_the_sidecar(repository, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WHOLE, str(tmp_path)], cwd=repository, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    lines = {line.partition(":")[0]: line.split()[1:] for line in done.stdout.splitlines()}
    loaded = {who: {name.partition(".")[0] for name in names} for who, names in lines.items()}
    assert loaded["driver"] & {*SLOW, "pyarrow", "ray", "rich"} == set()
    # pandas comes with scikit-learn.
    assert loaded["figures"] & {*SLOW} == {"matplotlib", "pandas", "scipy", "sklearn"}
    assert loaded["trackers"] & {"matplotlib", "mlflow", "sklearn"} == {"mlflow"}
    assert {path.name for path in tmp_path.iterdir()} == {"digits", "mlflow.db", "mlflow-artifacts"}
    assert (tmp_path / "digits" / "report.html").exists()


def test_what_the_sidecar_draws_and_fits_imports_little_of_ours(repository):
    # The driver has the rest: configurations, loops, backends and data sources.
    code = (
        "import sys, qstore_ray.baseline, qstore_ray.train.report.page; "
        "print('qstore_ray.train.trainer', *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    ours = {name for name in done.stderr.split() if name.startswith("qstore_ray.")}
    assert not ours & {
        "qstore_ray.data.read.dataset", "qstore_ray.learn.model", "qstore_ray.train.config",
        "qstore_ray.train.model.modelfile", "qstore_ray.simulate",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "cpus", "begins"),
    [
        ({}, 1, set()),
        ({}, 2, set()),
        ({}, 3, {"sklearn", "matplotlib", "mlflow"}),
        ({"trainer": {"num_workers": 2}}, 8, set()),
        ({"track": {"figures": False}}, 3, {"sklearn", "mlflow"}),
        ({"track": {"figures": False, "mlflow": False}}, 3, {"sklearn"}),
    ],
)  # fmt: skip
def test_the_sidecars_begin_with_the_job_where_they_have_cpus_of_their_own(
    changes, cpus, begins, monkeypatch
):
    asked: list[str] = []

    class Asked:
        def __init__(self, work="figures"):
            pass

        def submit(self, lane, function, modules=()):
            asked.extend(modules)

    monkeypatch.setattr(beside, "available_cpus", lambda: cpus)
    monkeypatch.setattr(beside, "sidecar", Asked)
    job = {"name": "a", "dataset": IRIS, "trainer": {"num_workers": 0}}
    beside.begin_beside(JobConfig.from_dict({**job, **changes}))
    assert {name.partition(".")[0] for name in asked} - {"qstore_ray"} == begins
    assert all(importlib.util.find_spec(name) for name in asked)
