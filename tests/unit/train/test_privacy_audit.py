"""A sound training stands up to the audit; planted faults do not."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.cli.app import main
from qstore_ray.data.batches.batches import StandardBatches
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, RunError
from qstore_ray.learn import clipping
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.audit.audit import audit_run
from qstore_ray.train.audit.mechanism import MechanismAudit, audit_mechanism
from qstore_ray.train.audit.membership import membership_test
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import TrainingRows
from qstore_ray.train.privacy.steps import PrivacyPlan, PrivateTraining
from qstore_ray.train.trainer import QuantumTrainer

N, STEPS = 670, 100
PRIVACY = {"noise_multiplier": 2.5, "delta": 1e-5}


def _audit(canaries: int = 500, **options) -> MechanismAudit:
    """500 canaries among 670 rows, 100 steps of q = 0.1: ε = 2."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=(N, 2))
    rows = TrainingRows(x, (x[:, 0] > 0).astype(int), x[:0], np.zeros(0, int))
    model = build_model(ModelConfig(n_qubits=2, layers=1), n_features=2, n_classes=2)
    privacy = {**PRIVACY, **options}
    config = TrainerConfig(epochs=10, batch_size=67, optimizer="sgd", privacy=privacy)
    return audit_mechanism(model, config, rows, steps=STEPS, canaries=canaries)


def test_a_sound_training_is_not_refuted():
    found = _audit()
    assert found.faults == []
    assert found.canaries == 500
    assert 1.9 < found.claimed < 2.1
    assert 0.6 < found.expected < 0.65
    assert 3.3 < found.limit < 3.5


def test_a_sound_training_in_shuffled_batches_is_not_refuted():
    found = _audit(sampling="shuffle", noise_multiplier=6.0)
    assert found.faults == []
    assert found.participation is None


def _no_noise(monkeypatch) -> None:
    monkeypatch.setattr(NoiseKey, "normals", lambda self, steps, size: np.zeros((len(steps), size)))


def _little_noise(monkeypatch) -> None:
    """The noise of a mean, on a sum: too small by the root of the batch size."""
    sound = NoiseKey.normals
    monkeypatch.setattr(
        NoiseKey, "normals", lambda self, steps, size: sound(self, steps, size) / np.sqrt(67)
    )


def _no_clipping(monkeypatch) -> None:
    monkeypatch.setattr(clipping, "clip_rows", lambda gradients, limit: gradients)


def _clips_the_sum(monkeypatch) -> None:
    """Ten times the norm for all rows together, in place of the norm for each."""

    def clipped(gradients, limit):
        total = np.linalg.norm(gradients.sum(axis=0))
        return gradients * min(1.0, 10 * limit / max(total, 1e-9)) * np.sqrt(len(gradients))

    monkeypatch.setattr(clipping, "clip_rows", clipped)


def _too_much_noise(monkeypatch) -> None:
    sound = NoiseKey.normals
    monkeypatch.setattr(
        NoiseKey, "normals", lambda self, steps, size: 50 * sound(self, steps, size)
    )


def _shuffled(monkeypatch) -> None:
    monkeypatch.setattr(
        PrivateTraining,
        "batches",
        lambda self: StandardBatches(n_rows=self.plan.n_rows, batch_size=self.plan.batch_size),
    )


def _same_rows_again(monkeypatch) -> None:
    sound = NoiseKey.joined
    monkeypatch.setattr(NoiseKey, "joined", lambda self, step, n_rows, q: sound(self, 0, n_rows, q))


FAULTS = [
    (_no_noise, "needs ε of at least"),
    (_little_noise, "needs ε of at least"),
    (_no_clipping, "needs ε of at least"),
    (_clips_the_sum, "is expected"),
    (_shuffled, "no Poisson sampling"),
    (_same_rows_again, "no Poisson sampling"),
]


