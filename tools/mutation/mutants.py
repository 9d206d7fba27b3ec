"""The mutants of a file, each with a name that stays the same when other lines change.

mutmut numbers the mutants of a function, so that every number moves when a line is added. Here the
name is file, function and the changed text: `learn/losses.py:_huber: -delta → +delta`. Where a
function has the same change more than once, the statement is added, and only if that is the same,
too, a number: so a reason stays with its mutant when such a change is added further up.

The texts of errors are left as they are. A test of every word would only repeat the source.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import libcst as cst
from mutmut.mutation.file_mutation import (
    Mutation,
    combine_mutations_to_source,
    compute_function_hashes,
    create_mutations,
    group_by_top_level_node,
)
from mutmut.mutation.trampoline_templates import mangle_function_name
from mutmut.utils.format_utils import get_mutant_name

from tools.mutation.lines import write_whole
from tools.mutation.verdicts import is_named, sampled

_CONTEXT = 30  # characters kept on each side of what changed
_STATEMENT = 60  # characters kept of a statement
_RULES = "without texts of errors, repeated changes by statement"
"""What is kept is made again if this changes."""
_KINDS: tuple[tuple[type[cst.CSTNode], str], ...] = (
    (cst.BaseNumber, "number"),
    (cst.BaseString, "string"),
    (cst.Call, "argument"),
    (cst.AugAssign, "assignment"),
    (cst.Assign, "assignment"),
    (cst.AnnAssign, "assignment"),
    (cst.ComparisonTarget, "comparison"),
    (cst.BooleanOperation, "condition"),
    (cst.IfExp, "condition"),
    (cst.UnaryOperation, "arithmetic"),
    (cst.BinaryOperation, "arithmetic"),
    (cst.Match, "branch"),
)


@dataclass(frozen=True)
class Mutant:
    """One change of one function.

    Attributes:
        name: What identifies it from run to run, and in `reasons.toml`.
        key: mutmut's name, which switches it on if it is in the sample.
        function: mutmut's name of the function; the tests that reach it are recorded under it.
        path: The file, below the root of the repository.
        kind: What was changed: a number, an argument, a comparison, and so on.
        digest: Changes with the code of the function; a verdict holds as long as it does not.
    """

    name: str
    key: str
    function: str
    path: str
    kind: str
    digest: str


@dataclass(frozen=True)
class Sample:
    """Which mutants are made: about `share` of all, the same ones for the same `seed`.

    With `only`, the mutants that have one of these names or patterns instead.
    """

    seed: int
    share: float
    only: tuple[str, ...] = ()

    def __contains__(self, name: object) -> bool:
        if self.only:
            return any(is_named(str(name), each) for each in self.only)
        return sampled(str(name), self.seed, self.share)


def write_mutants(root: Path, path: str, kept: Path, sample: Sample) -> list[Mutant]:
    """Replace the file `path` below `root` by one that holds its mutants, and return all of them.

    Those outside the sample are not in the file, but for one of each function: its switch records
    who calls the function. What was made once is kept in the folder `kept`.
    """
    source = (root / path).read_text()
    mark = hashlib.sha256(f"{_RULES} {sample} {path} {source}".encode()).hexdigest()[:16]
    record = kept / f"{mark}.json"
    if not record.exists():
        code, found = _made(path, source, sample)
        kept.mkdir(parents=True, exist_ok=True)
        made = {"code": code, "mutants": [asdict(each) for each in found]}
        write_whole(record, json.dumps(made))
    saved = json.loads(record.read_text())
    (root / path).write_text(saved["code"])
    return [Mutant(**each) for each in saved["mutants"]]


def _made(path: str, source: str, sample: Sample) -> tuple[str, list[Mutant]]:
    """The code of the file with its mutants, and what they are."""
    module, mutations, *ignored = create_mutations(path, source)
    wording, statements = _wording(module), _statements(module)
    digests = compute_function_hashes(source)
    found, kept = [], []
    for (name, mangled), group in _by_function(module, mutations):
        seen: Counter[str] = Counter()
        number = 0
        meant = [each for each in group if id(each.original_node) not in wording]
        changes = [_change(module, each) for each in meant]
        for mutation, change in zip(meant, changes, strict=True):
            place = f" in {statements[id(mutation.original_node)]}"
            own = change + (place if changes.count(change) > 1 else "")
            seen[own] += 1
            again = f" #{seen[own]}" if seen[own] > 1 else ""
            full = f"{path.removeprefix('qstore_ray/')}:{name}: {own}{again}"
            if full in sample or not number:
                number += 1
                kept.append(mutation)
            found.append(
                Mutant(
                    name=full,
                    key=get_mutant_name(Path(path), f"{mangled}__mutmut_{number}"),
                    function=get_mutant_name(Path(path), mangled),
                    path=path,
                    kind=_kind(mutation),
                    digest=digests[mangled],
                )
            )
    return combine_mutations_to_source(module, kept, *ignored).code, found


def _by_function(
    module: cst.Module, mutations: list[Mutation]
) -> list[tuple[tuple[str, str], list[Mutation]]]:
    """`((qualified name, mutmut's name), mutations)` of each function, in mutmut's order."""
    groups = group_by_top_level_node(mutations)
    functions: list[tuple[str | None, cst.CSTNode]] = []
    for statement in module.body:
        functions.append((None, statement))
        if isinstance(statement, cst.ClassDef) and isinstance(statement.body, cst.IndentedBlock):
            functions += [(statement.name.value, method) for method in statement.body.body]
    return [
        (
            (
                f"{owner}.{node.name.value}" if owner else node.name.value,
                mangle_function_name(name=node.name.value, class_name=owner),
            ),
            list(groups[node]),
        )
        for owner, node in functions
        if isinstance(node, cst.FunctionDef) and node in groups
    ]


