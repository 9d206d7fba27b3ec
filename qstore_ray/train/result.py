"""What a training returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qstore_ray.backends.failover import FallbackStep
from qstore_ray.learn.privacy.statement import PrivacyStatement
from qstore_ray.track.base import Record
from qstore_ray.train.model.trained import TrainedModel


@dataclass(frozen=True)
class TrainResult:
    """What `fit` returns.

    Attributes:
        model: the trained model.
        metrics: the run in numbers: `train_…` of the last epoch, `val_…` and `test_…` of the model
            that is returned, `train_seconds` (all of `fit`), `samples_per_second` (of the loop).
            `test_…` are all that fit, see `learn.scoring`.
        missing: metrics that the rows do not define, with the reason.
        verdict: how the model stands to the baseline that `fit` was given; empty without one.
        history: one record an epoch.
        fallbacks: the steps from one backend to another, if backends failed.
        privacy: what may be claimed of a private run; None for any other.
        run_dir: the run folder. checkpoint: its last checkpoint.

    Examples:
        x, y = np.linspace(0, 1, 20).reshape(10, 2), np.arange(10) % 2
        track = TrackConfig(mlflow=False, figures=False)
        trainer = QuantumTrainer(ModelConfig(n_qubits=2), TrainerConfig(epochs=1), track=track)
        result = trainer.fit(DatasetLoader.from_arrays(x, y))
        assert len(result.history) == 1 and "val_loss" in result.metrics
    """

    model: TrainedModel
    metrics: Mapping[str, float]
    history: list[Record] = field(repr=False)
    run_dir: Path
    checkpoint: Path
    missing: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    fallbacks: Sequence[FallbackStep] = ()
    privacy: PrivacyStatement | None = None

    def __repr__(self) -> str:
        scores = {
            k: v for k, v in self.metrics.items() if k.startswith(("test_", "val_", "train_"))
        }
        known = list(scores.items())[:8]
        numbers = ", ".join(f"{name}={value:.4g}" for name, value in known)
        epochs = f"{len(self.history)} epoch{'s' * (len(self.history) != 1)}"
        return f"TrainResult({str(self.run_dir)!r}, {epochs}, {numbers})"
