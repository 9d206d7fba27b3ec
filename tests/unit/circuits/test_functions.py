"""A circuit as a function: whatever it is made of is called once, and its faults are named."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path

import pytest
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import ParameterVector

from qstore_ray.circuits.load import load_circuit
from qstore_ray.errors import CircuitError, ConfigError
from qstore_ray.learn.config import ModelConfig


def build(n: int = 2) -> QuantumCircuit:
    x, circuit = ParameterVector("x", n), QuantumCircuit(n)
    for qubit in range(n):
        circuit.ry(x[qubit], qubit)
    return circuit


class Maker:
    def __call__(self) -> QuantumCircuit:
        return build()

    def method(self) -> QuantumCircuit:
        return build()

    @classmethod
    def of_the_class(cls) -> QuantumCircuit:
        return build()

    @staticmethod
    def static() -> QuantumCircuit:
        return build()


class NoSignature:
    __signature__ = "none"

    def __call__(self) -> QuantumCircuit:
        return build()


def _closure(n: int):
    return lambda: build(n)


def _decorated(function):
    @functools.wraps(function)
    def same(*given, **named):
        return function(*given, **named)

    return same


def _of_text():
    names: dict = {}
    exec("def made():\n    return build()", {"build": build}, names)
    return names["made"]


FUNCTIONS = {
    "function": build,
    "lambda": lambda: build(2),
    "closure": _closure(2),
    "partial": functools.partial(build, 2),
    "object": Maker(),
    "method": Maker().method,
    "class method": Maker.of_the_class,
    "static method": Maker.static,
    "decorated": _decorated(build),
    "cached": functools.cache(build),
    "of text": _of_text(),
    "any arguments": lambda *given, **named: build(),
    "no signature": NoSignature(),
    "text": lambda: qasm3.dumps(build()),
    "by name": f"{__name__}:build",
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_every_kind_of_function_builds_the_circuit(kind: str):
    expected = load_circuit(build()).template
    assert load_circuit(FUNCTIONS[kind]).template == expected
    assert load_circuit(ModelConfig(circuit=FUNCTIONS[kind]).circuit).template == expected


def test_a_function_that_returns_another_circuit_each_time_is_called_once():
    widths = iter(range(1, 5))
    config = ModelConfig(circuit=lambda: build(next(widths)), observables=["Z0"])
    assert load_circuit(config.circuit).template.n_qubits == 1
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert next(widths) == 2


def _raises(error: BaseException):
    def broken():
        raise error

    return broken


def _endless():
    return _endless()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_raises(ValueError("my own fault")), "broken raised ValueError: my own fault"),
        (_raises(KeyError("nope")), "broken raised KeyError: 'nope'"),
        (_raises(AssertionError()), "broken raised AssertionError"),
        (_raises(SystemExit(0)), "broken raised SystemExit: 0"),
        (_endless, "_endless raised RecursionError"),
        (lambda: None, "returned NoneType, not a circuit"),
        (lambda: _closure(2), "returned function, not a circuit"),
        (lambda: (build(), build()), "returned tuple, not a circuit"),
        (lambda: "nowhere.qasm", "returned str, not a circuit"),
        (lambda: (yield build()), "returned generator, not a circuit"),
        (lambda n: build(n + 1), "needs arguments: n"),
        (functools.partial(lambda n, m: build(n), 2), "needs arguments: m"),
        (QuantumCircuit, "the class QuantumCircuit is no circuit"),
    ],
)
@pytest.mark.parametrize("door", [load_circuit, lambda given: ModelConfig(circuit=given)])
def test_a_function_that_gives_no_circuit_is_named(door, function, said: str):
    with pytest.raises(ConfigError) as caught:
        door(function)
    assert said in caught.value.message
    assert caught.value.field == "circuit"
    if "raised" in said:
        assert f"{__file__}, line " in caught.value.fix
        assert caught.value.__cause__ is not None


def test_an_error_of_the_package_s_own_is_not_wrapped():
    with pytest.raises(CircuitError, match="as it is"):
        load_circuit(_raises(CircuitError("as it is")))


def test_ctrl_c_in_a_function_is_no_error_of_the_circuit():
    with pytest.raises(KeyboardInterrupt):
        ModelConfig(circuit=_raises(KeyboardInterrupt()))


MODULES = {
    "syntax": ("def build(:\n", "SyntaxError"),
    "raising": ("1 / 0\n", "ZeroDivisionError: division by zero"),
    "exiting": ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
    "importing": ("import no_such_package_at_all\n", "No module named 'no_such_package_at_all'"),
}


@pytest.mark.parametrize("kind", MODULES)
def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch, kind: str):
    text, said = MODULES[kind]
    name = f"users_module_{kind}"
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(ConfigError, match=f"cannot import {name}") as caught:
        ModelConfig(circuit=f"{name}:build")
    assert said in caught.value.message
    line = text.count("\n")  # the last one is the wrong one
    place = tmp_path / f"{name}.py"
    assert caught.value.fix == f"Correct it: the error was raised in {place}, line {line}."
    assert (caught.value.field, caught.value.value) == ("circuit", f"{name}:build")
    assert name not in sys.modules


def test_the_place_of_an_error_is_the_users_even_behind_a_library(tmp_path: Path, monkeypatch):
    text = "import json\n\ndef build():\n    return json.loads('{')\n"
    (tmp_path / "users_module_behind.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(ConfigError) as caught:
        load_circuit("users_module_behind:build")
    place = tmp_path / "users_module_behind.py"
    assert caught.value.message.startswith(
        "the function users_module_behind:build raised JSONDecodeError: "
    )
    assert caught.value.fix == f"Correct it: the error was raised in {place}, line 4."


@pytest.mark.parametrize(
    ("function", "required"),
    [
        (lambda a, b=1: a, "a"),
        (lambda a, /, b, *c, d, e=2, **f: a, "a, b, d"),
        (functools.partial(build, n=1), None),
    ],
    ids=["one", "all kinds", "none"],
)
def test_arguments_without_a_default_are_named(function, required: str | None):
    if required is None:
        assert load_circuit(function).template.n_qubits == 1
        return
    with pytest.raises(ConfigError) as caught:
        load_circuit(function)
    assert caught.value.message == f"the function needs arguments: {required}"
    assert caught.value.field == "circuit"
    assert caught.value.fix == "Give them default values; it is called without arguments."
