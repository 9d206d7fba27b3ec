"""The laws of private training: W workers = 1, resumed = uninterrupted, never above ε."""

from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import CheckpointError, ConfigError
from qstore_ray.learn.clipping import clip_rows
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import build_model
from qstore_ray.learn.privacy.accountant import PrivacyAccountant
from qstore_ray.learn.step import EXTRA, value_and_grad
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.loop.objective import TrainingObjective
from qstore_ray.train.privacy.claim import read_statement
from qstore_ray.train.privacy.steps import PrivacyPlan, check_privacy
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.trainer import QuantumTrainer
from tests.laws import test_training
from tests.laws.test_training import Callback, _end, _job, _train

rows = test_training.rows
SEEDED = {"noise_multiplier": 0.8, "clip": 0.5, "noise": "seeded"}


# --------------------------------------------------------------------------------- rows are clipped


def _models():
    wide = {"pre_layers": [3], "post_layers": [4], "input_scaling": True}
    for options in ({}, {"input_scaling": True}, wide, {"head": "none", "loss": "mse"}):
        outputs = {"n_features": 4, "n_classes": None if "loss" in options else 3}
        if "loss" in options:
            outputs |= {"task": "regression"}
        yield pytest.param(options, outputs, id="-".join(options) or "plain")


@pytest.mark.parametrize(("options", "outputs"), _models())
@pytest.mark.parametrize("clip", [0.05, 1.0, np.inf])
def test_a_clipped_step_is_the_sum_of_the_clipped_gradients_of_single_rows(
    rows, options, outputs, clip
):
    if "loss" in options:
        options = {**options, "observables": ["Z0"]}
    model = build_model(ModelConfig(n_qubits=4, layers=1, **options), **outputs)
    backend = TrainerConfig().open_backend()
    method = get_gradient("auto", backend)
    theta = np.random.default_rng(0).normal(size=model.n_parameters)
    x, y = rows.x[:21], rows.y[:21].astype(float if "loss" in options else int)
    found = value_and_grad(model, theta, x, y, backend, method, clip=clip)
    single = [
        value_and_grad(model, theta, x[i : i + 1], y[i : i + 1], backend, method).sum(axis=0)
        for i in range(len(x))
    ]
    gradients = np.stack(single)[:, :-EXTRA]
    norms = np.linalg.norm(gradients, axis=1)
    if clip == 0.05:
        assert (norms > clip).sum() > 5  # clipping matters
    expected = (gradients * np.minimum(1.0, clip / norms)[:, None]).sum(axis=0)
    np.testing.assert_allclose(found[:, :-EXTRA].sum(axis=0), expected, rtol=1e-9, atol=1e-12)
    plain = value_and_grad(model, theta, x, y, backend, method)
    np.testing.assert_allclose(found[:, -EXTRA:], plain[:, -EXTRA:], rtol=1e-14)
    if clip == np.inf:
        np.testing.assert_allclose(found, plain, rtol=1e-9, atol=1e-12)


def test_no_row_is_above_the_limit_however_large_or_small_it_is():
    generator = np.random.default_rng(1)
    scales = 10.0 ** np.linspace(-200, 200, 81)[:, None]
    gradients = generator.normal(size=(81, 7)) * scales
    gradients[3] = 0.0
    clipped = clip_rows(gradients, 0.3)
    assert (np.linalg.norm(clipped, axis=1) <= 0.3).all()
    assert clipped[3].tolist() == [0.0] * 7
    assert clipped[0].tobytes() == gradients[0].tobytes()  # below the limit: its bits
    large = clipped[scales[:, 0] > 10]
    np.testing.assert_allclose(np.linalg.norm(large, axis=1), 0.3, rtol=1e-9)
    assert np.isnan(clip_rows(np.array([[np.inf, 1.0], [0.1, 0.0]]), 1.0)[0]).any()


# ------------------------------------------------------------------------ the laws of any training

