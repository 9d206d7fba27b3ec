"""QS105: a credential in the text of an error, a log line or the terminal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from qstore_ray.review.rules.base import CodeRule, Match, match_of
from qstore_ray.review.rules.surroundings import Surroundings, plain

_OPENS = "get_secret_value"
_NAMES = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|CREDENTIAL", re.IGNORECASE)
_PLACES = re.compile(r"_(?:PATH|FILE|DIR|NAME)$", re.IGNORECASE)
"""How a variable ends that says where a secret is."""

_PRINTS = {"print", "pprint", "warn", "warnings.warn", "typer.echo", "click.echo", "announce",
           "sys.stdout.write", "sys.stderr.write", "mlflow.log_param", "mlflow.log_params",
           "mlflow.set_tag", "mlflow.set_tags", "wandb.log"}  # fmt: skip
_LOGS = {"critical", "debug", "error", "exception", "info", "log", "msg", "warning"}
_LOGGERS = re.compile(r"log", re.IGNORECASE)


def _check(node: ast.AST, around: Surroundings) -> Iterator[Match]:
    if isinstance(node, ast.Raise):
        where, parts = "an error", [node.exc]
    elif isinstance(node, ast.Assert):
        where, parts = "an assertion", [node.msg]
    else:
        assert isinstance(node, ast.Call)
        if not _is_message(node, around):
            return
        where, parts = "a message", [*node.args, *(each.value for each in node.keywords)]
    for part in parts:
        for inner in ast.walk(part) if part is not None else ():
            if what := _secret(inner, around):
                yield match_of(node, f"{where} shows {what}.")
                return


def _is_message(call: ast.Call, around: Surroundings) -> bool:
    name = around.dotted(call.func)
    if name in _PRINTS or name.rpartition(".")[2] == "announce":
        return True
    owner, _, method = plain(call.func).rpartition(".")
    return method in _LOGS and bool(_LOGGERS.search(owner) or around.dotted(call.func) in _LOGS)


def _secret(node: ast.AST, around: Surroundings) -> str:
    """What a node reveals; "" if nothing."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr == _OPENS:
            return f"{ast.unparse(node.func.value)}.{_OPENS}()"
        if around.dotted(node.func) in {"os.getenv", "os.environ.get"} and _named(node.args[:1]):
            return f"the environment variable {ast.unparse(node.args[0])}"
    if isinstance(node, ast.Subscript) and around.dotted(node.value) == "os.environ":
        return f"the environment variable {ast.unparse(node.slice)}" * _named([node.slice])
    value = around.values.get(node.id) if isinstance(node, ast.Name) else None
    if value is not None and not isinstance(value, ast.Name) and (what := _secret(value, around)):
        return f"{ast.unparse(node)}, which is {what}"
    return ""


def _named(nodes: list[ast.expr]) -> bool:
    names = [str(node.value) for node in nodes if isinstance(node, ast.Constant)]
    return any(_NAMES.search(name) and not _PLACES.search(name) for name in names)


RULE = CodeRule(
    id="QS105",
    title="secret in a message",
    reason="Errors, log lines and terminal output are copied into MLflow, tickets and chats, and "
    "kept for years. A token that was shown once has to be revoked.",
    suggestion="Name the account or the file that the secret came from, never the secret.",
    nodes=(ast.Raise, ast.Assert, ast.Call),
    words=re.compile(r"get_secret_value|environ|getenv"),
    check=_check,
)
"""Secrets in messages."""
