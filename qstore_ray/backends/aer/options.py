"""Options of the Aer backend, checked by us: Aer's `run` accepts any name without a word."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, NotRequired, TypeAlias, TypedDict

from qstore_ray.backends.grouping import checked_shots
from qstore_ray.backends.noise.config import NoiseConfig, read_noise
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.types import ReadOnlyTable

Device: TypeAlias = Literal["cpu", "gpu", "auto"]
Precision: TypeAlias = Literal["complex128", "complex64"]

METHODS = ("automatic", "statevector", "density_matrix", "matrix_product_state")
DEVICES = ("cpu", "gpu", "auto")
PRECISIONS = {"complex128": "double", "complex64": "single"}
"""Our name of a precision → Aer's."""

GPU_METHODS = ("statevector", "density_matrix")

_log = logging.getLogger(__name__)


class SimulatorOptions(TypedDict):
    """Keyword arguments of AerSimulator."""

    method: str
    precision: str
    max_parallel_threads: int
    max_parallel_experiments: int
    zero_threshold: float
    fusion_enable: NotRequired[bool]
    matrix_product_state_truncation_threshold: NotRequired[float | None]
    matrix_product_state_max_bond_dimension: NotRequired[int]
    mps_log_data: NotRequired[bool]


@dataclass(frozen=True)
class AerOptions:
    """What a simulator of Aer needs, complete and consistent.

    Attributes:
        method: never `automatic`.
        max_bond_dimension, truncation_threshold: None for methods without them.
    """

    method: str
    threads: int
    noise: NoiseConfig | None
    device: Device
    precision: Precision
    max_bond_dimension: int | None
    truncation_threshold: float | None
    shots: int | None

    @property
    def has_channels(self) -> bool:
        """Whether states become mixed."""
        return _has_channels(self.noise)

    @property
    def simulator(self) -> SimulatorOptions:
        """As keyword arguments of AerSimulator; the device is left to the process that runs."""
        found: SimulatorOptions = {
            "method": self.method,
            "precision": PRECISIONS[self.precision],
            "max_parallel_threads": self.threads,
            "max_parallel_experiments": self.threads,
            "zero_threshold": 0.0,  # or it would return zero for small values
        }
        if self.has_channels:
            # Fused channels are taken apart by a routine that fails for equal eigenvalues.
            found["fusion_enable"] = False
        if self.method == "matrix_product_state":
            found["matrix_product_state_truncation_threshold"] = self.truncation_threshold
            if self.max_bond_dimension is not None:
                found["matrix_product_state_max_bond_dimension"] = self.max_bond_dimension
        return found


def checked_options(
    method: str,
    threads: int | None,
    noise: NoiseConfig | ReadOnlyTable | None,
    device: str,
    precision: str,
    max_bond_dimension: int | None,
    truncation_threshold: float | None,
    shots: int | None,
) -> AerOptions:
    """The options, complete.

    `automatic` is decided here, from the noise alone: Aer would decide by the number of shots, and
    return random trajectories for few of them.

    Raises:
        ConfigError: a value out of range, or options that do not fit each other.
        UnknownNameError: an unknown method, device or precision.
    """
    for field, value, known in (
        ("method", method, METHODS),
        ("device", device, DEVICES),
        ("precision", precision, tuple(PRECISIONS)),
    ):
        if value not in known:
            raise unknown_name_error(f"Aer {field}", value, known, field=field)
    noise = read_noise(noise)
    if method == "automatic":
        method = "density_matrix" if _has_channels(noise) else "statevector"
        _log.info("method automatic: %s", method)
    if device == "gpu" and method not in GPU_METHODS:
        raise ConfigError(
            f"Aer's method {method} runs on the CPU only",
            field="device",
            value=device,
            fix=f"Take device = 'cpu', or one of the methods {', '.join(GPU_METHODS)}.",
        )
    if method == "matrix_product_state":
        if precision != "complex128":
            raise ConfigError(
                f"Aer's method {method} computes in complex128 only",
                field="precision",
                value=precision,
                fix="Take precision = 'complex128'.",
            )
        _check_bond(max_bond_dimension)
        truncation_threshold = _threshold(truncation_threshold)
    else:
        _refuse_truncation(method, "max_bond_dimension", max_bond_dimension)
        _refuse_truncation(method, "truncation_threshold", truncation_threshold)
    return AerOptions(
        method, _threads(threads), noise, device, precision, max_bond_dimension,  # type: ignore[arg-type]
        truncation_threshold, None if shots is None else checked_shots(shots),
    )  # fmt: skip


def _has_channels(noise: NoiseConfig | None) -> bool:
    return noise is not None and noise.has_channels


def _threads(threads: int | None) -> int:
    if threads is None:
        asked = os.environ.get("OMP_NUM_THREADS", "")
        return int(asked) if asked.isdigit() and int(asked) > 0 else os.cpu_count() or 1
    if not _is_count(threads):
        raise ConfigError(
            "Aer needs at least one thread",
            field="threads",
            value=threads,
            fix="Take a whole number from 1.",
        )
    return int(threads)


def _check_bond(max_bond_dimension: int | None) -> None:
    if max_bond_dimension is not None and not _is_count(max_bond_dimension):
        raise ConfigError(
            "the largest bond dimension is a whole number from 1",
            field="max_bond_dimension",
            value=max_bond_dimension,
            fix="Take for example 64, or leave it unset for no limit.",
        )


def _threshold(truncation_threshold: float | None) -> float:
    if truncation_threshold is None:
        return 1e-16  # Aer's own
    is_number = isinstance(truncation_threshold, Real) and not isinstance(
        truncation_threshold, bool
    )
    if not is_number or not (
        math.isfinite(truncation_threshold) and 0.0 <= truncation_threshold < 1.0
    ):
        raise ConfigError(
            "the weight that a truncation may discard is from 0 and below 1",
            field="truncation_threshold",
            value=truncation_threshold,
            fix="Take for example 1e-10; 1e-16 is the default.",
        )
    return float(truncation_threshold)


def _refuse_truncation(method: str, field: str, value: float | None) -> None:
    if value is not None:
        raise ConfigError(
            f"Aer's method {method} truncates nothing",
            field=field,
            value=value,
            fix="Take method = 'matrix_product_state', or leave it unset.",
        )


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