SAMPLINGS = ("poisson", "shuffle")


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("options", [{}, {"batch_size": 5}, {"accumulate": 2, "batch_size": 9}])
def test_any_number_of_workers_and_a_stop_end_with_the_bits_of_one(
    rows, tmp_path, sampling, options
):
    options = {**options, "privacy": {**SEEDED, "sampling": sampling}}
    one = _end(job := _job(tmp_path / "1", **options), _train(job, rows))
    three = _end(job := _job(tmp_path / "3", **options), _train(job, rows, 3))
    assert one == three
    job = _job(tmp_path / "resumed", **options)
    _train(job, rows, 2, stop_after=2)
    assert _end(job, _train(job, rows)) == one


def test_without_noise_and_clipping_it_is_plain_training_to_the_last_bit(rows, tmp_path):
    privacy = {"noise_multiplier": 0.0, "clip": "none", "sampling": "shuffle"}
    plain = _end(job := _job(tmp_path / "plain"), _train(job, rows))
    private = _end(job := _job(tmp_path / "private", privacy=privacy), _train(job, rows))
    assert private.theta == plain.theta
    assert private.epochs == plain.epochs


def test_a_large_norm_and_tiny_noise_is_nearly_plain_training(rows, tmp_path):
    privacy = {**SEEDED, "noise_multiplier": 1e-12, "clip": 1e3, "sampling": "shuffle"}
    plain = _end(job := _job(tmp_path / "plain"), _train(job, rows))
    private = _end(job := _job(tmp_path / "private", privacy=privacy), _train(job, rows))
    found, expected = np.frombuffer(private.theta), np.frombuffer(plain.theta)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert private.theta != plain.theta


def test_each_released_gradient_has_noise_of_the_stated_size(rows, tmp_path):
    """Σ clipped is within q·N·C of 0, so with C tiny beside σ·C what is released is the noise."""
    seen = []

    class Keep(Callback):
        def on_batch_end(self, run, batch) -> None:
            seen.append(batch.gradient)
            assert len(batch.blocks) == 0  # no gradient without noise reaches a callback
            assert np.isnan(batch.gradient_noise())

    options = {"privacy": {**SEEDED, "noise_multiplier": 1e4}, "batch_size": 20, "epochs": 20}
    job = _job(tmp_path, learning_rate=1e-9, **options)
    object.__setattr__(job, "callbacks", (Keep(),))
    _train(job, rows)
    spread = np.concatenate(seen).std()
    assert spread == pytest.approx(1e4 * 0.5 / 20, rel=0.1)


def test_steps_without_rows_are_taken_with_noise_alone(rows, tmp_path):
    few = rows._replace(x=rows.x[:6], y=rows.y[:6])
    job = _job(tmp_path, batch_size=1, epochs=4, privacy=SEEDED)
    sizes = []

    class Keep(Callback):
        def on_batch_end(self, run, batch) -> None:
            sizes.append(batch.n_rows)
            assert np.isnan(batch.loss) == (batch.n_rows == 0)
            assert batch.gradient.any()

    object.__setattr__(job, "callbacks", (Keep(),))
    assert _train(job, few).status == "finished"
    assert len(sizes) == 24
    assert 0 in sizes


# ------------------------------------------------------------------------------------ never above ε


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("workers", [0, 2])
def test_the_run_ends_before_the_step_that_would_spend_too_much(rows, tmp_path, sampling, workers):
    privacy = {"epsilon": 4.0, "delta": 1e-3, "noise_multiplier": 1.5, "sampling": sampling}
    job = _job(tmp_path, batch_size=8, epochs=40, privacy=privacy)
    outcome = _train(job, rows, workers)
    assert outcome.status == "finished"
    assert "would spend more than ε = 4" in outcome.reason
    end = _end(job, outcome)
    taken = end.epochs[-1]["step"]
    plan = PrivacyPlan.of(job.config, rows.n_rows)
    releases = taken if sampling == "poisson" else taken // plan.steps_per_epoch
    spent = plan.accountant.epsilon(plan.accountant.init(), 1e-3, releases)
    assert end.epochs[-1]["epsilon"] == spent <= 4.0
    assert plan.accountant.epsilon(plan.accountant.init(), 1e-3, releases + 1) > 4.0
    assert 0 < taken < 40 * plan.steps_per_epoch


