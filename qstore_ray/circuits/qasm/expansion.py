"""Expressions of inputs that Qiskit would compute for minutes, or without end.

Qiskit multiplies out products of sums when it adds, subtracts or divides expressions: (a + b + …)²
of six inputs has 36 terms, and comparing them with those of another product takes 20 s; nested
products have thousands. The number of terms is counted here before Qiskit begins.
"""

from __future__ import annotations

import ast
import re
from typing import Final

MOST_TERMS: Final = 20
"""Terms of a product that is multiplied out; 16 take 0.2 s, 25 take 2 s, 36 take minutes."""
_NAME: Final = re.compile(r"[^\W\d]\w*(?:\[\d+\])?")


def is_too_large(symbol: str, a: str, b: str) -> bool:
    """True if Qiskit would multiply out more than `MOST_TERMS` terms for `a symbol b`.

    Args:
        a, b: expressions as Qiskit writes them; empty for a number.
    """
    if symbol not in ("+", "-", "/"):
        return False
    if symbol != "/" and (_is_plain(a) or _is_plain(b)):
        return False
    return max(_expanded(a), _expanded(b)) > MOST_TERMS


def _is_plain(text: str) -> bool:
    """True for a number, and for inputs that are multiplied by nothing else."""
    return not text or all(_NAME.fullmatch(factor.strip()) for factor in text.split("*"))


def _expanded(text: str) -> int:
    """Terms of the largest product of sums in an expression, multiplied out."""
    if "(" not in text:
        return 1
    try:
        tree = ast.parse(_NAME.sub("v", text), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):  # nested too deep for Python
        return MOST_TERMS + 1
    terms, largest = dict[ast.AST, int](), 1
    for node in reversed(list(ast.walk(tree))):  # from the leaves to the root
        count = 1
        if isinstance(node, ast.UnaryOp):
            count = terms[node.operand]
        elif isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Pow):
            left, right = terms[node.left], terms[node.right]
            is_sum = isinstance(node.op, ast.Add | ast.Sub)
            count = left + right if is_sum else left * right
            largest = max(largest, 1 if is_sum or min(left, right) == 1 else count)
        terms[node] = count
    return largest
