"""Old Python is read, not run: its objects, the values in the file, and every old name."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import qstore_ray
from qstore_ray.cli.app import main
from qstore_ray.migrate.migrate import MigratedFile, migrate_file, migrate_paths
from qstore_ray.migrate.names import PACKAGES, Q_STORE, QEMLFLOW

PROGRAM = """\
import math
import numpy as np
from q_store.data import DatasetConfig, DatasetLoader, DatasetSource
from q_store.ml import QuantumModel, QuantumTrainer, TrainingConfig as Config
from q_store.ml import CSVLogger, OptunaConfig, OptunaTuner, EarlyStopping

raise SystemExit("this file was run")
EPOCHS = 20
WIDTH = 4
WIDTH = 5

config = Config(
    pinecone_api_key="k7Qp2ZtR9vLx4WmN",
    epochs=EPOCHS,
    batch_size=2 * 8,
    learning_rate=-(-0.02),
    n_qubits=WIDTH,
    callbacks=[CSVLogger("logs/rows.csv"), EarlyStopping(patience=3)],
)
data = DatasetConfig("rows", DatasetSource.LOCAL_FILES, {"format": "numpy", "data_file": "a.npz"})
model = QuantumModel(input_dim=4, n_qubits=config.n_qubits, output_dim=2, backend=None, depth=3)
trainer = QuantumTrainer(config, None)
trainer.train(model, DatasetLoader.load(data))

def objective(trial):
    trial.suggest_float("lr", 1e-3, 1e-1, log=True)
    trial.suggest_int("circuit_depth", 1, 6)
    trial.suggest_categorical("optimizer", ["adam", "sgd"])
    return trial.suggest_float("noise", 0, 1)

