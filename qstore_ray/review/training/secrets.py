"""QS115: a password, a key or a token written into the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from qstore_ray.credentials import is_secret
from qstore_ray.review.source import SourceFile
from qstore_ray.review.training.base import Spot, TrainingRule

_SHORTEST: Final = 16
_PLACEHOLDER: Final = re.compile(
    r"your|my[_-]|xxx|\.\.\.|…|<|>|\*\*|example|dummy|fake|mock|placeholder|change|insert|replace"
    r"|enter|here|todo|none|test|secret|password|token|api[_-]?key|key[_-]here|\{|\$|\s|^/|://",
    re.IGNORECASE,
)
_LETTER, _DIGIT = re.compile(r"[A-Za-z]"), re.compile(r"\d")


def _check(source: SourceFile) -> Iterator[Spot]:
    for node in source.nodes:
        match node:
            case ast.Assign(targets=[target], value=ast.Constant(value=str() as text)):
                name = ast.unparse(target).rpartition(".")[2]
            case ast.keyword(arg=str() as name, value=ast.Constant(value=str() as text)):
                pass
            case _:
                continue
        place = node if isinstance(node, ast.Assign) else node.value
        if is_secret(name) and _looks_real(text):
            yield Spot(
                place,
                f"the value of {name} is in the source, and in its history",
                f"Have it revoked; read {name} from the environment or a file that only you can "
                f"read: {name} = os.environ[{name.upper()!r}].",
            )


def _looks_real(text: str) -> bool:
    """Whether a text may be a key: long, of one word, with letters and digits, no placeholder."""
    return (
        len(text) >= _SHORTEST
        and not _PLACEHOLDER.search(text)
        and bool(_LETTER.search(text) and _DIGIT.search(text))
        and len(set(text)) >= _SHORTEST // 2
    )


SECRET_IN_SOURCE: Final = TrainingRule(
    id="QS115",
    title="secret-in-source",
    level="error",
    reason="Whoever sees the repository, or an old copy of it, can use the account.",
    bad='service = QiskitRuntimeService(token="Zk83hGq0PbW5vNn2Lr7Tc1Yx")\n',
    good='service = QiskitRuntimeService(token=os.environ["QISKIT_IBM_TOKEN"])\n',
    check=_check,
    same_as=frozenset({"S105", "S106", "S107"}),
)
