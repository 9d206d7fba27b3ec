"""Old Python: which of its lines name something old, and the objects that it makes. It is not run.

from q_store.ml import TrainingConfig as Config       line 1: TrainingConfig → TrainerConfig
EPOCHS = 50
config = Config(epochs=EPOCHS, n_qubits=len(row))      epochs is 50, n_qubits cannot be known
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from qstore_ray.migrate.names import PACKAGES, NewName
from qstore_ray.migrate.old_table import OLD_CLASSES, OldTable, Unread
from qstore_ray.review.notebook import code_of
from qstore_ray.review.source import SourceFile
from qstore_ray.types import Table

_POSITIONS: Final[dict[str, Sequence[str]]] = {
    "TrainingConfig": ("pinecone_api_key", "pinecone_environment", "pinecone_index_name"),
    "DatasetConfig": ("name", "source", "source_params", "preprocessing", "split_config"),
    "QuantumModel": ("input_dim", "n_qubits", "output_dim", "backend", "depth",
                     "hardware_efficient"),
    "GridSearch": ("param_grid", "scoring"),
    "RandomSearch": ("param_distributions", "scoring", "random_seed"),
    "BayesianOptimizer": ("param_bounds", "scoring", "random_seed"),
    "ModelCheckpoint": ("filepath", "monitor", "mode"),
    "CSVLogger": ("filename",),
    "EarlyStopping": ("patience", "min_delta", "mode"),
    "suggest_float": ("name", "low", "high"),
    "suggest_uniform": ("name", "low", "high"),
    "suggest_loguniform": ("name", "low", "high"),
    "suggest_int": ("name", "low", "high", "step"),
    "suggest_categorical": ("name", "choices"),
}  # fmt: skip
"""Class or function → the names of its positional arguments."""

_METHODS: Final = {
    "QuantumTrainer.train": "result = QuantumTrainer(model, trainer).fit(dataset), without await",
    "QuantumTrainer.load_dataset": "dataset = DatasetLoader.load(config)",
    "QuantumTrainer.save_checkpoint": "fit() saves checkpoints in the run folder",
    "QuantumTrainer.load_checkpoint": "a run is resumed by its name",
    "QuantumTrainer.validate": "result.metrics, or qstore evaluate RUN",
    "QuantumTrainer.set_loss_function": "ModelConfig(loss=…)",
    "QuantumModel.forward": "result.model.predict(x)",
    "QuantumModel.save_state": "qstore export RUN",
    "OptunaTuner.optimize": "Tuner(job).fit()",
    "OptunaTuner.tune": "Tuner(job).fit()",
}
"""Methods of old objects → what to write instead."""


_OPERATIONS: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.USub: operator.neg,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class OldUse(NamedTuple):
    """A line that names something old, and what to write there."""

    line: int
    old: str
    new: NewName | None


class OldPython(NamedTuple):
    """What a Python file has of the old packages.

    Args:
        product: the old package that most is imported of; empty if none is.
        tables: the objects that it makes. uses: its lines with old names, in order.
        suggested: what an objective asks Optuna's trial for.
    """

    product: str
    tables: tuple[OldTable, ...]
    uses: tuple[OldUse, ...]
    suggested: tuple[OldTable, ...]


def read_python(path: Path, text: str) -> OldPython:
    """What a Python file or a notebook has of the old packages.

    Raises:
        DataError: this Python cannot parse it.
    """
    code = code_of(path.name, text).text if path.suffix == ".ipynb" else text
    source = SourceFile(path.name, code)
    reader = _ProgramReader(source)
    products = [name.partition(".")[0] for name in source.imported.values()]
    product = next((name for name in PACKAGES if name in products), "")
    if not product:
        return OldPython("", (), (), ())
    calls = sorted(source.calls(), key=lambda call: (call.lineno, call.col_offset))
    tables = [
        reader.table(call, kind)
        for call in calls
        if (kind := reader.old_name(call.func)) in OLD_CLASSES
    ]
    suggested = [
        reader.table(call, call.func.attr)
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr.startswith("suggest_")
    ]
    kept = "qemlflow" if product == "chemml" else product
    return OldPython(kept, tuple(tables), tuple(reader.uses()), tuple(suggested))


class _ProgramReader:
    """Reads values of one file."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source
        self.constants = dict(_constants(source))

    def old_name(self, node: ast.AST) -> str:
        """The old class or function that an expression names, or ""."""
        name = self.source.name_of(node)
        return name.rpartition(".")[2] if name.partition(".")[0] in PACKAGES else ""

    def uses(self) -> Iterator[OldUse]:
        """Every import of an old name, every call of one, and every old method."""
        found: dict[tuple[int, str], OldUse] = {}
        for node in self.source.nodes:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = PACKAGES.get(node.module.partition(".")[0])
                for alias in node.names if names is not None else ():
                    found[node.lineno, alias.name] = OldUse(
                        node.lineno, alias.name, (names or {}).get(alias.name)
                    )
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.partition(".")[0] in PACKAGES:
                        new = NewName("", "import qstore_ray")
                        found[node.lineno, alias.name] = OldUse(node.lineno, alias.name, new)
            elif isinstance(node, ast.Call):
                for use in self._of_call(node):
                    found.setdefault((use.line, use.old), use)
        yield from sorted(found.values(), key=lambda use: (use.line, use.old))

    def _of_call(self, call: ast.Call) -> Iterator[OldUse]:
        name = self.old_name(call.func)
        if not name:
            if isinstance(call.func, ast.Attribute):
                made = self.source.made_by(call.func.value)
                old = f"{made.rpartition('.')[2]}.{call.func.attr}"
                if made.partition(".")[0] in PACKAGES and old in _METHODS:
                    yield OldUse(call.lineno, old, NewName("", _METHODS[old]))
            return
        package = self.source.name_of(call.func).partition(".")[0]
        new = PACKAGES[package].get(name)
        if new is not None:
            yield OldUse(call.lineno, name, new)

    def table(self, call: ast.Call, kind: str) -> OldTable:
        """The arguments of a call by their names."""
        values: Table = {}
        lines: dict[str, int] = {}
        for name, node in zip(_POSITIONS.get(kind, ()), call.args, strict=False):
            values[name], lines[name] = self.value(node), node.lineno
        for each in call.keywords:
            if each.arg is not None:
                values[each.arg], lines[each.arg] = self.value(each.value), each.value.lineno
        has_more = any(each.arg is None for each in call.keywords)
        scope = getattr(self.source.scope_of(call), "lineno", 0)
        return OldTable(kind, values, call.lineno, lines, has_more, scope)

    def value(self, node: ast.expr) -> Any:
        """The value of an expression if it is written in the file, else `Unread`."""
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str() as value):
                return value
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                read = [self.value(each) for each in elements]
                return tuple(read) if isinstance(node, ast.Tuple) else read
            case ast.Dict(keys=keys, values=given) if all(
                isinstance(key, ast.Constant) for key in keys
            ):
                pairs = zip(keys, given, strict=True)
                return {str(key.value): self.value(each) for key, each in pairs}  # type: ignore[union-attr]
            case ast.Name(id=name) if name in self.constants:
                return self.constants[name]
            case ast.Attribute(attr=attr):
                return self._attribute(node, attr)
            case ast.UnaryOp() | ast.BinOp():
                return self._arithmetic(node)
            case ast.Call(func=func) if kind := self.old_name(func):
                return self.table(node, kind)
        return Unread(ast.unparse(node))

    def _attribute(self, node: ast.Attribute, attr: str) -> Any:
        name = self.source.name_of(node)
        if name in {"numpy.pi", "math.pi"}:
            return math.pi
        if self.old_name(node.value) in {"DatasetSource", "EncodingType", "NormalizationMethod"}:
            return attr.lower()
        return Unread(ast.unparse(node))

    def _arithmetic(self, node: ast.UnaryOp | ast.BinOp) -> Any:
        """-x, and the four operations on numbers."""
        parts = [node.operand] if isinstance(node, ast.UnaryOp) else [node.left, node.right]
        numbers = [self.value(part) for part in parts]
        operation = _OPERATIONS.get(type(node.op))
        if operation is None or not all(isinstance(each, int | float) for each in numbers):
            return Unread(ast.unparse(node))
        if isinstance(node.op, ast.Div) and not numbers[-1]:
            return Unread(ast.unparse(node))
        return operation(*numbers)


def _constants(source: SourceFile) -> Iterator[tuple[str, Any]]:
    """Names of the module that are assigned once, a constant, and no function changes."""
    assigned: dict[str, list[ast.expr | None]] = {}
    for node in source.nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                assigned.setdefault(name, []).append(None)
            case ast.arg(arg=name):
                assigned.setdefault(name, []).append(None)
    for statement in source.tree.body:
        match statement:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Constant(value=None | bool() | int() | float() | str() as value),
            ):
                if len(assigned[name]) == 1:
                    yield name, value


def plain_tables(tables: Sequence[OldTable]) -> Mapping[str, list[OldTable]]:
    """The tables by class."""
    found: dict[str, list[OldTable]] = {}
    for table in tables:
        found.setdefault(table.kind, []).append(table)
    return found
