"""Load a circuit from an object, a path, OpenQASM source, or `module:function`.

`load_circuit` returns a `Circuit`; `kept_circuit` returns the text that a configuration keeps. The
text is the circuit itself: a function that builds a circuit is called when the configuration is
made and not again. Qiskit is imported only for a circuit of a Qiskit class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.first_import import import_qiskit
from qstore_ray.circuits.functions import called, imported
from qstore_ray.circuits.library.row_angles import Features
from qstore_ray.circuits.qasm.source import in_earlier_order, is_circuit_file, is_source
from qstore_ray.circuits.qasm.text import circuit_text
from qstore_ray.circuits.slots import FeatureNames, feature_names, listed, read_slots
from qstore_ray.circuits.template import Template
from qstore_ray.errors import CircuitError, ConfigError

_EXPORTS = {
    "pennylane": "qml.to_openqasm(qnode)(…)",
    "cirq": "cirq.qasm(circuit)",
    "pytket": "pytket.qasm.circuit_to_qasm_str(circuit)",
    "braket": "circuit.to_ir(IRType.OPENQASM).source",
    "pyquil": "program.out(), rewritten as OpenQASM",
    "qutip_qip": "qutip_qip.qasm.circuit_to_qasm_str(circuit)",
    "qibo": "circuit.to_qasm()",
}
"""How the circuits of other libraries become OpenQASM, by the root of their classes' modules."""


def is_name(spec: object) -> bool:
    """Whether `spec` names code that makes a circuit, `module:function`."""
    is_text = isinstance(spec, str) and not is_source(spec)
    return is_text and spec != "library" and not is_circuit_file(str(spec))


def load_circuit(
    given: Any, *, features: FeatureNames | None = None, n_features: int | None = None
) -> Circuit:
    """The circuit that `given` is or names.

    Args:
        given: a Qiskit circuit of any subclass, gate or instruction; a `Circuit`; a `Template`
            (whose row angles are then the features); a `.qasm` file; OpenQASM source; a function
            without arguments that returns one of these, or its name `module:function`.
        features: which parameters are features, see `slots`. A `Circuit` or a `Template` knows.
        n_features: F, where the data have more columns than the circuit uses.

    Raises:
        ConfigError: no such file, module or function, a function that fails, or something that is
            no circuit.
        CircuitError: a circuit that cannot be converted, or features that it does not have.
    """
    return _converted(*_made(given), features, n_features)


def kept_circuit(given: Any, features: FeatureNames | None = None, *, earlier: bool = False) -> str:
    """The text that a configuration keeps of a circuit, which gives it back to the last bit.

    Arguments and errors are those of `load_circuit`; without features a circuit is refused.

    Args:
        earlier: an earlier version kept `given` by its name alone: a text that the function returns
            has its parameters in the order of text.

    Raises:
        CircuitError: also an encoding of a class of the user's own, which no text can keep.
    """
    made, maker = _made(given)
    if earlier and isinstance(made, str) and is_source(made):
        made = in_earlier_order(made)
    circuit = _with_features(_converted(made, maker, features, None), made, features)
    return circuit_text(circuit, features=_chosen(made, features))


def circuit_of_rows(given: Any, features: FeatureNames | None = None) -> Circuit:
    """The circuit that `given` is or names, which takes features; see `load_circuit`.

    Raises:
        CircuitError: also one without features.
    """
    made, maker = _made(given)
    return _with_features(_converted(made, maker, features, None), made, features)


def _with_features(circuit: Circuit, made: Any, features: FeatureNames | None) -> Circuit:
    if not circuit.n_features:
        known = listed(_parameter_names(made))
        raise CircuitError(
            "no parameter of the circuit is a feature",
            field="features",
            value=features,
            fix=f'{known} Name the data parameters, for example features = "phi"; by default '
            "they are those called x.",
        )
    return circuit


def _chosen(made: Any, features: FeatureNames | None) -> list[str]:
    """Names of the features in the order of the columns; empty if `features` gives none."""
    names = _parameter_names(made)
    if features is None or not names:
        return []
    columns = read_slots(names, feature_names(features), None).columns
    return sorted(columns, key=columns.__getitem__)


def _parameter_names(made: Any) -> list[str]:
    if isinstance(made, Circuit | Template):
        return []  # they have slots without names
    names: list[str] = []

    def noted(name: str) -> bool:
        names.append(name)
        return True

    _converted(made, "", noted, None)
    return names


def _made(given: Any) -> tuple[Any, str]:
    """What the user's function returned, and its name; anything but a function as it is."""
    if isinstance(given, str) and is_name(given):
        return called(imported(given), given), given
    is_other = not isinstance(given, type) and not _is_of_qiskit(given)
    if is_other and callable(given) and _root(given) != "qiskit":  # its operators can be called
        name = getattr(given, "__qualname__", type(given).__name__)
        return called(given, name), name
    return given, ""


def _converted(
    made: Any, maker: str, features: FeatureNames | None, n_features: int | None
) -> Circuit:
    if isinstance(made, str | Path) and (not maker or is_source(str(made))):
        import_qiskit()
        from qstore_ray.circuits.qasm.reader import from_qasm, from_text

        if is_source(str(made)):
            return from_text(str(made), features=features, n_features=n_features)
        return from_qasm(str(made), features=features, n_features=n_features)
    if isinstance(made, Circuit | Template) and features is not None:
        raise ConfigError(
            f"a {type(made).__name__} says itself what its features are",
            field="features",
            value=features,
            fix="Leave features out.",
        )
    if isinstance(made, Circuit):
        return made
    if isinstance(made, Template) and made.initial == "zeros":
        return Circuit(made, made.n_rows, maker or "circuit", Features())
    if _is_of_qiskit(made):
        import_qiskit()
        from qstore_ray.circuits.qiskit.qiskit import as_circuit, from_qiskit

        return from_qiskit(as_circuit(made), features=features, n_features=n_features)
    raise _no_circuit_error(made, maker)


def _is_of_qiskit(made: Any) -> bool:
    """Whether its class derives from Qiskit's circuits or instructions; imports nothing."""
    return any(
        kind.__module__.partition(".")[0] == "qiskit"
        and kind.__name__ in ("QuantumCircuit", "Operation")
        for kind in type(made).__mro__
    )


def _root(made: Any) -> str:
    """The package of its class."""
    return type(made).__module__.partition(".")[0]


def _no_circuit_error(made: Any, maker: str) -> ConfigError:
    kind = f"the class {made.__name__}" if isinstance(made, type) else type(made).__name__
    root = _root(made)
    parts = made if isinstance(made, list | tuple) else ()
    if root in _EXPORTS:
        fix = f"Export it as OpenQASM and give the text: {_EXPORTS[root]}."
    elif isinstance(made, type):
        fix = f"Give an object of the class: {made.__name__}(…)."
    elif parts and all(map(_is_of_qiskit, parts)):
        fix = "Join them first: feature_map.compose(ansatz)."
    else:
        fix = (
            "Give a qiskit QuantumCircuit, a .qasm file or OpenQASM source, a Circuit, a Template "
            "that starts from zeros, or a function that returns one of them."
        )
    what = f"the function returned {kind}, not a circuit" if maker else f"{kind} is no circuit"
    return ConfigError(what, field="circuit", value=maker or None, fix=fix)