@pytest.mark.parametrize(("plant", "said"), FAULTS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_planted_fault_is_found(monkeypatch, plant, said):
    plant(monkeypatch)
    assert said in "; ".join(_audit().faults)


def test_too_much_noise_is_found_with_more_canaries(monkeypatch):
    _too_much_noise(monkeypatch)
    assert "more noise" in "; ".join(_audit(canaries=2_000).faults)


@pytest.mark.parametrize("plant", [_no_noise, _little_noise, _no_clipping])
def test_the_guesses_alone_refute_gross_faults(monkeypatch, plant):
    plant(monkeypatch)
    found = _audit()
    assert found.bound > found.claimed


def test_a_wrong_rate_in_the_account_is_found(monkeypatch):
    """The account believes in a tenth of the real sampling rate."""
    sound = PrivacyPlan.of
    monkeypatch.setattr(
        PrivacyPlan,
        "of",
        lambda config, n: sound(config, n)._replace(sample_rate=0.01),
    )
    assert "no Poisson sampling" in "; ".join(_audit().faults)


# ----------------------------------------------------------------------------------------- of a run


def _run(tmp_path, privacy, n: int = 80):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, 2))
    dataset = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=2, batch_size=10, privacy=privacy),
        name="r", storage=tmp_path, track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    return trainer.fit(dataset), dataset


def test_a_run_is_audited_by_its_own_settings(tmp_path):
    result, dataset = _run(tmp_path, {"epsilon": 1.0, "delta": 1e-3})
    found = audit_run(result.run_dir, dataset)
    assert found.faults == []
    assert found.claim == result.privacy
    assert found.mechanism.claimed == pytest.approx(result.privacy.epsilon)
    assert found.mechanism.canaries >= 500
    assert found.membership.members == len(dataset.labels("train"))
    assert 0.5 < found.membership.largest < 0.8


def test_what_cannot_be_audited_is_refused(tmp_path):
    result, dataset = _run(tmp_path, None)
    with pytest.raises(ConfigError, match="without privacy"):
        audit_run(result.run_dir, dataset)
    result, dataset = _run(tmp_path / "b", {"epsilon": 1.0, "delta": 1e-3})
    (result.run_dir / "privacy.json").unlink()
    with pytest.raises(RunError, match="has not ended"):
        audit_run(result.run_dir, dataset)
    (result.run_dir / "privacy.json").write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        audit_run(result.run_dir, dataset)


def test_losses_of_a_model_that_knows_its_rows_by_heart_refute_a_small_claim():
    """A model of one output whose targets are its own outputs for the members, and not else."""
    model = build_model(
        ModelConfig(n_qubits=2, layers=1, head="none", loss="mse", observables=["Z0"]),
        n_features=2, n_classes=None, task="regression",
    )  # fmt: skip
    backend, theta = TrainerConfig().open_backend(), model.initial(0)
    from qstore_ray.learn.step import outputs_of

    x = np.random.default_rng(0).normal(size=(200, 2))
    y = outputs_of(model, theta, x, backend)[:, 0]
    found = membership_test(
        model, theta, (x[:100], y[:100]), (x[100:], y[100:] + 1.0), backend, epsilon=1.0,
        delta=1e-5,
    )  # fmt: skip
    assert found.area == 1.0
    assert found.at_one_percent == 1.0
    assert "separate the rows of train" in found.faults[0]


def test_the_command_says_what_was_found_and_fails_for_a_refuted_claim(
    tmp_path, capsys, monkeypatch
):
    job = tmp_path / "job.toml"
    job.write_text(
        f"""name = "p"
storage = "{tmp_path / "runs"}"
baseline = false
[dataset]
name = "iris"
params = {{dataset = "iris"}}
[model]
n_qubits = 4
layers = 1
[trainer]
epochs = 1
batch_size = 20
[trainer.privacy]
epsilon = 1.0
delta = 1e-3
[track]
mlflow = false
figures = false
"""
    )
    assert main(["train", str(job), "--quiet"]) == 0
    assert "privacy" in capsys.readouterr().out
    command = ["privacy", "audit", "p", "--storage", str(tmp_path / "runs")]
    assert main(command) == 0
    out = capsys.readouterr().out
    for word in ("claim", "canaries", "limit", "area", "sampling", "losses", "nothing refutes"):
        assert word in out
    _no_noise(monkeypatch)
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "refuted" in captured.err