tuner = OptunaTuner(OptunaConfig(n_trials=30, sampler="CMA-ES", pruner="HyperbandPruner"))
"""


def of(text: str, tmp_path: Path, name: str = "old.py") -> MigratedFile:
    file = tmp_path / name
    file.write_text(text)
    return migrate_file(file)


def test_the_objects_of_a_program_become_a_job(tmp_path):
    found = of(PROGRAM, tmp_path)
    (job,) = found.jobs
    assert job.missing == ""
    values = tomllib.loads(job.toml)
    trainer = values["trainer"]
    assert (trainer["epochs"], trainer["batch_size"], trainer["learning_rate"]) == (20, 16, 0.02)
    assert values["model"]["layers"] == 3
    assert "n_qubits" not in values["model"]
    assert trainer["callbacks"] == [
        {"name": "metrics_logger", "file": "rows.csv"},
        {"name": "early_stopping", "patience": 3},
    ]
    assert values["dataset"] == {
        "name": "rows", "source": "local", "params": {"path": "a.npz"}
    }  # fmt: skip
    tune = values["tune"]
    assert (tune["trials"], tune["sampler"], tune["scheduler"]) == (30, "cmaes", "hyperband")
    assert tune["space"] == {
        "trainer.learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
        "model.layers": {"type": "int", "low": 1, "high": 6},
        "trainer.optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
    }
    unknown = {key.old for key in job.keys if key.state == "unknown"}
    assert unknown == {"TrainingConfig.n_qubits", "suggest_float.noise"}
    assert "k7Qp2ZtR9vLx4WmN" not in job.toml + repr(job.keys)


def test_every_line_with_an_old_name_is_listed(tmp_path):
    lines = {(use.line, use.old) for use in of(PROGRAM, tmp_path).uses}
    assert {(4, "TrainingConfig"), (12, "TrainingConfig"), (20, "DatasetConfig")} <= lines
    assert {(23, "QuantumTrainer.train"), (23, "DatasetLoader"), (31, "OptunaTuner")} - lines == {
        (23, "DatasetLoader")  # DatasetLoader.load is a method, as before
    }


def test_of_several_trainings_each_has_the_model_of_its_function(tmp_path):
    one = "def {}():\n    c = TrainingConfig(epochs={})\n    m = QuantumModel(4, {}, 2, None)\n"
    text = "from q_store.ml import QuantumModel, TrainingConfig\n" + "".join(
        one.format(name, epochs, qubits) for name, epochs, qubits in (("a", 3, 5), ("b", 4, 6))
    )
    jobs = [tomllib.loads(job.toml) for job in of(text, tmp_path).jobs]
    assert [job["name"] for job in jobs] == ["old-1", "old-2"]
    assert [(job["trainer"]["epochs"], job["model"]["n_qubits"]) for job in jobs] == [
        (3, 5), (4, 6)
    ]  # fmt: skip


def test_which_of_several_models_is_meant_is_not_guessed(tmp_path):
    text = (
        "from q_store.ml import QuantumModel, TrainingConfig\n"
        "c = TrainingConfig(epochs=3)\n"
        "a, b = QuantumModel(4, 5, 2, None), QuantumModel(4, 6, 2, None)\n"
    )
    (job,) = of(text, tmp_path).jobs
    assert tomllib.loads(job.toml)["model"]["n_qubits"] == 10  # TrainingConfig's default
    (text,) = [key.text for key in job.keys if key.old == "QuantumModel.()"]
    assert "of lines 3, 3 it cannot be known which one" in text


def test_a_notebook_is_read_by_its_cells(tmp_path):
    source = (
        "from q_store.ml import TrainingConfig\n%matplotlib inline\nc = TrainingConfig(epochs=3)"
    )
    cells = [{"cell_type": "code", "source": source.splitlines(keepends=True)}]
    text = json.dumps({"cells": cells, "nbformat": 4}, indent=1)
    found = of(text, tmp_path, "old.ipynb")
    assert tomllib.loads(found.jobs[0].toml)["trainer"]["epochs"] == 3
    line = text.splitlines().index('    "c = TrainingConfig(epochs=3)"') + 1
    assert {use.line for use in found.uses} >= {line}


def test_a_search_without_optuna(tmp_path):
    text = (
        "from q_store.ml import TrainingConfig, BayesianOptimizer\n"
        "c = TrainingConfig(epochs=3)\n"
        "b = BayesianOptimizer({'n_qubits': (2, 8.0), 'lr': (0.001, 0.1)}, random_seed=3)\n"
    )
    tune = tomllib.loads(of(text, tmp_path).jobs[0].toml)["tune"]
    assert (tune["sampler"], tune["seed"]) == ("gp", 3)
    assert tune["space"]["model.n_qubits"] == {"type": "int", "low": 2, "high": 8}


QEMLFLOW_FILE = """\
environment: development
experiment_tracking: {enabled: true, default_project: molecules, wandb_api_key: k7Qp2ZtR9vLx4WmN}
models: {default_model_type: random_forest, random_state: 42, validation_split: 0.2}
preprocessing: {fingerprint_bits: 2048}
quantum: {default_backend: qiskit_aer, shots: 1024, max_qubits: 16}
"""


def test_a_configuration_of_qemlflow(tmp_path):
    file = tmp_path / "old.yaml"
    file.write_text(QEMLFLOW_FILE)
    found = migrate_file(file, ["dataset.name=iris", "dataset.params.dataset=iris"])
    (job,) = found.jobs
    assert (found.product, job.missing) == ("qemlflow", "")
    values = tomllib.loads(job.toml)
    assert values["trainer"] == {
        "backend": "aer", "backend_options": {"shots": 1024}, "seed": 42
    }  # fmt: skip
    assert values["dataset"]["seed"] == 42
    assert values["track"] == {"wandb": "online", "wandb_project": "molecules"}
    listed = {key.old.removeprefix("QeMLflow.") for key in job.keys}
    assert listed == {
        "environment", "preprocessing", "experiment_tracking.enabled",
        "experiment_tracking.default_project", "experiment_tracking.wandb_api_key",
        "models.default_model_type", "models.random_state", "models.validation_split",
        "quantum.default_backend", "quantum.shots", "quantum.max_qubits",
    }  # fmt: skip
    assert "k7Qp2ZtR9vLx4WmN" not in job.toml + repr(job.keys)


def test_every_new_name_exists():
    for names in PACKAGES.values():
        for old, new in names.items():
            assert not new.name or hasattr(qstore_ray, new.name), old
            assert new.name or new.text, old


def test_the_guide_has_every_name(repository):
    guide = (repository / "docs" / "migration.md").read_text("utf-8")
    for names in (Q_STORE, QEMLFLOW):
        for old, new in names.items():
            name = f"`{new.name}`" if new.name else ""
            assert f"| `{old}` | {name} | {new.text} |" in guide


def test_the_command_prints_the_list_and_the_job(tmp_path, capsys):
    (tmp_path / "old.py").write_text(PROGRAM)
    assert main(["migrate", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "line 4: TrainingConfig -> qstore_ray.TrainerConfig" in out
    assert "default: TrainingConfig.momentum" not in out
    assert main(["migrate", str(tmp_path / "old.py"), "--json"]) == 0
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert file["jobs"][0]["missing"] == ""


def test_a_job_that_is_not_complete_has_the_exit_code_2(tmp_path, capsys):
    file = tmp_path / "old.toml"
    file.write_text("[training]\nn_qubits = 4\n")
    assert main(["migrate", str(file)]) == 2
    captured = capsys.readouterr()
    assert "n_qubits = 4" in captured.out
    assert "dataset" in captured.err
    given = ["--set", "dataset.name=iris", "--set", "dataset.params.dataset=iris"]
    assert main(["migrate", str(file), *given, "--write"]) == 0
    assert (tmp_path / "old.job.toml").exists()


@pytest.mark.parametrize("name", ["nothing.json", "old.txt"])
def test_what_is_no_file_of_ours_is_refused(name, tmp_path):
    (tmp_path / "old.txt").write_text("x")
    with pytest.raises(qstore_ray.QStoreError):
        migrate_paths(tmp_path / name)
