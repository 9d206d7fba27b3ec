"""QS113: a trainable parameter that nothing uses, so that training cannot change any output.

Three kinds are seen in the text: a `Parameter` or `ParameterVector` of Qiskit that is made and
never read; an argument of a PennyLane circuit that its body never reads; a `torch.nn.Parameter` or
layer that a module makes and no line of the file reads.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from qstore_ray.review.source import SourceFile
from qstore_ray.review.training.base import Spot, TrainingRule

_QISKIT: Final = {
    f"qiskit.circuit.{module}{name}"
    for module in ("", "parameter.", "parametervector.")
    for name in ("Parameter", "ParameterVector")
}
_QNODE: Final = {"pennylane.qnode", "pennylane.QNode"}
_TORCH: Final = (
    "torch.nn.",
    "pennylane.qnn.TorchLayer",
    "qiskit_machine_learning.connectors.Torch",
)
_NOT_TRAINED: Final = {"Module", "ReLU", "Tanh", "Sigmoid", "GELU", "Softmax", "LogSoftmax",
                       "Dropout", "Dropout2d", "Flatten", "Identity", "ModuleList", "ModuleDict",
                       "MSELoss", "CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss", "NLLLoss",
                       "L1Loss", "SmoothL1Loss", "MaxPool2d", "AvgPool2d", "LeakyReLU", "ELU",
                       "SiLU", "Softplus", "AdaptiveAvgPool2d", "Upsample"}  # fmt: skip


def _check(source: SourceFile) -> Iterator[Spot]:
    yield from _qiskit(source)
    yield from _pennylane(source)
    yield from _torch(source)


def _qiskit(source: SourceFile) -> Iterator[Spot]:
    read = {
        node.id
        for node in source.nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    } | _exported(source)
    for node in source.nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                made = source.name_of(call.func)
                if made in _QISKIT and name not in read and not name.startswith("_"):
                    yield Spot(
                        node,
                        f"the parameter {name} is in no circuit",
                        f"Use it in a gate, such as circuit.ry({name}, 0), or delete the line.",
                    )


def _pennylane(source: SourceFile) -> Iterator[Spot]:
    for node in source.nodes:
        if not isinstance(node, ast.FunctionDef) or not _is_qnode(source, node):
            continue
        read = {
            each.id
            for part in node.body
            for each in ast.walk(part)
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
        }
        if "locals" in read:
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            if argument.arg not in read and argument.arg not in {"self", "cls"}:
                if argument.arg.startswith("_"):
                    continue
                yield Spot(
                    argument,
                    f"the circuit {node.name} does not use its argument {argument.arg}: its "
                    "gradient is zero",
                    f"Use {argument.arg} in a gate before the measurement, or take it away.",
                )


def _is_qnode(source: SourceFile, function: ast.FunctionDef) -> bool:
    for decorator in function.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if source.name_of(target) in _QNODE:
            return True
    return False


def _torch(source: SourceFile) -> Iterator[Spot]:
    read = {
        node.attr
        for node in source.nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    strings = {
        node.value
        for node in source.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for module in source.nodes:
        if not isinstance(module, ast.ClassDef) or not _is_module(source, module):
            continue
        for node in ast.walk(module):
            match node:
                case ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)],
                    value=ast.Call() as call,
                ):
                    made = source.name_of(call.func)
                    if name in read or name in strings or not _is_trained(made):
                        continue
                    what = made.rpartition(".")[2]
                    yield Spot(
                        node,
                        f"nothing in this file reads self.{name}: the {what} is trained by "
                        "nothing and changes no output",
                        f"Use self.{name} in forward(), or delete the line.",
                        level="error" if what == "Parameter" else "warning",
                    )


def _is_module(source: SourceFile, module: ast.ClassDef) -> bool:
    """A class that is a module of torch itself, whose `forward` stands in it."""
    bases = {source.name_of(base) for base in module.bases}
    forwards = any(isinstance(n, ast.FunctionDef) and n.name == "forward" for n in module.body)
    return forwards and bool(bases & {"torch.nn.Module", "torch.nn.modules.Module"})


def _is_trained(made: str) -> bool:
    return made.startswith(_TORCH) and made.rpartition(".")[2] not in _NOT_TRAINED


def _exported(source: SourceFile) -> set[str]:
    """The names in `__all__`."""
    return {
        each.value
        for node in source.tree.body
        if isinstance(node, ast.Assign) and "__all__" in {ast.unparse(t) for t in node.targets}
        for each in ast.walk(node.value)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


UNUSED_PARAMETER: Final = TrainingRule(
    id="QS113",
    title="unused-parameter",
    level="error",
    reason="A parameter that reaches no output has the gradient zero: training does nothing to it.",
    bad="import pennylane as qml\n\n"
    "@qml.qnode(qml.device('default.qubit', wires=1))\n"
    "def circuit(x, weights):\n"
    "    qml.RX(x, wires=0)\n"
    "    return qml.expval(qml.PauliZ(0))\n",
    good="import pennylane as qml\n\n"
    "@qml.qnode(qml.device('default.qubit', wires=1))\n"
    "def circuit(x, weights):\n"
    "    qml.RX(x, wires=0)\n"
    "    qml.RY(weights[0], wires=0)\n"
    "    return qml.expval(qml.PauliZ(0))\n",
    check=_check,
)
