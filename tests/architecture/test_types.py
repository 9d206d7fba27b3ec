"""Types: a public signature or field names its tables; `dict[str, Any]` says nothing of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import MODULES, Function

FREE = {"Record", "Result", "Table", "Values"}
"""The aliases of free tables: of metrics, of Ray Tune, of a user's file, of a search space."""

TABLES = {"dict", "Dict", "defaultdict", "OrderedDict", "Mapping", "MutableMapping"}


def is_nameless(node: ast.AST) -> bool:
    """True for a mapping from text to `Any`, also by the names that `typing` gives them."""
    if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Tuple):
        return False
    return (
        _last(node.value) in TABLES
        and len(node.slice.elts) == 2
        and "str" in ast.unparse(node.slice.elts[0])
        and _last(node.slice.elts[1]) == "Any"
    )


def _last(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def nameless(annotation: ast.expr | None) -> bool:
    """Whether such a mapping stands anywhere in an annotation, also in quotes."""
    for node in ast.walk(annotation) if annotation else ():
        if is_nameless(node):
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                inner = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                continue  # a text of Literal or Annotated
            if nameless(inner):
                return True
    return False


def annotations(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.expr | None]]:
    """The annotations of public functions, methods, fields and constants, with dotted names."""
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            blocks = (node.body, getattr(node, "orelse", []), getattr(node, "finalbody", []))
            yield from (each for block in blocks for each in annotations(block, prefix))
        elif isinstance(node, Function) and is_public(node.name):
            yield from signature(node, prefix)
        elif isinstance(node, ast.ClassDef) and is_public(node.name):
            yield from annotations(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.AnnAssign) and is_public(ast.unparse(node.target)):
            yield f"{prefix}{ast.unparse(node.target)}", node.annotation


def is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def signature(function: Function, prefix: str) -> Iterator[tuple[str, ast.expr | None]]:
    """The annotations of the parameters and of what a function returns."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    for argument in every:
        if argument is not None:
            yield f"{prefix}{function.name}({argument.arg})", argument.annotation
    yield f"{prefix}{function.name} ->", function.returns


def test_public_signatures_and_fields_name_their_tables():
    found = {
        f"{module.path}: {name}"
        for module in MODULES
        for name, annotation in annotations(module.tree.body)
        if nameless(annotation)
    }
    assert found == set(), (
        "a table of known keys is a TypedDict of the file that owns it; a free one is "
        "`Table` or `ReadOnlyTable` of qstore_ray.types"
    )


def test_the_names_of_free_tables_are_few_and_described():
    assert set(free_tables()) == FREE
    assert {name for name, said in free_tables().items() if not said} == set(), "say what it holds"


def free_tables() -> dict[str, str]:
    """The aliases of such a mapping, in any module, with the text below each."""
    found = {}
    for module in MODULES:
        for node, after in zip(module.tree.body, [*module.tree.body[1:], None], strict=False):
            name = alias(node)
            if name:
                text = after.value if isinstance(after, ast.Expr) else None
                found[name] = text.value if isinstance(text, ast.Constant) else ""
    return found


def alias(node: ast.stmt) -> str:
    """The public name that a statement gives to such a mapping; "" for any other statement."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return ""
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    name = ast.unparse(target)
    typed = isinstance(node.value, ast.Subscript | ast.BinOp) and nameless(node.value)
    return name if typed and is_public(name) else ""


@pytest.mark.parametrize(
    "annotation",
    [
        "dict[str, Any]",
        "Mapping[str, typing.Any] | None",
        "list[tuple[dict[str, Any], ...]]",
        "Callable[[int, dict[str, Any]], float]",
        "Annotated[dict[int | str, dict[str, Any]], Field(max_length=1)]",
        "'dict[str, Any] | None'",
        "collections.abc.MutableMapping[str, Any]",
    ],
)
def test_a_nameless_table_is_found_inside_other_types(annotation):
    assert nameless(ast.parse(annotation, mode="eval").body)


@pytest.mark.parametrize(
    "annotation",
    ["dict[str, float]", "Mapping[str, object]", "tuple[str, Any]", "dict[int, Any]", "Table"],
)
def test_named_and_typed_tables_are_not(annotation):
    assert not nameless(ast.parse(annotation, mode="eval").body)


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: dict[str, Any]): ...",
        "async def f(*, x: dict[str, Any]): ...",
        "def f(*x: dict[str, Any]): ...",
        "def f() -> dict[str, Any]: ...",
        "class C:\n    x: dict[str, Any]",
        "class C:\n    def __init__(self, x: dict[str, Any]): ...",
        "class C:\n    class D:\n        def f(self) -> dict[str, Any]: ...",
        "if TYPE_CHECKING:\n    def f(x: dict[str, Any]): ...",
        "X: dict[str, Any] = {}",
    ],
)
def test_every_public_place_is_looked_at(source):
    assert any(nameless(found) for _, found in annotations(ast.parse(source).body))


@pytest.mark.parametrize(
    "source",
    ["def _f(x: dict[str, Any]): ...", "class C:\n    _x: dict[str, Any]", "_X: dict[str, Any]"],
)
def test_private_places_are_not(source):
    assert not any(nameless(found) for _, found in annotations(ast.parse(source).body))
