"""Options of IBM's client-side primitives, checked where they are written and not in a paid job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from qstore_ray.backends.ibm.service.trouble import translated
from qstore_ray.circuits.first_import import import_qiskit
from qstore_ray.errors import ConfigError
from qstore_ray.types import ReadOnlyTable

Refusals: TypeAlias = Mapping[tuple[str, ...], tuple[str, str]]
"""Option → why it is refused if it is set, and what to do instead."""

_LONGEST_JOB: Final = 3 * 3600

_DECIDED: Final[Refusals] = {
    ("default_shots",): ("the shots are an option of the backend", "Set backend_options.shots."),
    ("experimental",): ("what an experimental option costs cannot be forecast", "Leave it out."),
    ("environment", "job_tags"): (
        "the gateway finds its jobs by their tags, and sets them", "Leave it out.",
    ),
}  # fmt: skip


def check_sampler_options(options: ReadOnlyTable, shots: int) -> None:
    """Whether the Sampler has these options, with such values. Opens no connection.

    Raises:
        ConfigError: an option that it does not have, a wrong value, or shots that it would change:
            it runs each of the twirled circuits equally often.
        MissingDependencyError: the client library is not installed.
    """
    if not options:
        return  # and so the client library is not imported for this
    import_qiskit("qiskit_ibm_runtime")
    with translated("read the options of the Sampler"):
        from qiskit_ibm_runtime.executor.calculate_twirling_shots import calculate_twirling_shots
        from qiskit_ibm_runtime.options_models.sampler import SamplerOptions

    made = checked_model(SamplerOptions, options, "sampler")
    refuse(options, "sampler")
    if made.execution.meas_type != "classified":
        raise ConfigError(
            "values are computed from outcomes, and this gives none",
            field="sampler.execution.meas_type",
            value=made.execution.meas_type,
            fix="Leave it out.",
        )
    twirling = made.twirling
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


def check_rep_delay(options: ReadOnlyTable, forecast: float) -> None:
    """Whether checked options of a primitive have the pause that the forecast counts with.

    Args:
        forecast: seconds, of `QpuRates`.

    Raises:
        ConfigError: it is another one.
    """
    execution: Any = options.get("execution", {})
    delay = execution.get("rep_delay")
    if delay not in {None, forecast}:
        raise ConfigError(
            f"the forecast counts with another pause before each execution, {delay} s are set",
            field="rep_delay",
            value=forecast,
            fix=f"Set backend_options.rep_delay = {delay}.",
        )


def check_max_time(max_time: int | None, options: ReadOnlyTable) -> None:
    """Whether each job may be ended after `max_time` seconds on the QPU.

    Args:
        options: of the primitive.

    Raises:
        ConfigError: it is longer than IBM lets a job run, or the options have a limit, too.
    """
    if max_time is None:
        return
    if max_time > _LONGEST_JOB:
        raise ConfigError(
            f"IBM ends every job after {_LONGEST_JOB} s on the QPU",
            field="max_time",
            value=max_time,
            fix="Take less, or leave it out.",
        )
    if options.get("max_execution_time") is not None:
        raise ConfigError(
            "max_time and the option max_execution_time of the primitive both limit a job",
            field="max_time",
            value=max_time,
            fix="Leave one of them out.",
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


def refuse(given: ReadOnlyTable, name: str, refusals: Refusals | None = None) -> None:
    """Refuse options that the client takes, and that the gateway decides or cannot run with.

    Args:
        name: of the table, `sampler` or `estimator`.
        refusals: those of one primitive alone.

    Raises:
        ConfigError: one of them is set.
    """
    for path, (why, fix) in {**_DECIDED, **(refusals or {})}.items():
        value: Any = given
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value:
            raise ConfigError(why, field=".".join((name, *path)), value=value, fix=fix)
