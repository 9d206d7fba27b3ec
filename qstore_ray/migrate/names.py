"""Old names in Python → what to write here; the table of the guide is made of the same."""

from __future__ import annotations

from typing import Final, NamedTuple


class NewName(NamedTuple):
    """What takes the place of an old name.

    Args:
        name: of this package's Python, `qstore_ray.X`; empty if it is no Python any more.
        text: how it is used, or what to write instead.
    """

    name: str
    text: str = ""


_SCHEDULE: Final = "[trainer] schedule and schedule_options"
_CALLBACKS: Final = "[trainer] callbacks"
_STEPS: Final = "[dataset] preprocessing"
_AUGMENT: Final = "[dataset] augmentation"

Q_STORE: Final[dict[str, NewName]] = {
    "TrainingConfig": NewName("TrainerConfig", "and ModelConfig for the circuit"),
    "QuantumTrainer": NewName("QuantumTrainer", "QuantumTrainer(model, trainer).fit(dataset)"),
    "QuantumModel": NewName("ModelConfig", "a configuration; fit() makes and trains the model"),
    "TrainingMetrics": NewName("TrainResult", "what fit() returns"),
    "DatasetConfig": NewName(
        "DatasetConfig", "source, params and split in place of the old fields"
    ),
    "DatasetSource": NewName("", "source is a name: keras, huggingface, backend_api, local, …"),
    "DatasetLoader": NewName("DatasetLoader", "DatasetLoader.load(config), as before"),
    "Dataset": NewName("Dataset", "its rows are read when they are needed"),
    "SourceAdapter": NewName("SourceAdapter", "it returns read tasks; see docs/extending.md"),
    "KerasSourceAdapter": NewName("", 'source = "keras"'),
    "HuggingFaceSourceAdapter": NewName("", 'source = "huggingface"'),
    "BackendAPISourceAdapter": NewName("", 'source = "backend_api"'),
    "LocalFilesSourceAdapter": NewName("", 'source = "local"'),
    "BackendAPIClient": NewName("", "qstore data serve, and source backend_api"),
    "QuantumPreprocessor": NewName("", f"{_STEPS}: minmax, standard, robust, normalize, l1"),
    "DimensionReducer": NewName("", f"{_STEPS}: pca, random_projection, pool"),
    "QuantumImageAdapter": NewName("", f"{_STEPS}: grayscale, resize, pool"),
    "QuantumDataAdapter": NewName("", "[model] encoding: amplitude, angle, basis"),
    "DataSplitter": NewName("", "[dataset] split, stratify and seed"),
    "QuantumAugmentation": NewName("", f"{_AUGMENT}: phase_noise, amplitude_noise, angle_jitter"),
    "ClassicalAugmentation": NewName("", f"{_AUGMENT}: horizontal_flip, rotate, brightness, …"),
    "HybridAugmentation": NewName("", f"{_AUGMENT}: both kinds, in order"),
    "AugmentationPipeline": NewName("", f"{_AUGMENT}: steps, in order"),
    "QuantumDataGenerator": NewName("", "[trainer] batch_size; batches are made by fit()"),
    "BalancedBatchGenerator": NewName("", '[trainer] batches = "balanced"'),
    "StreamingDataGenerator": NewName("", "[dataset] stream = true"),
    "InfiniteDataGenerator": NewName("", "[trainer] epochs"),
    "DataValidator": NewName("", "qstore data info; faults of rows are errors (bad_values)"),
    "DataProfiler": NewName("", "qstore data profile"),
    "OutlierDetector": NewName("", "qstore data profile"),
    "BackendManager": NewName("open_backend", "or [trainer] backend: statevector, aer, ibm"),
    "EnhancedBackendManager": NewName("", "[trainer] fallback: one backend after another"),
    "SmartBackendRouter": NewName("", "[trainer] fallback: one backend after another"),
    "MultiBackendOrchestrator": NewName("", "[trainer] fallback: one backend after another"),
    "QuantumLayer": NewName("", "qstore_ray.torch, or [model] ansatz"),
    "HardwareEfficientQuantumLayer": NewName("", '[model] ansatz = "hardware_efficient"'),
    "QuantumConvolutionalLayer": NewName("", '[model] ansatz = "qcnn"'),
    "QuantumPoolingLayer": NewName("", '[model] ansatz = "qcnn"'),
    "QuantumDataEncoder": NewName("", "[model] encoding"),
    "QuantumFeatureMap": NewName("", "[model] encoding: zz, iqp"),
    "QuantumKernel": NewName("FidelityKernel", "and ProjectedKernel"),
    "QuantumGradientComputer": NewName("", '[trainer] gradient = "parameter_shift"'),
    "SPSAGradientEstimator": NewName("", '[trainer] gradient = "spsa"'),
    "SubsampledSPSAEstimator": NewName("", '[trainer] gradient = "spsa"'),
    "ParallelSPSAEstimator": NewName("", '[trainer] gradient = "spsa"'),
    "NaturalGradientEstimator": NewName("", '[trainer] optimizer = "qng"'),
    "StepLR": NewName("", f'{_SCHEDULE}: "step"'),
    "ExponentialLR": NewName("", f'{_SCHEDULE}: "exponential"'),
    "CosineAnnealingLR": NewName("", f'{_SCHEDULE}: "cosine"'),
    "CyclicLR": NewName("", f'{_SCHEDULE}: "cyclic"'),
    "OneCycleLR": NewName("", f'{_SCHEDULE}: "one_cycle"'),
    "ReduceLROnPlateau": NewName("", f'{_SCHEDULE}: "plateau"'),
    "WarmupScheduler": NewName("", f'{_SCHEDULE}: "warmup"'),
    "create_scheduler": NewName("", _SCHEDULE),
    "EarlyStopping": NewName("EarlyStopping", "or early_stopping in [trainer] callbacks"),
    "ConvergenceDetector": NewName("ConvergenceMonitor", "or convergence_monitor"),
    "Callback": NewName("Callback", "other hooks; see docs/extending.md"),
    "CallbackList": NewName("", f"{_CALLBACKS}, in order"),
    "ModelCheckpoint": NewName("ModelCheckpoint", "without a file name: it is in the run folder"),
    "CSVLogger": NewName("MetricsLogger"),
    "ProgressCallback": NewName("ProgressBar", "the command line always shows one"),
    "LearningRateLogger": NewName("LearningRateMonitor"),
    "TensorBoardCallback": NewName("TensorBoardTracker", "or [track] tensorboard = true"),
    "MLflowCallback": NewName("MLflowTracker", "or [track] mlflow, which is on by default"),
    "WandBCallback": NewName("WandBTracker", 'or [track] wandb = "online"'),
    "MLflowConfig": NewName("TrackConfig"),
    "MLflowTracker": NewName("MLflowTracker", "made from TrackConfig by fit()"),
    "QuantumMLLogger": NewName("configure_logging"),
    "create_logger": NewName("configure_logging"),
    "MetricsTracker": NewName("MetricsTracker", "reads the metrics of a run"),
    "MetricsAnalyzer": NewName("compare", "and qstore runs compare"),
    "GridSearch": NewName("Tuner", '[tune] sampler = "grid"'),
    "RandomSearch": NewName("Tuner", '[tune] sampler = "random"'),
    "BayesianOptimizer": NewName("Tuner", '[tune] sampler = "gp" or "tpe"'),
    "OptunaTuner": NewName("Tuner", "a search is configured, not programmed"),
    "OptunaConfig": NewName("TuneConfig"),
}
"""Names of Q-Store 4.1 and 4.1.1."""

