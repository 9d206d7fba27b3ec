"""Whether a GPU runs circuits here, and how its values and seconds compare with the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.errors import BackendError

if TYPE_CHECKING:
    from qstore_ray.backends.aer.options import Precision

CHECKED: tuple[tuple[str, Precision, int], ...] = (
    ("statevector", "complex128", 6),
    ("statevector", "complex64", 6),
    ("density_matrix", "complex128", 6),
    ("statevector", "complex128", 20),  # where a GPU begins to be worth its start
)


def examine_gpu() -> Iterator[Diagnosis]:
    """Run circuits on the GPU and on the CPU.

    Raises:
        MissingDependencyError: no build of Aer is installed, or both are.
    """
    from qstore_ray.backends.aer.installation import check_installation

    build = check_installation()
    from qstore_ray.backends.aer.device import check_gpu, gpu_failure

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    yield Diagnosis("visible GPUs", "ok", "all" if visible is None else visible or "none")
    failure = gpu_failure()
    if failure:
        is_cpu = build == "qiskit-aer"
        hint = "; this is the CPU build: install the extra gpu" if is_cpu else ""
        yield Diagnosis("gpu", "fault", f"runs no circuits: {failure}{hint}")
        return
    yield Diagnosis("gpu", "ok", "runs circuits")
    for method, precision, n_qubits in CHECKED:
        name = f"{method} {precision} {n_qubits} qubits"
        try:
            check = check_gpu(method, precision, n_qubits)
        except BackendError as error:
            yield Diagnosis.of_error(name, error)
            continue
        yield Diagnosis(
            name, "ok", f"differs from the CPU by {check.difference:.1e} at most; "
            f"GPU {_time(check.gpu_seconds)}, CPU {_time(check.cpu_seconds)}",
        )  # fmt: skip


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
