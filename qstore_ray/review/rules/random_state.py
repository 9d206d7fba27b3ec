"""QS101: random numbers from the state of the process instead of a generator with a seed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from qstore_ray.review.rules.base import CodeRule, Match, match_of
from qstore_ray.review.rules.surroundings import Surroundings, is_none

# What makes a generator, or reads the state without drawing from it.
_GENERATORS = {
    "BitGenerator", "Generator", "MT19937", "PCG64", "PCG64DXSM", "Philox", "RandomState", "SFC64",
    "SeedSequence", "bit_generator", "default_rng", "get_state",
}  # fmt: skip
_OBJECTS = {"Random", "SystemRandom", "getstate"}
_SEEDED = {
    *(f"numpy.random.{name}" for name in (
        "default_rng", "RandomState", "SeedSequence", "MT19937", "PCG64", "PCG64DXSM", "Philox",
        "SFC64",
    )),
    "random.Random",
}  # fmt: skip
"""What takes a seed, and else takes one of the system's."""
_WRAPPERS = ("pennylane.", "autograd.")
"""Packages whose `numpy` is numpy's, with its generators."""
_WHOLE_PROCESS = {
    "keras.utils.set_random_seed": "seeds Python, numpy and the framework",
    "tensorflow.random.set_seed": "seeds the process",
    "torch.manual_seed": "seeds the process",
    "torch.rand": "draws from the state of the process",
    "torch.randn": "draws from the state of the process",
    "torch.randint": "draws from the state of the process",
    "torch.randperm": "draws from the state of the process",
    "torch.rand_like": "draws from the state of the process",
    "torch.randn_like": "draws from the state of the process",
    "torch.normal": "draws from the state of the process",
    "torch.cuda.manual_seed_all": "seeds the process",
}


def _check(node: ast.AST, around: Surroundings) -> Iterator[Match]:
    assert isinstance(node, ast.Call)
    yield from _made_elsewhere(node, around)
    name = _dotted(node.func, around)
    module, _, function = name.rpartition(".")
    if not around.is_imported(node.func):
        return
    if module == "numpy.random" and function not in _GENERATORS:
        yield match_of(node, f"numpy.random.{function} uses the random state of the process.")
    elif module == "random" and function not in _OBJECTS:
        yield match_of(node, f"random.{function} uses the random state of the process.")
    elif name in _SEEDED and _unseeded(node):
        yield match_of(node, f"{function}() without a seed draws other numbers in every run.")
    elif name in _WHOLE_PROCESS and not any(k.arg == "generator" for k in node.keywords):
        yield match_of(node, f"{name} {_WHOLE_PROCESS[name]}.")


def _dotted(node: ast.expr, around: Surroundings) -> str:
    name = around.dotted(node)
    start = next((each for each in _WRAPPERS if name.startswith(f"{each}numpy.random")), "")
    return name.removeprefix(start)


def _made_elsewhere(call: ast.Call, around: Surroundings) -> Iterator[Match]:
    """`field(default_factory=np.random.default_rng)`: called later, without a seed."""
    factory = next((each.value for each in call.keywords if each.arg == "default_factory"), None)
    if factory is not None and around.is_imported(factory):
        name = _dotted(factory, around)
        if name in _SEEDED:
            yield match_of(call, f"{name.rpartition('.')[2]}() is made without a seed.")


def _unseeded(call: ast.Call) -> bool:
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    return not values or is_none(values[0])


RULE = CodeRule(
    id="QS101",
    title="global random state",
    reason="A generator that the whole process shares gives other numbers as soon as a library, a "
    "thread or a worker draws one more. A training then cannot be repeated, and workers that were "
    "seeded alike draw the same noise.",
    suggestion="Make a generator from the seed of the run, numpy.random.default_rng(seed), and "
    "pass it on.",
    nodes=(ast.Call,),
    words=re.compile(r"\brandom\b|default_rng|RandomState|manual_seed|\btorch\b|set_random_seed"),
    check=_check,
)
"""Global random state."""