def test_a_stop_and_a_resumed_run_spend_what_an_uninterrupted_one_does(rows, tmp_path):
    privacy = {"epsilon": 2.0, "delta": 1e-3, "noise_multiplier": 1.5}
    options = {"batch_size": 8, "epochs": 40, "privacy": privacy}
    whole = _end(job := _job(tmp_path / "whole", **options), _train(job, rows))
    job = _job(tmp_path / "parts", **options)
    outcome = _train(job, rows, stop_after=3)
    while outcome.status == "interrupted":
        outcome = _train(job, rows, stop_after=4)
    parts = _end(job, outcome)
    assert parts.epochs[-1]["epsilon"] == whole.epochs[-1]["epsilon"]
    assert parts.epochs[-1]["step"] == whole.epochs[-1]["step"]
    again = _train(job, rows)  # finished: nothing more is spent
    assert again.samples == 0
    assert _end(job, again).arrays == parts.arrays


def test_with_epsilon_alone_the_noise_fits_all_steps(rows, tmp_path):
    job = _job(tmp_path, batch_size=8, epochs=3, privacy={"epsilon": 2.0, "delta": 1e-3})
    end = _end(job, _train(job, rows))
    assert len(end.epochs) == 3
    assert 1.999 < end.epochs[-1]["epsilon"] <= 2.0
    assert [e["epsilon"] for e in end.epochs] == sorted(e["epsilon"] for e in end.epochs)


# ----------------------------------------------------------------------------------------- the key

SECRET = {"noise_multiplier": 0.8, "clip": 0.5}


def test_two_runs_of_one_seed_have_different_noise(rows, tmp_path):
    ends = [_end(job := _job(tmp_path / name, privacy=SECRET), _train(job, rows)) for name in "ab"]
    assert ends[0].theta != ends[1].theta


def test_steps_that_are_taken_again_have_the_same_noise(rows, tmp_path):
    """A crash loses the last checkpoint: the steps behind the one before give the same bits."""
    job = _job(tmp_path / "a", privacy=SECRET, checkpoints_kept=9)
    _train(job, rows, stop_after=3)
    key = (tmp_path / "a" / "privacy.key").read_bytes()
    first = {p.name: p.read_bytes() for p in (tmp_path / "a").rglob("arrays.npz")}
    latest, _ = latest_checkpoint(job.checkpoints)
    expected = latest.arrays["theta"].tobytes()
    step = int(latest.arrays["step"])
    (latest.path / "manifest.json").unlink()  # as if the crash had come before it was complete
    assert latest_checkpoint(job.checkpoints)[0].path != latest.path
    before = int(latest_checkpoint(job.checkpoints)[0].arrays["step"])
    _train(job, rows, stop_after=step - before)
    latest, _ = latest_checkpoint(job.checkpoints)
    assert int(latest.arrays["step"]) == step
    assert latest.arrays["theta"].tobytes() == expected
    assert (tmp_path / "a" / "privacy.key").read_bytes() == key
    assert first


def test_the_key_is_readable_by_its_owner_alone_and_gone_when_the_run_is_finished(rows, tmp_path):
    job = _job(tmp_path, privacy=SECRET)
    _train(job, rows, stop_after=2)
    key = tmp_path / "privacy.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    secret = key.read_bytes()
    for path in tmp_path.rglob("*"):
        if path.is_file() and path != key:
            assert secret not in path.read_bytes()
    _train(job, rows)
    assert not key.exists()
    found, _ = latest_checkpoint(job.checkpoints)
    assert not found.arrays["privacy.key_digest"].any()


@pytest.mark.parametrize("damage", ["gone", "another", "short"])
def test_a_run_without_its_key_is_not_resumed(rows, tmp_path, damage):
    job = _job(tmp_path, privacy=SECRET)
    _train(job, rows, stop_after=2)
    key = tmp_path / "privacy.key"
    key.unlink()
    if damage != "gone":
        key.write_bytes(os.urandom(32 if damage == "another" else 5))
    with pytest.raises(CheckpointError, match="taken twice with different noise"):
        _train(job, rows)


