"""Models with parameters, made without training: what is tested is what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import STEPS
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.provenance import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qstore_ray.data.inputs.signature import Signature
    from qstore_ray.types import FloatArray

N = 3
WIDTH = {"dense_angle": 5, "amplitude": 7, "hamiltonian": N - 1}
"""Features of a row for N qubits, where they are not N."""


def rows(n_rows: int, n_features: int, seed: int = 0) -> FloatArray:
    """Rows (B, F) of zeros and ones plus noise below ½."""
    rng = np.random.default_rng(seed)
    shape = (n_rows, n_features)
    return rng.integers(0, 2, shape) + rng.uniform(-0.4, 0.4, shape)


def made(
    *,
    classes: Sequence[Any] = ("cat", "dog", "Hündin"),
    steps: Sequence[dict[str, Any]] = (),
    raw: FloatArray | None = None,
    origin: Origin | None = None,
    task: str | None = None,
    n_targets: int = 1,
    signature: Signature | None = None,
    **config: Any,
) -> TrainedModel:
    """A model of random parameters behind a preparation that is fitted on `raw`."""
    described = ModelConfig(**{"n_qubits": N, "layers": 2, **config})
    if raw is None:
        raw = rows(40, WIDTH.get(described.encoding, N))
    preparation = Preparation.fit([STEPS[step["name"]](**step) for step in steps], raw)
    n_features = preparation.transform(raw).shape[1]
    model = build_model(
        described,
        n_features=n_features,
        n_classes=len(classes) or None,
        task=task,
        n_targets=n_targets,
    )
    about = {
        "config": described.to_dict(),
        "n_features": n_features,
        "classes": list(classes),
        "task": task,
        "n_targets": n_targets,
        "preparation": preparation.spec(),
    }
    if signature is not None:
        about["input"] = signature.to_dict()
    return TrainedModel(
        model,
        model.initial(3) + 0.01,
        preparation,
        tuple(classes),
        open_backend("statevector", {}),
        about,
        origin or Origin(),
    )
