"""Landscape and boundary: exact values on the plane, bounded cost, the plane that is claimed."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends import open_backend
from qstore_ray.errors import ConfigError, DataError
from qstore_ray.figures import boundary, landscape
from qstore_ray.figures.boundary import MOST_CLASSES, Plane, boundary_figure
from qstore_ray.figures.landscape import MOST_ROWS, POINTS, landscape_figure
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model

RNG = np.random.default_rng(0)
X = RNG.uniform(0.0, np.pi, (40, 3))
Y = RNG.integers(0, 3, 40)
MODEL = build_model(
    ModelConfig(n_qubits=3, layers=1, input_scaling=True), n_features=3, n_classes=3
)
THETA = MODEL.initial(1)


def _loss(theta: np.ndarray, x: np.ndarray = X, y: np.ndarray = Y) -> float:
    loss, count, _ = step.evaluate(MODEL, theta, x, y, open_backend("statevector", {})).sum(axis=0)
    return float(loss / count)


def test_the_middle_of_the_landscape_is_the_loss_of_the_model():
    found = landscape.landscape(MODEL, THETA, X, Y, points=5)
    assert found.losses[2, 2] == _loss(THETA)
    assert found.reach.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_points_of_the_landscape_lie_along_the_directions():
    first, second = landscape._directions(MODEL, THETA, np.random.default_rng([7, 0x1A2D]))
    found = landscape.landscape(MODEL, THETA, X, Y, points=3, seed=7, reach=0.3)
    assert found.losses[0, 2] == pytest.approx(_loss(THETA + 0.3 * first - 0.3 * second), rel=1e-12)
    assert found.losses[1, 2] == pytest.approx(_loss(THETA + 0.3 * first), rel=1e-12)


def test_directions_are_orthogonal_and_as_long_as_said():
    first, second = landscape._directions(MODEL, THETA, np.random.default_rng(0))
    assert first @ second == pytest.approx(0.0, abs=1e-12)
    one, trained = MODEL.split(first), MODEL.split(THETA)
    assert np.sqrt(np.mean(one.circuit**2)) == pytest.approx(1.0)
    assert np.linalg.norm(one.input_scale) == pytest.approx(np.linalg.norm(trained.input_scale))
    lengths = np.linalg.norm(one.weights, axis=0)
    assert lengths == pytest.approx(np.linalg.norm(trained.weights, axis=0))


def test_a_seed_gives_the_same_landscape():
    seeds = [
        landscape.landscape(MODEL, THETA, X, Y, points=3, seed=seed).losses for seed in (1, 1, 2)
    ]
    assert seeds[0].tolist() == seeds[1].tolist() != seeds[2].tolist()


def test_the_cost_of_a_landscape_is_bounded(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    evaluate = step.evaluate
    monkeypatch.setattr(
        step, "evaluate", lambda m, t, x, y, b: asked.append(len(x)) or evaluate(m, t, x, y, b)
    )
    many = np.tile(X, (10, 1)), np.tile(Y, 10)
    found = landscape.landscape(MODEL, THETA, *many, points=3)
    assert asked == [MOST_ROWS] * 9
    assert (found.n_rows, found.n_circuits) == (MOST_ROWS, 9 * MOST_ROWS)
    assert POINTS**2 * MOST_ROWS < 60_000
    text = landscape_figure(found).axes[0].texts[-1].get_text()
    assert f"seed 0; {MOST_ROWS} rows, 1,152 circuits" in text


@pytest.mark.parametrize("points", [1, 4, POINTS + 2])
def test_other_grids_are_refused(points: int):
    with pytest.raises(ConfigError) as caught:
        landscape.landscape(MODEL, THETA, X, Y, points=points)
    assert (caught.value.field, caught.value.value) == ("points", points)
    assert str(POINTS) in caught.value.fix


def test_a_landscape_needs_rows():
    with pytest.raises(DataError) as caught:
        landscape.landscape(MODEL, THETA, X[:0], Y[:0])
    assert caught.value.field == "x"


def test_a_flat_landscape_is_drawn_without_contours():
    flat = landscape.Landscape(np.linspace(-1, 1, 3), np.ones((3, 3)), 5, 45, 0)
    figure = landscape_figure(flat)
    figure.canvas.draw()
    assert len(figure.axes[0].collections) == 1


def test_the_plane_of_two_features_is_those_features():
    x = RNG.normal(size=(9, 2))
    plane = Plane.of(x)
    assert plane.explained is None
    u, v = plane.coordinates(x)
    assert np.array_equal(plane.points(u, v), x)


def test_the_plane_of_more_features_is_that_of_their_principal_components():
    from sklearn.decomposition import PCA

    x = RNG.normal(size=(50, 4)) * [3.0, 2.0, 1.0, 0.5]
    plane, known = Plane.of(x), PCA(2).fit(x)
    assert plane.explained == pytest.approx(tuple(known.explained_variance_ratio_))
    got = np.abs(np.array([plane.first, plane.second]) @ known.components_.T)
    assert got == pytest.approx(np.eye(2), abs=1e-9)
    assert plane.points(np.zeros(1), np.zeros(1))[0] == pytest.approx(x.mean(axis=0))


def test_the_boundary_is_what_the_model_says_there():
    figure = boundary_figure(MODEL, THETA, X, Y, ["a", "b", "c"], split="val")
    axes = figure.axes[0]
    ground = np.asarray(axes.collections[0].get_array()).ravel()
    assert ground.shape == (boundary.POINTS**2,)
    plane = Plane.of(X)
    u, v = (boundary._axis(part) for part in plane.coordinates(X))
    corner = plane.points(u[:1], v[:1])
    assert ground[0] == boundary._predicted(MODEL, THETA, corner)[0]
    said = axes.texts[-1].get_text()
    assert said == (
        "first two principal components of 3 features, the others at their mean; 40 rows of val"
    )


def test_wrong_answers_have_a_ring():
    predicted = boundary._predicted(MODEL, THETA, X)
    y = predicted.copy()
    y[:4] = (y[:4] + 1) % 3
    axes = boundary_figure(MODEL, THETA, X, y, ["a", "b", "c"]).axes[0]
    rings = [c for c in axes.collections if c.get_label() == "wrong"]
    assert [len(ring.get_offsets()) for ring in rings] == [4]


def test_a_regression_shows_values():
    model = build_model(ModelConfig(n_qubits=2, layers=1), n_features=2, n_classes=None)
    figure = boundary_figure(model, model.initial(0), X[:, :2], X[:, 2])
    assert figure.axes[0].get_title(loc="left") == "Predicted values"
    assert figure.axes[0].texts[-1].get_text() == "both features; 40 rows of test"


@pytest.mark.parametrize(
    ("x", "classes", "error", "field"),
    [
        (X[:, :1], ["a", "b"], ConfigError, "features"),
        (X, [str(k) for k in range(MOST_CLASSES + 1)], ConfigError, "classes"),
        (X[:2], ["a", "b"], DataError, "rows"),
    ],
)
def test_what_has_no_boundary_is_refused(x, classes, error, field: str):
    with pytest.raises(error) as caught:
        boundary_figure(MODEL, THETA, x, Y[: len(x)], classes)
    assert caught.value.field == field