def test_a_finished_run_that_is_made_longer_gets_a_new_key_and_keeps_its_account(rows, tmp_path):
    job = _job(tmp_path, privacy=SECRET)
    short = _end(job, _train(job, rows))
    longer = _job(tmp_path, privacy=SECRET, epochs=5)
    end = _end(longer, _train(longer, rows))
    assert len(end.epochs) == 5
    assert end.epochs[2]["epsilon"] == short.epochs[-1]["epsilon"]
    accountant = PrivacyAccountant(sample_rate=40 / 61, noise_multiplier=0.8)
    assert end.epochs[-1]["epsilon"] == accountant.epsilon(accountant.init(), 1e-5, 10)


# ------------------------------------------------------------------------ what is said, and refused


def _dataset(n: int = 60, **options):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, 2))
    return DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int), **options)


def _trainer(tmp_path, privacy, **options) -> QuantumTrainer:
    config = TrainerConfig(epochs=2, batch_size=10, privacy=privacy, **options)
    track = TrackConfig(mlflow=False, figures=options.get("figures", False))
    return QuantumTrainer(ModelConfig(n_qubits=2, layers=1), config, name="r", storage=tmp_path,
                          track=track)  # fmt: skip


def test_a_run_says_what_may_be_claimed_of_it(tmp_path):
    result = _trainer(tmp_path, {"epsilon": 3.0, "delta": 1e-3}).fit(_dataset())
    said = result.privacy
    assert said == read_statement(result.run_dir)
    assert said.epsilon == result.metrics["epsilon"] <= 3.0
    steps = 2 * -(-said.rows // 10)
    assert (said.delta, said.limit, said.releases, said.clip) == (1e-3, 3.0, steps, 1.0)
    assert "add or remove" in said.neighbours
    assert "Poisson" in said.sampling
    text = " ".join(said.outside)
    for word in ("scaling", "hyperparameters", "early stopping", "val and test", "loss"):
        assert word in text
    assert json.loads((result.run_dir / "privacy.json").read_text())["epsilon"] == said.epsilon
    assert not (result.run_dir / "privacy.key").exists()


@pytest.mark.parametrize(
    ("privacy", "why"), [(SEEDED, "seed of the run"), ({"noise_multiplier": 0.0}, "no noise")]
)
def test_a_run_that_protects_nobody_claims_nothing(tmp_path, privacy, why):
    result = _trainer(tmp_path, privacy).fit(_dataset())
    assert result.privacy.epsilon is None
    assert why in result.privacy.why
    assert "epsilon" not in result.metrics
    assert not any("epsilon" in record for record in result.history)


@pytest.mark.slow  # it draws all figures
def test_the_report_has_the_claim_and_what_is_outside(tmp_path):
    trainer = _trainer(tmp_path, {"epsilon": 3.0, "delta": 1e-3})
    trainer.track = TrackConfig(mlflow=False, figures=True)
    result = trainer.fit(_dataset())
    page = (result.run_dir / "report.html").read_text()
    for text in ("Privacy", "ε = ", "δ = 0.001", "add or remove", "Poisson", "outside the claim"):
        assert text in page


REFUSED = [
    ({"optimizer": "spsa"}, "trainer.optimizer"),
    ({"batches": "balanced"}, "trainer.batches"),
    ({"class_weight": "balanced"}, "trainer.class_weight"),
]


@pytest.mark.parametrize(("options", "field"), REFUSED, ids=str)
def test_what_no_account_covers_is_refused_where_it_is_written(options, field):
    with pytest.raises(ConfigError) as error:
        TrainerConfig(privacy={"epsilon": 1.0}, **options)
    assert error.value.field == field.partition(".")[2]
    assert error.value.fix


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    trainer = _trainer(tmp_path, {"epsilon": 3.0, "delta": 1e-3}, accumulate=50)
    with pytest.raises(ConfigError, match="larger than the") as error:
        trainer.fit(_dataset())
    assert error.value.field == "trainer.batch_size"
    assert not (tmp_path / "r").exists()


def test_an_epsilon_that_the_first_step_exceeds_is_refused(tmp_path):
    privacy = {"epsilon": 0.1, "delta": 1e-3, "noise_multiplier": 0.5}
    with pytest.raises(ConfigError, match="the first step spends more"):
        _trainer(tmp_path, privacy).fit(_dataset())
    assert not (tmp_path / "r").exists()


def test_weights_of_rows_are_refused(tmp_path):
    dataset = _dataset()
    weight = np.arange(1, 1 + len(dataset.labels("train")))
    with pytest.raises(ConfigError, match="one row changes the gradient of every other"):
        _trainer(tmp_path, {"epsilon": 3.0, "delta": 1e-3}).fit(dataset, sample_weight=weight)


def test_copies_of_rows_are_refused(rows):
    config = TrainerConfig(privacy={"epsilon": 3.0}, batch_size=8)
    with pytest.raises(ConfigError, match="several rows of train"):
        check_privacy(config, rows, copies=True)


def test_a_delta_that_claims_nothing_is_warned_of(rows, caplog):
    config = TrainerConfig(privacy={"epsilon": 3.0, "delta": 0.5}, batch_size=8)
    check_privacy(config, rows, copies=False)
    assert "not below 1/61" in caplog.text
    caplog.clear()
    check_privacy(TrainerConfig(privacy={"epsilon": 3.0}, batch_size=8), rows, copies=False)
    assert caplog.text == ""


def test_streamed_rows_take_shuffled_batches_and_no_poisson_sampling(tmp_path):
    streamed = _dataset(stream=True)
    with pytest.raises(ConfigError, match="the rows are streamed") as error:
        _trainer(tmp_path, {"epsilon": 3.0, "delta": 1e-3}).fit(streamed)
    assert error.value.field == "trainer.privacy.sampling"
    privacy = {"epsilon": 30.0, "delta": 1e-3, "sampling": "shuffle"}
    result = _trainer(tmp_path, privacy).fit(streamed)
    assert result.privacy.epsilon <= 30.0
    assert "zero-out" in result.privacy.neighbours
    assert result.privacy.releases == 2


def test_the_plan_is_the_same_for_any_number_of_workers():
    plans = {
        PrivacyPlan.of(TrainerConfig(privacy={"epsilon": 3.0}, batch_size=8, num_workers=w), 61)
        for w in (0, 1, 2)
    }
    assert len({plan.noise_multiplier for plan in plans}) == 1


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_poisson_batch_is_computed_at_once_or_in_the_parts_that_were_asked_for(
    rows, tmp_path, monkeypatch, accumulate
):
    """A few rows above the expected ones are no batch of their own."""
    counts: list[int] = []
    usual = TrainingObjective.gradient

    def counted(self, theta, part, clip=None):
        counts.append(part.count)
        return usual(self, theta, part, clip)

    monkeypatch.setattr(TrainingObjective, "gradient", counted)
    job = _job(tmp_path, batch_size=10, accumulate=accumulate, epochs=4, privacy=SEEDED)
    _train(job, rows)
    steps = 4 * -(-61 // (10 * accumulate))
    assert len(counts) <= accumulate * steps
    assert max(counts) > 10


@pytest.mark.parametrize("scale", [1e-90, 1.0, 1e90])
def test_the_largest_part_of_a_row_is_the_limit_whatever_the_scale(rows, scale):
    """The head's part of a norm is found without writing out its gradient."""
    model = build_model(
        ModelConfig(n_qubits=4, layers=1, input_scaling=True), n_features=4, n_classes=3
    )
    backend = TrainerConfig().open_backend()
    theta = np.random.default_rng(2).normal(size=model.n_parameters)
    for row in range(5):
        some = slice(row, row + 1)
        found = value_and_grad(
            model, theta, rows.x[some], rows.y[some], backend, get_gradient("auto", backend),
            weight=np.array([scale]), clip=1e-3 * scale,
        )  # fmt: skip
        norm = np.linalg.norm(found[:, :-EXTRA].sum(axis=0) / scale)
        assert norm <= 1e-3
        assert norm == pytest.approx(1e-3, rel=1e-9)
