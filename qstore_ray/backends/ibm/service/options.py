"""Options of IBM's client-side primitives, checked where they are written and not in a paid job."""

from __future__ import annotations

from typing import Any

from qstore_ray.backends.ibm.service.trouble import translated
from qstore_ray.errors import ConfigError
from qstore_ray.types import ReadOnlyTable


def check_sampler_options(options: ReadOnlyTable, shots: int) -> None:
    """Whether the Sampler has these options, with such values. Opens no connection.

    Raises:
        ConfigError: an option that it does not have, a wrong value, or shots that it would change:
            it runs each of the twirled circuits equally often.
        MissingDependencyError: the client library is not installed.
    """
    if not options:
        return  # and so the client library is not imported for this
    with translated("read the options of the Sampler"):
        from qiskit_ibm_runtime.executor.calculate_twirling_shots import calculate_twirling_shots
        from qiskit_ibm_runtime.options_models.sampler import SamplerOptions

    twirling = checked_model(SamplerOptions, options, "sampler").twirling
    if not (twirling.enable_gates or twirling.enable_measure):
        return
    circuits, each = calculate_twirling_shots(
        shots, twirling.num_randomizations, twirling.shots_per_randomization
    )
    if circuits * each != shots:
        raise ConfigError(
            f"IBM's Sampler takes {circuits * each} shots in place of these, {each} of each of "
            f"{circuits} twirled circuits",
            field="shots",
            value=shots,
            fix=f"Take shots = {circuits * each}, or set sampler.twirling.num_randomizations.",
        )


def checked_model(model: Any, options: ReadOnlyTable, name: str) -> Any:
    """The client's options, made from a table.

    Args:
        model: a pydantic model of the client. name: of the table, `sampler` or `estimator`.

    Raises:
        ConfigError: an option that it does not have, or a wrong value.
    """
    from pydantic import ValidationError

    try:
        return model(**options)
    except ValidationError as exc:
        first = exc.errors()[0]
        raise ConfigError(
            f"IBM's {name.title()} does not take this option: {first['msg']}",
            field=".".join((name, *map(str, first["loc"]))),
            fix=f"See {model.__name__} in the reference of qiskit-ibm-runtime.",
        ) from exc
