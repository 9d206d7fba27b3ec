"""Train quantum machine-learning models on real data, on a laptop or a Ray cluster.

    from qstore_ray import DatasetConfig, DatasetLoader, ModelConfig, QuantumTrainer, TrainerConfig

    data = DatasetLoader.load(DatasetConfig(name="iris", params={"dataset": "iris"}))
    result = QuantumTrainer(ModelConfig(n_qubits=4), TrainerConfig(epochs=20)).fit(data)

Importing this package loads none of numpy, Ray or Qiskit: a public name is imported when it is
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qstore_ray.advise.advantage.check import check_advantage as check_advantage
    from qstore_ray.advise.predict import predict_job as predict_job
    from qstore_ray.advise.recommend import recommend as recommend
    from qstore_ray.advise.resources import frontier as frontier
    from qstore_ray.backends import open_backend as open_backend
    from qstore_ray.backends.base import Backend as Backend
    from qstore_ray.backends.base import Bindings as Bindings
    from qstore_ray.backends.base import Estimates as Estimates
    from qstore_ray.circuits.circuit import Circuit as Circuit
    from qstore_ray.circuits.library.library import build_circuit as build_circuit
    from qstore_ray.circuits.observable import Observable as Observable
    from qstore_ray.circuits.template import Op as Op
    from qstore_ray.circuits.template import Template as Template
    from qstore_ray.circuits.template import param as param
    from qstore_ray.circuits.template import row as row
    from qstore_ray.cli.progress.progress import ProgressBar as ProgressBar
    from qstore_ray.config import Config as Config
    from qstore_ray.data.config import DatasetConfig as DatasetConfig
    from qstore_ray.data.loader import DatasetLoader as DatasetLoader
    from qstore_ray.data.read.dataset import Dataset as Dataset
    from qstore_ray.data.sources.base import ReadTask as ReadTask
    from qstore_ray.data.sources.base import SourceAdapter as SourceAdapter
    from qstore_ray.data.sources.base import SourceData as SourceData
    from qstore_ray.errors import QStoreError as QStoreError
    from qstore_ray.estimator import QuantumClassifier as QuantumClassifier
    from qstore_ray.estimator import QuantumKernelClassifier as QuantumKernelClassifier
    from qstore_ray.estimator import QuantumRegressor as QuantumRegressor
    from qstore_ray.federated.config import FederationConfig as FederationConfig
    from qstore_ray.federated.hosts.sites import ClientSite as ClientSite
    from qstore_ray.federated.job import FederatedJob as FederatedJob
    from qstore_ray.federated.job import run_federated_job as run_federated_job
    from qstore_ray.federated.partitions import PartitionConfig as PartitionConfig
    from qstore_ray.federated.result import FederatedResult as FederatedResult
    from qstore_ray.federated.rows import divide as divide
    from qstore_ray.federated.trainer import FederatedTrainer as FederatedTrainer
    from qstore_ray.job import JobConfig as JobConfig
    from qstore_ray.job import run_job as run_job
    from qstore_ray.job import run_search as run_search
    from qstore_ray.learn.config import ModelConfig as ModelConfig
    from qstore_ray.learn.kernel.kernel import FidelityKernel as FidelityKernel
    from qstore_ray.learn.kernel.kernel import ProjectedKernel as ProjectedKernel
    from qstore_ray.track.base import Display as Display
    from qstore_ray.track.base import RunInfo as RunInfo
    from qstore_ray.track.base import Tracker as Tracker
    from qstore_ray.track.config import TrackConfig as TrackConfig
    from qstore_ray.track.logs.logging import configure_logging as configure_logging
    from qstore_ray.track.mlflow.registry import promote_model as promote_model
    from qstore_ray.track.mlflow.registry import register_model as register_model
    from qstore_ray.track.mlflow.tracker import MLflowTracker as MLflowTracker
    from qstore_ray.track.reading.compare import compare as compare
    from qstore_ray.track.reading.metrics import MetricsTracker as MetricsTracker
    from qstore_ray.track.sync import sync_run as sync_run
    from qstore_ray.track.tensorboard import TensorBoardTracker as TensorBoardTracker
    from qstore_ray.track.wandb import WandBTracker as WandBTracker
    from qstore_ray.train.callbacks.base import Callback as Callback
    from qstore_ray.train.callbacks.budget import Budget as Budget
    from qstore_ray.train.callbacks.convergence import ConvergenceMonitor as ConvergenceMonitor
    from qstore_ray.train.callbacks.early_stopping import EarlyStopping as EarlyStopping
    from qstore_ray.train.callbacks.gradient_stats import GradientStats as GradientStats
    from qstore_ray.train.callbacks.learning_rate import LearningRateMonitor as LearningRateMonitor
    from qstore_ray.train.callbacks.metrics_logger import MetricsLogger as MetricsLogger
    from qstore_ray.train.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
    from qstore_ray.train.callbacks.run import Batch as Batch
    from qstore_ray.train.callbacks.run import Run as Run
    from qstore_ray.train.callbacks.timer import Timer as Timer
    from qstore_ray.train.config import ClusterConfig as ClusterConfig
    from qstore_ray.train.config import TrainerConfig as TrainerConfig
    from qstore_ray.train.model.trained import TrainedModel as TrainedModel
    from qstore_ray.train.ray.kernel_matrix import gram_matrix as gram_matrix
    from qstore_ray.train.result import TrainResult as TrainResult
    from qstore_ray.train.trainer import QuantumTrainer as QuantumTrainer
    from qstore_ray.tune.config import TuneConfig as TuneConfig
    from qstore_ray.tune.objective import Objective as Objective
    from qstore_ray.tune.space.space import Space as Space
    from qstore_ray.tune.study.result import StudyResult as StudyResult
    from qstore_ray.tune.study.result import read_result as read_result
    from qstore_ray.tune.tuner import Tuner as Tuner

__version__ = "0.1.0"

_EXPORTS = {
    "Backend": "qstore_ray.backends.base",
    "Batch": "qstore_ray.train.callbacks.run",
    "Bindings": "qstore_ray.backends.base",
    "Budget": "qstore_ray.train.callbacks.budget",
    "Callback": "qstore_ray.train.callbacks.base",
    "Circuit": "qstore_ray.circuits.circuit",
    "ClientSite": "qstore_ray.federated.hosts.sites",
    "ClusterConfig": "qstore_ray.train.config",
    "Config": "qstore_ray.config",
    "ConvergenceMonitor": "qstore_ray.train.callbacks.convergence",
    "Dataset": "qstore_ray.data.read.dataset",
    "DatasetConfig": "qstore_ray.data.config",
    "DatasetLoader": "qstore_ray.data.loader",
    "Display": "qstore_ray.track.base",
    "EarlyStopping": "qstore_ray.train.callbacks.early_stopping",
    "Estimates": "qstore_ray.backends.base",
    "FederatedJob": "qstore_ray.federated.job",
    "FederatedResult": "qstore_ray.federated.result",
    "FederatedTrainer": "qstore_ray.federated.trainer",
    "FederationConfig": "qstore_ray.federated.config",
    "FidelityKernel": "qstore_ray.learn.kernel.kernel",
    "GradientStats": "qstore_ray.train.callbacks.gradient_stats",
    "JobConfig": "qstore_ray.job",
    "LearningRateMonitor": "qstore_ray.train.callbacks.learning_rate",
    "MLflowTracker": "qstore_ray.track.mlflow.tracker",
    "MetricsLogger": "qstore_ray.train.callbacks.metrics_logger",
    "MetricsTracker": "qstore_ray.track.reading.metrics",
    "ModelCheckpoint": "qstore_ray.train.callbacks.model_checkpoint",
    "ModelConfig": "qstore_ray.learn.config",
    "Objective": "qstore_ray.tune.objective",
    "Observable": "qstore_ray.circuits.observable",
    "Op": "qstore_ray.circuits.template",
    "PartitionConfig": "qstore_ray.federated.partitions",
    "ProgressBar": "qstore_ray.cli.progress.progress",
    "ProjectedKernel": "qstore_ray.learn.kernel.kernel",
    "QStoreError": "qstore_ray.errors",
    "QuantumClassifier": "qstore_ray.estimator",
    "QuantumKernelClassifier": "qstore_ray.estimator",
    "QuantumRegressor": "qstore_ray.estimator",
    "QuantumTrainer": "qstore_ray.train.trainer",
    "ReadTask": "qstore_ray.data.sources.base",
    "Run": "qstore_ray.train.callbacks.run",
    "RunInfo": "qstore_ray.track.base",
    "SourceAdapter": "qstore_ray.data.sources.base",
    "SourceData": "qstore_ray.data.sources.base",
    "Space": "qstore_ray.tune.space.space",
    "StudyResult": "qstore_ray.tune.study.result",
    "Template": "qstore_ray.circuits.template",
    "TensorBoardTracker": "qstore_ray.track.tensorboard",
    "Timer": "qstore_ray.train.callbacks.timer",
    "TrackConfig": "qstore_ray.track.config",
    "Tracker": "qstore_ray.track.base",
    "TrainResult": "qstore_ray.train.result",
    "TrainedModel": "qstore_ray.train.model.trained",
    "TrainerConfig": "qstore_ray.train.config",
    "TuneConfig": "qstore_ray.tune.config",
    "Tuner": "qstore_ray.tune.tuner",
    "WandBTracker": "qstore_ray.track.wandb",
    "build_circuit": "qstore_ray.circuits.library.library",
    "check_advantage": "qstore_ray.advise.advantage.check",
    "compare": "qstore_ray.track.reading.compare",
    "configure_logging": "qstore_ray.track.logs.logging",
    "divide": "qstore_ray.federated.rows",
    "frontier": "qstore_ray.advise.resources",
    "gram_matrix": "qstore_ray.train.ray.kernel_matrix",
    "open_backend": "qstore_ray.backends",
    "param": "qstore_ray.circuits.template",
    "predict_job": "qstore_ray.advise.predict",
    "promote_model": "qstore_ray.track.mlflow.registry",
    "read_result": "qstore_ray.tune.study.result",
    "recommend": "qstore_ray.advise.recommend",
    "register_model": "qstore_ray.track.mlflow.registry",
    "row": "qstore_ray.circuits.template",
    "run_federated_job": "qstore_ray.federated.job",
    "run_job": "qstore_ray.job",
    "run_search": "qstore_ray.job",
    "sync_run": "qstore_ray.track.sync",
}

__all__ = [
    "Backend",
    "Batch",
    "Bindings",
    "Budget",
    "Callback",
    "Circuit",
    "ClientSite",
    "ClusterConfig",
    "Config",
    "ConvergenceMonitor",
    "Dataset",
    "DatasetConfig",
    "DatasetLoader",
    "Display",
    "EarlyStopping",
    "Estimates",
    "FederatedJob",
    "FederatedResult",
    "FederatedTrainer",
    "FederationConfig",
    "FidelityKernel",
    "GradientStats",
    "JobConfig",
    "LearningRateMonitor",
    "MLflowTracker",
    "MetricsLogger",
    "MetricsTracker",
    "ModelCheckpoint",
    "ModelConfig",
    "Objective",
    "Observable",
    "Op",
    "PartitionConfig",
    "ProgressBar",
    "ProjectedKernel",
    "QStoreError",
    "QuantumClassifier",
    "QuantumKernelClassifier",
    "QuantumRegressor",
    "QuantumTrainer",
    "ReadTask",
    "Run",
    "RunInfo",
    "SourceAdapter",
    "SourceData",
    "Space",
    "StudyResult",
    "Template",
    "TensorBoardTracker",
    "Timer",
    "TrackConfig",
    "Tracker",
    "TrainResult",
    "TrainedModel",
    "TrainerConfig",
    "TuneConfig",
    "Tuner",
    "WandBTracker",
    "build_circuit",
    "check_advantage",
    "compare",
    "configure_logging",
    "divide",
    "frontier",
    "gram_matrix",
    "open_backend",
    "param",
    "predict_job",
    "promote_model",
    "read_result",
    "recommend",
    "register_model",
    "row",
    "run_federated_job",
    "run_job",
    "run_search",
    "sync_run",
]


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module 'qstore_ray' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
