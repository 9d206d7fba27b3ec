"""QS102: reading a file or a message that may run code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from qstore_ray.review.rules.base import CodeRule, Match, match_of
from qstore_ray.review.rules.surroundings import Surroundings, is_true, keyword_of

_READERS = {
    f"{module}.{function}"
    for module in ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "ray.cloudpickle")
    for function in ("load", "loads", "Unpickler")
} | {
    "joblib.load", "pandas.read_pickle", "shelve.open", "marshal.load", "marshal.loads",
    "yaml.unsafe_load", "yaml.unsafe_load_all",
}  # fmt: skip
_YAML = {"yaml.load", "yaml.load_all"}
_YAML_RUNS = {"yaml.Loader", "yaml.UnsafeLoader", "yaml.CLoader"}


def _check(node: ast.AST, around: Surroundings) -> Iterator[Match]:
    if isinstance(node, ast.ClassDef):
        bases = [around.dotted(base) for base in node.bases]
        if any(base in _READERS for base in bases):
            yield Match(node.lineno, node.lineno, f"class {node.name} reads pickles.")
        return
    assert isinstance(node, ast.Call)
    name = around.dotted(node.func)
    for given in (*node.args, *(each.value for each in node.keywords)):  # map(pickle.loads, …)
        if around.is_imported(given) and around.dotted(given) in _READERS:
            yield match_of(node, f"{around.dotted(given)} runs any code that its input names.")
    if name in _READERS:
        yield match_of(node, f"{name} runs any code that its input names.")
    elif name in _YAML:
        loader = keyword_of(node, "Loader") or next(iter(node.args[1:2]), None)
        if loader is None or around.dotted(loader) in _YAML_RUNS:
            yield match_of(node, f"{name} without SafeLoader runs any code that its input names.")
    elif name == "numpy.load" and is_true(keyword_of(node, "allow_pickle")):
        yield match_of(node, "numpy.load(allow_pickle=True) runs any code that the file names.")
    elif name == "torch.load" and not is_true(keyword_of(node, "weights_only")):
        yield match_of(node, "torch.load without weights_only=True may run code of the file.")


RULE = CodeRule(
    id="QS102",
    title="pickle is read",
    reason="A pickle is a program. Who can write a model file, a checkpoint or a data set can run "
    "code on every machine that loads it, and a pickle of one version of a library often cannot be "
    "read by the next.",
    suggestion="Store arrays as .npz or safetensors and the rest as JSON; models by "
    "TrainedModel.save. Read YAML by yaml.safe_load.",
    nodes=(ast.Call, ast.ClassDef),
    words=re.compile(r"pickle|dill|joblib|shelve|marshal|\btorch\b|allow_pickle|yaml"),
    check=_check,
)
"""Reading of pickles."""