QEMLFLOW: Final[dict[str, NewName]] = {
    "QeMLflowConfig": NewName("JobConfig", "one job; qstore migrate reads the old file"),
    "QuantumConfig": NewName("TrainerConfig", "backend and backend_options"),
    "QuantumNeuralNetwork": NewName("QuantumClassifier", "scikit-learn's interface"),
    "QuantumMachineLearning": NewName("QuantumClassifier", "scikit-learn's interface"),
    "QuantumFeatureMap": NewName("build_circuit", "or [model] encoding: zz, iqp"),
    "QuantumCircuitBuilder": NewName("build_circuit", "or a circuit of your own, [model] circuit"),
    "QuantumMolecularEncoder": NewName("", "[model] encoding, after descriptors were computed"),
    "CoreHealthMonitor": NewName("", "qstore health"),
    "HealthMonitor": NewName("", "qstore health"),
    "PerformanceMonitor": NewName("", "the metrics of a run; qstore health"),
    "ModelRecommendationEngine": NewName("recommend", "and qstore advise recommend"),
    "IntelligentModelRecommender": NewName("recommend", "and qstore advise recommend"),
    "QuantumAdvantageExplorer": NewName("check_advantage", "and qstore advise advantage"),
    "MonitoringDashboard": NewName("", "qstore dashboard"),
    "QuantumChemistrySimulator": NewName("", "no chemistry here; use qiskit-nature"),
    "QuantumChemistryWorkflow": NewName("", "no chemistry here; use qiskit-nature"),
}
"""Names of QeMLflow."""

PACKAGES: Final = {"q_store": Q_STORE, "qemlflow": QEMLFLOW, "chemml": QEMLFLOW}
"""Old package → its names."""
