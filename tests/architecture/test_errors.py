"""The tree of errors: drawn as it is, keeps its fields between processes, says what to type."""

from __future__ import annotations

import ast
import pickle
import re

import cloudpickle
import pytest

from qstore_ray import errors
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, QStoreError, UnknownNameError, unknown_name_error
from tests.architecture.source import MODULES


def _tree(root: type[QStoreError]) -> list[type[QStoreError]]:
    return [root, *(found for child in root.__subclasses__() for found in _tree(child))]


ALL = [error for error in _tree(QStoreError) if error.__module__ == errors.__name__]
FIELDS = {"message": "it broke", "field": "trainer.epochs", "value": -1, "fix": "Give 1."}
EXIT_CODES = {
    "QStoreError": 1,
    "UsageError": 2,
    "DataError": 3,
    "BackendError": 4,
    "ServiceError": 4,
    "RunError": 1,
    "InterruptedRunError": 5,
}

every_error = pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)


class Optimizer(Config):
    name: str = "adam"
    rate: float = 0.1


class Trainer(Config):
    epochs: int
    optimizer: Optimizer = Optimizer()


@every_error
@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_an_error_keeps_its_fields_between_processes(error: type[QStoreError], pickler):
    copy = pickle.loads(pickler.dumps(error(**FIELDS)))
    assert type(copy) is error
    assert {name: getattr(copy, name) for name in FIELDS} == FIELDS
    assert str(copy) == str(error(**FIELDS))


@every_error
def test_an_error_survives_with_its_cause(error: type[QStoreError]):
    original = error(**FIELDS)
    original.__cause__ = KeyError("epochs")
    copy = pickle.loads(pickle.dumps(original))
    assert copy.as_dict() == original.as_dict()


@every_error
def test_an_error_has_the_exit_code_of_its_branch(error: type[QStoreError]):
    branch = next(base for base in error.__mro__ if base.__name__ in EXIT_CODES)
    assert error.exit_code == EXIT_CODES[branch.__name__]


@every_error
def test_an_error_reads_as_where_what_and_what_instead(error: type[QStoreError]):
    assert str(error(**FIELDS)) == "trainer.epochs: it broke (got -1). Give 1."
    assert str(error("it broke")) == "it broke."


@every_error
def test_an_error_is_drawn_in_the_module_docstring(error: type[QStoreError]):
    assert _drawn()[error.__name__] == (None if error is QStoreError else error.__mro__[1].__name__)


def test_the_docstring_draws_no_error_that_is_gone():
    assert set(_drawn()) == {error.__name__ for error in ALL}


def _drawn() -> dict[str, str | None]:
    """Error → parent, read from the tree in the docstring by the indentation of the names."""
    path: list[tuple[int, str]] = []
    parents: dict[str, str | None] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([\s│├└─]*)(\w+Error)\b", line)
        if match is None:
            continue
        while path and path[-1][0] >= len(match[1]):
            path.pop()
        parents[match[2]] = path[-1][1] if path else None
        path.append((len(match[1]), match[2]))
    return parents


def test_every_error_of_the_package_is_in_the_tree():
    elsewhere = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in MODULES
        if module.name != errors.__name__
        for node in module.nodes
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Error", "Exception", "Warning"))
    ]
    assert elsewhere == []


@pytest.mark.parametrize(
    ("values", "field", "value"),
    [
        ({"epochs": "many"}, "epochs", "many"),
        ({"epochs": 1, "optimizer": {"rate": "fast"}}, "optimizer.rate", "fast"),
        ({"epochs": 1, "optimizer": {"rate": float("nan")}}, "optimizer.rate", None),
        ({}, "epochs", None),
        ({"epochs": 1, "epoch": 2}, "epoch", 2),
    ],
    ids=["wrong type", "nested", "not a number", "missing", "unknown key"],
)
def test_a_wrong_configuration_names_the_field_and_the_value(values, field, value):
    with pytest.raises(ConfigError) as caught:
        Trainer.from_dict(values)
    assert caught.value.field == field
    if value is not None:
        assert caught.value.value == value
        assert repr(value) in str(caught.value)
    assert field in str(caught.value)


def test_an_unknown_key_lists_the_known_ones_and_the_nearest():
    with pytest.raises(ConfigError) as caught:
        Trainer.from_dict({"epochs": 1, "optimizer": {"rat": 0.1}})
    assert caught.value.field == "optimizer.rat"
    assert "'rate'" in caught.value.fix
    assert "name, rate" in caught.value.fix


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    error = unknown_name_error("optimizer", "adamm", ["sgd", "adam"], field="trainer.optimizer")
    assert isinstance(error, UnknownNameError)
    assert error.fix == "Did you mean 'adam'? Known: adam, sgd."
    assert str(error).startswith("trainer.optimizer: unknown optimizer (got 'adamm').")


def test_a_long_value_is_shown_short_and_kept_whole():
    error = ConfigError("too long", value="x" * 1000)
    assert len(str(error)) < 120
    assert error.value == "x" * 1000
