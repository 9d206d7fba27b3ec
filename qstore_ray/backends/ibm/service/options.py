"""Options of IBM's client-side Sampler, checked where they are written and not in a paid job."""

from __future__ import annotations

from qstore_ray.backends.ibm.service.trouble import translated
from qstore_ray.errors import ConfigError
from qstore_ray.types import ReadOnlyTable


def check_sampler_options(options: ReadOnlyTable) -> None:
    """Whether the Sampler has these options, with such values. Opens no connection.

    Raises:
        ConfigError: an option that it does not have, or a wrong value.
        MissingDependencyError: the client library is not installed.
    """
    if not options:
        return  # and so the client library is not imported for this
    from pydantic import ValidationError

    with translated("read the options of the Sampler"):
        from qiskit_ibm_runtime.options_models.sampler import SamplerOptions
    try:
        SamplerOptions(**options)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = ".".join(("sampler", *map(str, first["loc"])))
        raise ConfigError(
            f"IBM's Sampler does not take this option: {first['msg']}",
            field=name,
            fix="See SamplerOptions in the reference of qiskit-ibm-runtime.",
        ) from exc
