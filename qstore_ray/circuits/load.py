"""A circuit by what a configuration can hold: a path, `module:function`, or OpenQASM source.

The function is the user's own and may build its circuit with Qiskit or with this package. Qiskit is
imported only where a circuit of its kind is met.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import cast

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.qasm_source import is_circuit_file, is_source
from qstore_ray.circuits.row_angles import Features
from qstore_ray.circuits.template import Template
from qstore_ray.errors import ConfigError


def load_circuit(
    spec: str, *, features: str | None = None, n_features: int | None = None
) -> Circuit:
    """The circuit that `spec` names: a `.qasm` file, OpenQASM source, or `module:function`.

    The function is called without arguments and returns a Qiskit circuit, a `Circuit`, or a
    `Template` (whose row angles are then the features).

    Raises:
        ConfigError: no such file, module or function, or a function that returns something else.
        CircuitError: a circuit that cannot be converted.
    """
    if is_source(spec):
        from qstore_ray.circuits.qasm_reader import from_text

        return from_text(spec, features=features, n_features=n_features, kept=True)
    if is_circuit_file(spec):
        from qstore_ray.circuits.qasm_reader import from_qasm

        return from_qasm(spec, features=features, n_features=n_features)
    made = _function(spec)()
    if isinstance(made, Circuit):
        return made
    if isinstance(made, Template) and made.initial == "zeros":
        return Circuit(made, made.n_rows, spec, Features())
    from qstore_ray.circuits.qiskit import from_qiskit, is_qiskit

    if is_qiskit(made):
        return from_qiskit(made, features=features, n_features=n_features)
    raise ConfigError(
        f"the function returned {type(made).__name__}, not a circuit",
        field="circuit",
        value=spec,
        fix="Return a qiskit QuantumCircuit, a Circuit, or a Template that starts from zeros.",
    )


def _function(spec: str) -> Callable[[], object]:
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise ConfigError(
            "a circuit is a .qasm file or module:function",
            field="circuit",
            value=spec,
            fix="For example circuits/mine.qasm, or my_circuits:build.",
        )
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ImportError as exc:
        raise ConfigError(
            f"cannot import {module}: {exc}",
            field="circuit",
            value=spec,
            fix="Give a module that Python finds (its folder on PYTHONPATH).",
        ) from exc
    if not callable(function):
        raise ConfigError(f"{module} has no function {name}", field="circuit", value=spec)
    required = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if required:
        raise ConfigError(
            f"the function needs arguments: {', '.join(required)}",
            field="circuit",
            value=spec,
            fix="Give them default values; it is called without arguments.",
        )
    return cast("Callable[[], object]", function)
