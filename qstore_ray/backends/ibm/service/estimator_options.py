"""Options of IBM's client-side Estimator, checked where they are written and not in a paid job.

They are checked by the client's own model, and then for what it accepts and cannot run, or what
the gateway decides itself.
"""

from __future__ import annotations

import json
import warnings
from functools import lru_cache
from typing import Any, Final

from qstore_ray.backends.ibm.keys import options_text
from qstore_ray.backends.ibm.service.options import Refusals, checked_model, refuse
from qstore_ray.backends.ibm.service.trouble import translated
from qstore_ray.circuits.first_import import import_qiskit
from qstore_ray.errors import ConfigError, first_line
from qstore_ray.types import ReadOnlyTable

_LEARNED: Final = (
    "Take zero-noise extrapolation by folded gates, zne_mitigation = true with amplifier = "
    '"gate_folding", or resilience_level = 1.'
)
_REFUSED: Final[Refusals] = {
    ("default_precision",): (
        "the precision follows from the shots of the backend: it is 1/√shots",
        "Set backend_options.shots to 1/precision².",
    ),
    ("resilience", "pec_mitigation"): (
        "probabilistic error cancellation needs a noise model that a job of its own learns",
        _LEARNED,
    ),
    ("resilience", "layer_noise_model"): (
        "a learned noise model cannot be written into a job file", _LEARNED,
    ),
    ("simulator", "layer_noise_model"): ("a device is not simulated", "Leave it out."),
}  # fmt: skip


def check_estimator_options(options: ReadOnlyTable) -> None:
    """Whether the Estimator has these options, with such values, and can run with them.

    Raises:
        ConfigError, MissingDependencyError: see `finalized_options`.
    """
    finalized_options(options_text(options))


@lru_cache(maxsize=64)
def finalized_options(text: str) -> Any:
    """The client's `EstimatorOptions` with the defaults of the resilience level.

    Args:
        text: the options as JSON, see `keys.options_text`.

    Raises:
        ConfigError: an option that the Estimator does not have, a wrong value, options that
            contradict each other, or that need a job of their own.
        MissingDependencyError: the client library is not installed.
    """
    given: ReadOnlyTable = json.loads(text)
    import_qiskit("qiskit_ibm_runtime")
    with translated("read the options of the Estimator"):
        from qiskit_ibm_runtime.executor_estimator.finalize_options import (
            finalize_estimator_options,
        )
        from qiskit_ibm_runtime.options_models.estimator import EstimatorOptions

    options = checked_model(EstimatorOptions, given, "estimator")
    refuse(given, "estimator", _REFUSED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            found = finalize_estimator_options(options)
    except UserWarning as exc:
        raise ConfigError(
            f"these options contradict each other: {first_line(exc)}",
            field="estimator.twirling",
            value=given.get("twirling"),
            fix="Leave twirling.enable_measure and twirling.enable_gates out.",
        ) from exc
    if found.resilience.zne_mitigation:
        _check_extrapolation(found.resilience.zne)
    return found


def _check_extrapolation(zne: Any) -> None:
    from qiskit_ibm_runtime.exceptions import IBMInputValueError
    from qiskit_ibm_runtime.executor_estimator.utils import (
        resolve_noise_factors,
        validate_noise_factors,
    )

    if zne.amplifier == "pea":
        raise ConfigError(
            "probabilistic error amplification needs a noise model that a job of its own learns",
            field="estimator.resilience.zne.amplifier",
            value=zne.amplifier,
            fix='Take amplifier = "gate_folding".',
        )
    factors = resolve_noise_factors(zne)[0]
    names = [zne.extrapolator] if isinstance(zne.extrapolator, str) else list(zne.extrapolator)
    try:
        validate_noise_factors(factors, names)
    except IBMInputValueError as exc:
        raise _too_few_factors_error(zne, str(exc.message)) from exc
    if not any(_always_answers(name, len(factors)) for name in names):
        raise _too_few_factors_error(
            zne, "none of them is sure to give a value: exponentials may find no fit, and a "
            "polynomial needs two noise factors more than its degree",
        )  # fmt: skip


def _always_answers(name: str, n_factors: int) -> bool:
    """Whether an extrapolator gives a value and a variance of all that can be measured."""
    if name == "linear":
        name = "polynomial_degree_1"
    degree = name.removeprefix("polynomial_degree_")
    return name == "fallback" or (degree.isdigit() and n_factors >= int(degree) + 2)


def _too_few_factors_error(zne: Any, why: str) -> ConfigError:
    return ConfigError(
        f"the noise factors do not suffice for the extrapolators: {why}",
        field="estimator.resilience.zne.noise_factors",
        value=zne.noise_factors,
        fix='Take more of them, such as [1, 3, 5], or extrapolator = ["linear", "fallback"].',
    )