def _kind(mutation: Mutation) -> str:
    return next(
        (word for type_, word in _KINDS if isinstance(mutation.original_node, type_)), "keyword"
    )


def _wording(module: cst.Module) -> set[int]:
    """The texts of errors: every literal within what is raised or within `…Error(…)`."""
    found: set[int] = set()

    class Errors(cst.CSTVisitor):
        def visit_Raise(self, node: cst.Raise) -> None:  # noqa: N802 - libcst's name
            found.update(_literals(node))

        def visit_Call(self, node: cst.Call) -> None:  # noqa: N802 - libcst's name
            name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
            if isinstance(name, cst.Name) and name.value.lower().endswith("error"):
                found.update(_literals(node))

    module.visit(Errors())
    return found


def _literals(node: cst.CSTNode) -> Iterator[int]:
    if isinstance(node, cst.BaseString):
        yield id(node)
    for child in node.children:
        yield from _literals(child)


def _statements(module: cst.Module) -> dict[int, str]:
    """The beginning of the smallest statement around each node, by the node's id."""
    found: dict[int, str] = {}
    around: list[tuple[cst.CSTNode, str]] = []

    class Statements(cst.CSTVisitor):
        def on_visit(self, node: cst.CSTNode) -> bool:
            if isinstance(node, cst.BaseSmallStatement | cst.BaseCompoundStatement):
                lines = module.code_for_node(node).splitlines()
                code = [line for line in lines if not line.lstrip().startswith(("#", "@"))]
                if not isinstance(node, cst.BaseSmallStatement):
                    code = [line for line in code if line.strip()][:1]
                text = re.sub(r"\s+", " ", " ".join(code)).strip()
                short = text if len(text) <= _STATEMENT else f"{text[:_STATEMENT]}…"
                around.append((node, short))
            if around:
                found[id(node)] = around[-1][1]
            return True

        def on_leave(self, original_node: cst.CSTNode) -> None:
            if around and around[-1][0] is original_node:
                around.pop()

    module.visit(Statements())
    return found


def _change(module: cst.Module, mutation: Mutation) -> str:
    """`old → new`, without what both begin and end with beyond a few characters."""
    old, new = (
        re.sub(r"\s+", " ", module.code_for_node(node)).strip()
        for node in (mutation.original_node, mutation.mutated_node)
    )
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    tail = 0
    while tail < min(len(old), len(new)) - start and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    head = max(start - _CONTEXT, 0)
    rest = max(tail - _CONTEXT, 0)
    left = "…" if head else ""
    right = "…" if rest else ""
    return " → ".join(f"{left}{text[head : len(text) - rest]}{right}" for text in (old, new))
