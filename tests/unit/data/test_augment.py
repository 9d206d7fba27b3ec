"""Augmentation: every step against the laws, and against limits that are known in advance."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray import DatasetLoader
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.data.augment.base import Keys
from qstore_ray.data.augment.classical import GaussianNoise, ScaleJitter
from qstore_ray.data.augment.config import AUGMENTATIONS, PipelineConfig
from qstore_ray.data.augment.images import (
    Brightness,
    Contrast,
    Cutout,
    GaussianBlur,
    HorizontalFlip,
    Rotate,
    Shift,
    VerticalFlip,
)
from qstore_ray.data.augment.mixup import Mixup
from qstore_ray.data.augment.pipeline import AugmentationPipeline, augment_split
from qstore_ray.data.augment.quantum import AmplitudeNoise, AngleJitter, Depolarizing, PhaseNoise
from qstore_ray.errors import ConfigError, DataError, UnknownNameError, UsageError
from qstore_ray.simulate import reference

SHAPE = (4, 4)
MEMBERS = [
    AmplitudeNoise(),
    AngleJitter(),
    Brightness(),
    Brightness(delta=0.5, limits=(0.0, 1.0)),
    Contrast(),
    Cutout(),
    Cutout(size=3, fill=-1.0),
    Depolarizing(p=0.3),
    Depolarizing(p=0.3, encoding="amplitude"),
    GaussianBlur(),
    GaussianNoise(),
    HorizontalFlip(),
    PhaseNoise(std=1.0),
    PhaseNoise(std=1.0, encoding="amplitude"),
    Rotate(degrees=45.0),
    ScaleJitter(),
    ScaleJitter(per="feature"),
    Shift(),
    VerticalFlip(),
]
every_step = pytest.mark.parametrize(
    "step", MEMBERS, ids=[f"{i}-{step.name}" for i, step in enumerate(MEMBERS)]
)
Z = Observable((PauliTerm(x=0, z=1, coefficient=1.0),))
X = Observable((PauliTerm(x=1, z=0, coefficient=1.0),))
MANY = 20_000


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(5).normal(1.0, 2.0, size=(40, 16))


def _keys(n_rows: int, *, seed: int = 3, epoch: int = 0) -> Keys:
    return Keys(seed, epoch, np.arange(n_rows))


def _always(step):
    return step.model_copy(update={"probability": 1.0})


def _with(step, probability: float):
    return step.model_copy(update={"probability": probability})


def test_every_registered_step_is_a_member():
    assert {step.name for step in MEMBERS} == set(AUGMENTATIONS)
    assert all(type(step) is AUGMENTATIONS[step.name] for step in MEMBERS)


@every_step
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_shape_and_type_are_kept_and_the_rows_given_are_not_touched(step, dtype, x):
    given_rows = x.astype(dtype)
    before = given_rows.copy()
    out = _always(step).apply(given_rows, _keys(len(x)), SHAPE)
    assert (out.shape, out.dtype) == (x.shape, np.dtype(dtype))
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(given_rows, before)


@every_step
def test_probability_0_changes_no_bit_and_probability_1_changes_rows(step, x):
    keys = _keys(len(x))
    assert _with(step, 0.0).apply(x, keys, SHAPE).tobytes() == x.tobytes()
    out = _always(step).apply(x, keys, SHAPE)
    assert (out != x).any(axis=1).mean() > 0.5


@every_step
def test_probability_is_that_of_a_sample(step):
    x = np.random.default_rng(1).normal(size=(2000, 16))
    keys = _keys(len(x))
    half, always = (_with(step, p).apply(x, keys, SHAPE) for p in (0.5, 1.0))
    kept = (half == x).all(axis=1)
    assert ((half == always).all(axis=1) | kept).all()
    moved = (always != x).any(axis=1)
    assert abs((moved & ~kept).sum() / moved.sum() - 0.5) < 0.06  # 5 standard deviations


@every_step
@settings(max_examples=10)
@given(order=st.permutations(range(9)), cut=st.integers(0, 9))
def test_a_row_becomes_the_same_in_any_batch(step, order, cut):
    x = np.random.default_rng(2).normal(size=(9, 16))
    rows = np.arange(9) + 100
    whole = step.apply(x, Keys(7, 2, rows), SHAPE)
    parts = [np.array(order[:cut], dtype=int), np.array(order[cut:], dtype=int)]
    for part in (*parts, *([i] for i in range(9))):
        out = step.apply(x[part], Keys(7, 2, rows[part]), SHAPE)
        assert out.tobytes() == whole[part].tobytes()


@every_step
def test_the_draws_repeat_and_differ_by_seed_epoch_row_and_position(step, x):
    step = _always(step)
    first = step.apply(x, _keys(len(x)), SHAPE)
    assert step.apply(x, _keys(len(x)), SHAPE).tobytes() == first.tobytes()
    if step.name.endswith("flip"):  # all or nothing: only whether it happens is drawn
        step = _with(step, 0.5)
        first = step.apply(x, _keys(len(x)), SHAPE)
    others = [
        Keys(4, 0, np.arange(len(x))),
        Keys(3, 1, np.arange(len(x))),
        Keys(3, 0, np.arange(len(x)) + 1),
        Keys(3, 0, np.arange(len(x)), step=1),
    ]
    for keys in others:
        assert step.apply(x, keys, SHAPE).tobytes() != first.tobytes()


@every_step
def test_no_rows_come_out_as_no_rows(step):
    assert step.apply(np.zeros((0, 16)), _keys(0), SHAPE).shape == (0, 16)


@every_step
def test_a_step_is_written_and_read_back(step):
    assert AUGMENTATIONS[step.name].from_dict(step.to_dict()) == step


def test_words_of_a_key_are_those_that_numpy_promises():
    """Written down once: a seed means the same rows on every machine and for good."""
    draws = Keys(7, 1, np.array([4999]), step=2).uniform(2)
    words = np.random.Philox(key=[7, 1], counter=[0, 0, 4999, 2]).random_raw(2)
    np.testing.assert_array_equal(draws[0], ((words >> np.uint64(12)) + 0.5) / 2**52)
    np.testing.assert_array_equal(Keys(0, 0, np.array([0])).uniform(1), [[GOLDEN]])


GOLDEN = 0.011546754286331562


def test_draws_have_the_distribution_they_are_said_to_have():
    keys = _keys(MANY)
    uniform, normal = keys.uniform(2), keys.normal(2)
    assert uniform.min() > 0.0
    assert uniform.max() < 1.0
    np.testing.assert_allclose(uniform.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(uniform.var(axis=0), 1 / 12, atol=0.003)
    np.testing.assert_allclose(normal.mean(axis=0), 0.0, atol=0.035)
    np.testing.assert_allclose(normal.var(axis=0), 1.0, atol=0.05)
    assert abs(np.corrcoef(normal.T)[0, 1]) < 0.035


# ------------------------------------------------------------------------------------- images


def test_flips_mirror_and_two_flips_are_none(x):
    keys = _keys(len(x))
    images = x.reshape(-1, 4, 2, 2)
    for step, axis in ((VerticalFlip(probability=1.0), 1), (HorizontalFlip(probability=1.0), 2)):
        out = step.apply(x, keys, (4, 2, 2))
        np.testing.assert_array_equal(out.reshape(images.shape), np.flip(images, axis))
        np.testing.assert_array_equal(step.apply(out, keys, (4, 2, 2)), x)


def test_rotation_by_a_right_angle_is_that_of_numpy(x):
    class Right(Keys):
        def uniform(self, count):
            return np.full((len(self), count), 0.75)

    turned = Rotate(degrees=180.0).change(x, Right(0, 0, np.arange(len(x))), SHAPE)
    expected = np.rot90(x.reshape(-1, 4, 4), axes=(1, 2)).reshape(x.shape)
    np.testing.assert_allclose(turned, expected, atol=1e-12)


def test_rotation_turns_both_ways_and_fills_what_comes_into_view():
    x = np.ones((200, 36))
    out = Rotate(degrees=30.0, fill=-5.0, probability=1.0).apply(x, _keys(200), (6, 6))
    assert (out[:, 0] < 1.0).mean() > 0.9
    np.testing.assert_allclose(out.reshape(-1, 6, 6)[:, 2:4, 2:4], 1.0)


@given(pixels=st.integers(1, 6))
def test_a_shift_moves_whole_pixels_and_fills_the_rest(pixels):
    images = np.arange(1.0, 17.0).reshape(1, 16).repeat(50, axis=0)
    out = Shift(pixels=pixels, fill=-1.0, probability=1.0).apply(images, _keys(50), SHAPE)
    wide = np.full((4 + 2 * pixels, 4 + 2 * pixels), -1.0)
    wide[pixels : pixels + 4, pixels : pixels + 4] = images[0].reshape(SHAPE)
    moves = range(2 * pixels + 1)
    possible = {wide[i : i + 4, j : j + 4].tobytes() for i in moves for j in moves}
    assert {image.reshape(SHAPE).tobytes() for image in out} <= possible
    assert len({image.tobytes() for image in out}) > 1


def test_blur_keeps_the_mean_and_a_constant_image_and_lowers_the_variance(x):
    blur = GaussianBlur(sigma=1.0, probability=1.0)
    out = blur.apply(x, _keys(len(x)), SHAPE)
    np.testing.assert_allclose(out.mean(axis=1), x.mean(axis=1))
    assert (out.var(axis=1) <= x.var(axis=1) + 1e-12).all()
    np.testing.assert_allclose(blur.apply(np.full((3, 16), 2.5), _keys(3), SHAPE), 2.5)


def test_channels_are_blurred_apart():
    x = np.zeros((5, 4, 4, 2))
    x[..., 0] = np.random.default_rng(0).normal(size=(5, 4, 4))
    blur = GaussianBlur(sigma=2.0, probability=1.0)
    out = blur.apply(x.reshape(5, -1), _keys(5), (4, 4, 2)).reshape(x.shape)
    assert (out[..., 1] == 0.0).all()
    alone = blur.apply(x[..., 0].reshape(5, -1), _keys(5), SHAPE).reshape(5, 4, 4)
    np.testing.assert_allclose(out[..., 0], alone)


def test_brightness_adds_one_number_and_contrast_keeps_the_mean(x):
    keys = _keys(len(x))
    moved = Brightness(delta=0.3, probability=1.0).apply(x, keys, SHAPE) - x
    assert np.ptp(moved, axis=1).max() < 1e-12
    assert np.abs(moved).max() <= 0.3 + 1e-12
    out = Contrast(delta=0.5, probability=1.0).apply(x, keys, SHAPE)
    np.testing.assert_allclose(out.mean(axis=1), x.mean(axis=1))
    ratio = out.std(axis=1) / x.std(axis=1)
    assert ratio.min() >= 0.5
    assert ratio.max() <= 1.5


@pytest.mark.parametrize("step", [Brightness, Contrast, GaussianNoise])
def test_limits_are_kept(step, x):
    inside = np.clip(x, 0.0, 1.0)
    out = step(limits=(0.0, 1.0), probability=1.0).apply(inside, _keys(len(x)), SHAPE)
    assert out.min() >= 0.0
    assert out.max() <= 1.0


def test_cutout_cuts_a_square_somewhere_and_at_every_place():
    x = np.ones((500, 36))
    holes = 1.0 - Cutout(size=3, probability=1.0).apply(x, _keys(500), (6, 6)).reshape(-1, 6, 6)
    sides = {(int(h.any(axis=1).sum()), int(h.any(axis=0).sum())) for h in holes}
    assert sides == {(2, 2), (2, 3), (3, 2), (3, 3)}
    np.testing.assert_array_equal(
        holes.sum(axis=(1, 2)), holes.any(axis=1).sum(axis=1) * holes.any(axis=2).sum(axis=1)
    )
    assert (holes.sum(axis=0) > 0).all()


# ------------------------------------------------------------------------------------ quantum


def _mean(rows: np.ndarray, observable: Observable) -> float:
    """The mean of ⟨O⟩ over RY(θ)|0⟩, with the obvious simulator, one run a distinct angle."""
    template = Template(1, (Op("ry", (0,), (row(0),)),), n_rows=1)
    angles, counts = np.unique(rows, return_counts=True)
    values = reference.expectations(template, (observable,), angles[:, None], np.zeros(0))[:, 0]
    return float((values * counts).sum() / counts.sum())


@pytest.mark.parametrize("p", [0.1, 0.6, 0.75, 1.0])
def test_depolarizing_shrinks_every_expectation_by_1_minus_4p_over_3(p: float):
    theta = np.full((MANY, 1), 0.8)
    out = Depolarizing(p=p).apply(theta, _keys(MANY))
    for observable, value in ((Z, math.cos(0.8)), (X, math.sin(0.8))):
        assert _mean(out, observable) == pytest.approx((1 - 4 * p / 3) * value, abs=0.03)


@pytest.mark.parametrize("std", [0.2, 1.0, 20.0])
def test_phase_noise_keeps_z_and_shrinks_x_as_random_phases_do(std: float):
    theta = np.full((MANY, 1), 0.8)
    out = PhaseNoise(std=std).apply(theta, _keys(MANY))
    phases = np.random.default_rng(0).normal(0.0, std, MANY)
    assert _mean(out, Z) == pytest.approx(math.cos(0.8), abs=1e-12)
    assert _mean(out, X) == pytest.approx(np.cos(phases).mean() * math.sin(0.8), abs=0.03)


def test_angle_jitter_shrinks_z_by_the_exponential_of_half_its_variance():
    out = AngleJitter(std=0.7, probability=1.0).apply(np.full((2000, 1), 0.8), _keys(2000))
    assert _mean(out, Z) == pytest.approx(math.exp(-(0.7**2) / 2) * math.cos(0.8), abs=0.06)


@pytest.mark.parametrize("step", [Depolarizing(p=0.9), PhaseNoise(std=1.5)])
def test_on_amplitudes_a_step_does_what_it_does_on_angles(step):
    """A product state of two qubits, encoded both ways, gives the same state up to a phase."""
    angles = np.tile([0.5, 1.9], (64, 1))
    template = Template(2, tuple(Op("ry", (i,), (row(i),)) for i in range(2)), n_rows=2)

    def state(rows):
        return reference.states(template, rows, np.zeros(0)).real

    by_angle = state(step.apply(angles, _keys(64)))
    on_amplitudes = step.model_copy(update={"encoding": "amplitude"})
    by_amplitude = on_amplitudes.apply(state(angles), _keys(64))
    overlap = np.abs((by_angle * by_amplitude).sum(axis=1))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-12)
    assert len(np.unique(by_amplitude.round(9), axis=0)) > 3


def test_phase_noise_takes_any_number_of_amplitudes_and_depolarizing_a_power_of_two(x):
    three = x[:, :3]
    out = PhaseNoise(std=9.0, encoding="amplitude").apply(three, _keys(len(x)))
    np.testing.assert_array_equal(np.abs(out), np.abs(three))
    with pytest.raises(DataError) as caught:
        Depolarizing(encoding="amplitude").apply(three, _keys(len(x)))
    assert caught.value.value == 3
    assert "4 features" in caught.value.fix


@given(scale=st.sampled_from([1e-200, 1e-3, 1.0, 1e200]), std=st.sampled_from([0.0, 0.01, 3.0]))
def test_amplitude_noise_keeps_the_norm_and_a_row_of_zeros(scale, std):
    x = scale * np.random.default_rng(0).normal(size=(5, 8))
    x[2] = 0.0
    out = AmplitudeNoise(std=std, probability=1.0).apply(x, _keys(5))
    np.testing.assert_allclose(
        np.linalg.norm(out / scale, axis=1), np.linalg.norm(x / scale, axis=1)
    )
    assert (out[2] == 0.0).all()


# -------------------------------------------------------------------------------------- mixup


def test_mixup_blends_rows_and_labels_alike_and_not_by_the_batch():
    generator = np.random.default_rng(0)
    x, classes = generator.normal(size=(30, 4)), np.eye(3)[generator.integers(0, 3, 30)]
    # The classes as further features: they must be blended as the labels are.
    joined = np.concatenate([x, classes], axis=1)
    keys = _keys(30)
    step = Mixup(alpha=1.0, probability=1.0)
    mixed = step.mix(joined, classes, keys, joined, classes)
    np.testing.assert_allclose(mixed.x[:, 4:], mixed.y)
    np.testing.assert_allclose(mixed.y.sum(axis=1), 1.0)
    assert (mixed.x != joined).any(axis=1).mean() > 0.9
    for i in range(30):
        alone = step.mix(joined[[i]], classes[[i]], Keys(3, 0, np.array([i])), joined, classes)
        np.testing.assert_array_equal(alone.x[0], mixed.x[i])
    kept = Mixup(probability=0.0).mix(joined, classes, keys, joined, classes)
    assert kept.x.tobytes() == joined.tobytes()


def test_mixup_shares_are_beta_distributed():
    n = 5000
    ones, zeros = np.ones((n, 1)), np.zeros((1, 1))
    share = Mixup(alpha=0.4, probability=1.0).mix(ones, ones, _keys(n), zeros, zeros).x
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.var() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.01)


def test_mixup_refuses_class_numbers_and_an_empty_pool():
    x, y = np.zeros((2, 3)), np.eye(2)
    with pytest.raises(DataError, match="weights of the classes") as caught:
        Mixup().mix(x, np.array([0, 1]), _keys(2), x, y)
    assert "one-hot" in caught.value.fix
    with pytest.raises(DataError, match="0 rows"):
        Mixup().mix(x, y, _keys(2), x[:0], y[:0])


# ----------------------------------------------------------------------------------- pipeline

HYBRID = {
    "seed": 7,
    "steps": [
        {"name": "shift", "pixels": 1},
        {"name": "gaussian_noise", "std": 0.1},
        {"name": "gaussian_noise", "std": 0.1},
        {"name": "depolarizing", "p": 0.1},
    ],
}


def _hybrid() -> AugmentationPipeline:
    return AugmentationPipeline.from_config(PipelineConfig.from_dict(HYBRID))


def test_a_pipeline_is_its_steps_in_order_each_with_draws_of_its_own(x):
    pipeline, rows = _hybrid(), np.arange(len(x))
    expected = x
    for position, step in enumerate(pipeline.steps):
        expected = step.apply(expected, Keys(7, 3, rows, step=position), SHAPE)
    assert pipeline.apply(x, rows, 3, SHAPE).tobytes() == expected.tobytes()
    assert pipeline.apply(x, rows, 4, SHAPE).tobytes() != expected.tobytes()
    assert AugmentationPipeline(()).apply(x, rows, 0).tobytes() == x.tobytes()


def test_a_pipeline_configuration_is_read_back_unchanged():
    config = PipelineConfig.from_dict(HYBRID)
    assert PipelineConfig.from_dict(config.to_dict()) == config
    assert config.to_dict()["steps"][3] == {
        "name": "depolarizing", "probability": 1.0, "p": 0.1, "encoding": "angle"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "field", "fix"),
    [
        ([{"name": "rotat"}], "steps.0.name", "Did you mean 'rotate'?"),
        ([{"name": "rotate", "degree": 3}], "steps.0.degree", "'degrees'"),
        ([{"name": "shift"}, {"name": "rotate", "degrees": 0}], "steps.1.degrees", "above 0"),
        ([{"name": "rotate", "probability": 1.5}], "steps.0.probability", "1.0 or less"),
        ([{"name": "brightness", "limits": [1, 0]}], "steps.0.limits", ""),
        ([{"degrees": 3}], "steps.0", "rotate"),
        ("rotate", "steps", "gaussian_noise"),
        ([], "steps", ""),
    ],
)
def test_a_wrong_step_is_named_by_its_place(steps, field, fix):
    with pytest.raises(ConfigError) as caught:
        PipelineConfig(steps=steps)
    assert caught.value.field == field
    assert fix in caught.value.fix


def test_expanding_sets_copies_beside_the_originals(x):
    y = np.arange(len(x)) % 3
    rows = 2 * np.arange(len(x))
    more = _hybrid().expand(x, y, rows, 2, SHAPE)
    assert more.counts == {"original": 40, "copies": 80, "total": 120}
    assert more.x[:40].tobytes() == x.tobytes()
    for copy in (1, 2):
        here = more.copy == copy
        assert more.x[here].tobytes() == _hybrid().apply(x, rows, copy, SHAPE).tobytes()
        np.testing.assert_array_equal(more.row[here], rows)
        np.testing.assert_array_equal(more.y[here], y)
    assert _hybrid().expand(x, y, rows, 0, SHAPE).x.tobytes() == x.tobytes()
    with pytest.raises(ConfigError) as caught:
        _hybrid().expand(x, y, rows, -1, SHAPE)
    assert (caught.value.field, caught.value.value) == ("copies", -1)


def test_only_train_is_augmented():
    pixels = np.random.default_rng(0).random((50, 8, 8))
    dataset = DatasetLoader.from_arrays(pixels, np.arange(50) % 2)
    train = dataset.materialize("train")
    more = augment_split(dataset, "train", _hybrid(), copies=1, shape=(8, 8))
    assert more.counts["original"] == more.counts["copies"] == dataset.sizes["train"]
    assert more.x[: len(train.x)].tobytes() == train.x.tobytes()
    assert set(more.row.tolist()).isdisjoint(dataset.rows("test").tolist())
    with pytest.raises(UsageError, match="only train") as caught:
        augment_split(dataset, "test", _hybrid(), shape=(8, 8))
    assert (caught.value.field, caught.value.value) == ("split", "test")
    assert 'split="train"' in caught.value.fix
    with pytest.raises(UnknownNameError):
        augment_split(dataset, "trian", _hybrid(), shape=(8, 8))


@pytest.mark.parametrize(("shape", "said"), [(None, "needs to know"), ((8, 8), "no images")])
def test_an_image_step_needs_the_shape_of_the_images(shape, said, x):
    with pytest.raises(ConfigError, match=said) as caught:
        Rotate().apply(x, _keys(len(x)), shape)
    assert caught.value.field == "shape"
    assert "height, width" in caught.value.fix


@pytest.mark.parametrize(
    ("rows", "x"),
    [
        (np.arange(3), np.zeros((2, 4))),
        (np.array([-1, 0]), np.zeros((2, 4))),
        (np.array([0.5, 1.0]), np.zeros((2, 4))),
        (np.arange(2), np.zeros((2, 4), dtype=np.int64)),
        (np.arange(2), np.zeros((2, 2, 2))),
    ],
    ids=["too many", "negative", "fractional", "integers", "not flat"],
)
def test_rows_and_numbers_that_do_not_fit_are_refused(rows, x):
    with pytest.raises(DataError) as caught:
        AugmentationPipeline((GaussianNoise(),)).apply(x, rows, 0)
    assert caught.value.field in {"rows", "x"}


def test_a_negative_epoch_is_refused():
    with pytest.raises(ConfigError) as caught:
        AugmentationPipeline((GaussianNoise(),)).apply(np.zeros((1, 2)), [0], -1)
    assert (caught.value.field, caught.value.value) == ("epoch", -1)


def test_a_step_that_overflows_is_reported_with_row_and_place():
    x = np.array([[1.0], [1.7e308]])
    pipeline = AugmentationPipeline((AngleJitter(), ScaleJitter(std=0.5, probability=1.0)))
    with pytest.raises(DataError, match="not finite") as caught:
        pipeline.expand(x, [0, 1], [4, 9], copies=20)
    assert caught.value.field == "augmentation.steps.1.scale_jitter"
    assert caught.value.value == "row 9"


def test_the_configuration_is_imported_without_numpy(repository):
    code = "import sys, qstore_ray.data.augment.config; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True)
