"""Quantum kernels in a support vector machine: python examples/quantum_kernel.py

Benign or malignant: 569 biopsies, which come with scikit-learn, reduced to six features. Three
kernels are compared on the same rows: the fidelity of two states, the distance of their one-qubit
parts (projected), and the Gaussian (RBF). The scale of the features and the machine's C are chosen
for each kernel alike, by cross-validation within the training rows. Expect no advantage: on these
data the Gaussian kernel is as good, and needs no simulation.
"""

import argparse
import time
from collections.abc import Callable
from statistics import mean, stdev

import numpy as np
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from qstore_ray import (
    Circuit,
    DatasetConfig,
    DatasetLoader,
    FidelityKernel,
    ProjectedKernel,
    gram_matrix,
)
from qstore_ray.circuits.library.library import ENCODINGS
from qstore_ray.data.read.plan import Arrays

FEATURES = 6
SCALES = (0.1, 0.3, 1.0)  # of the standardised features: radians a standard deviation
PENALTIES = (1.0, 10.0, 100.0)  # C

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--seeds", type=int, default=3, help="random splits (%(default)s)")
parser.add_argument("--workers", type=int, default=0, help="Ray tasks for the kernels; 0: none")
options = parser.parse_args()

encoded = ENCODINGS["iqp"](FEATURES, FEATURES)
circuit = Circuit(encoded.template, FEATURES, "iqp", encoded.encode)
fidelity, projected = FidelityKernel(circuit), ProjectedKernel(circuit)
KERNELS = {
    "fidelity": lambda x, y=None: gram_matrix(fidelity, x, y, num_workers=options.workers),
    "projected": lambda x, y=None: gram_matrix(projected, x, y, num_workers=options.workers),
    "RBF": rbf_kernel,
}


def split(seed: int) -> tuple[Arrays, Arrays]:
    """398 rows to train on and 171 to test on, standardised and reduced by what train says."""
    data = DatasetLoader.load(
        DatasetConfig(
            name="breast_cancer",
            params={"dataset": "breast_cancer"},
            split={"train": 0.7, "test": 0.3},
            preprocessing=[
                {"name": "standard"},
                {"name": "pca", "components": FEATURES},
                {"name": "standard"},
            ],
            seed=seed,
        )
    )
    return data.materialize("train"), data.materialize("test")


def score(kernel: Callable[..., np.ndarray], train: Arrays, test: Arrays) -> float:
    """Accuracy on the test rows of the machine that does best within the training rows."""
    best = (0.0, SCALES[0], PENALTIES[0])
    for scale in SCALES:
        matrix = kernel(scale * train.x)
        for penalty in PENALTIES:
            machine = SVC(kernel="precomputed", C=penalty)
            found = float(cross_val_score(machine, matrix, train.y, cv=3).mean())
            best = max(best, (found, scale, penalty), key=lambda entry: entry[0])
    _, scale, penalty = best
    machine = SVC(kernel="precomputed", C=penalty).fit(kernel(scale * train.x), train.y)
    return machine.score(kernel(scale * test.x, scale * train.x), test.y)


splits = [split(seed) for seed in range(options.seeds)]
print(f"{'kernel':10} accuracy over {options.seeds} splits    seconds")
accuracies = {}
for name, kernel in KERNELS.items():
    began = time.perf_counter()
    scores = [score(kernel, train, test) for train, test in splits]
    seconds = time.perf_counter() - began
    accuracies[name] = mean(scores)
    spread = f" ± {stdev(scores):.3f}" if len(scores) > 1 else ""
    print(f"{name:10} {mean(scores):.3f}{spread:27} {seconds:8.2f}")
print(f"test accuracy {accuracies['fidelity']:.3f}")
