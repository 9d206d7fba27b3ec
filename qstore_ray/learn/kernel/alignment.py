"""How well a kernel fits labels, before anything is trained with it.

With K the kernel (N, N) and T the kernel that the labels themselves make, T_ij = 1 within a class
and −1/(C − 1) between two of C classes, the alignment is the cosine of the angle between them,
⟨K, T⟩ / (|K| |T|) (Cristianini et al. 2001). Centred first, it does not depend on how large k is on
average, and it bounds the error of a classifier (Cortes et al. 2012, JMLR 13, 795).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


def centred(kernel: FloatArray, train: FloatArray | None = None) -> FloatArray:
    """The kernel of the same rows with their mean in feature space taken away: HKH, H = 1 − 11ᵀ/M.

    Args:
        kernel: (N, M) of N rows with the M training rows.
        train: (M, M) of the training rows, whose mean is taken away; without it `kernel` itself.
    """
    own = kernel if train is None else train
    means = own.mean(axis=0)
    found: FloatArray = kernel - kernel.mean(axis=1, keepdims=True) - means + means.mean()
    return found


def alignment(kernel: FloatArray, labels: AnyArray, *, centre: bool = True) -> float:
    """Cosine (−1 to 1) of the angle between the kernel (N, N) and that of the labels (N,).

    Raises:
        DataError: as many labels as rows are needed, of at least two classes.
    """
    classes = np.unique(labels)
    if np.shape(labels) != (len(kernel),) or kernel.shape != (len(kernel), len(kernel)):
        raise DataError(
            f"a kernel {kernel.shape} needs as many labels as rows and columns",
            field="labels",
            value=np.shape(labels),
        )
    if len(classes) < 2:
        raise DataError(
            "alignment needs labels of at least two classes", field="labels", value=classes.tolist()
        )
    same = labels[:, None] == labels
    target = np.where(same, 1.0, -1.0 / (len(classes) - 1))
    if centre:
        kernel, target = centred(kernel), centred(target)
    norms = np.linalg.norm(kernel) * np.linalg.norm(target)
    return float((kernel * target).sum() / norms) if norms else 0.0
