"""QS111: something is fitted on all rows, and only then are the test rows set apart.

Within one function, or the module outside of functions, the rule follows which variables were
computed with statistics of all rows:

    scaled = StandardScaler().fit_transform(X)      scaled knows all of X
    features = scaled[:, :4]                        so does features
    train, test = train_test_split(features)        the test rows took part in the fit

A fit on what was already split is fine, and so is one on a variable whose name contains `train`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from qstore_ray.review.source import SourceFile, is_value, keyword, names_in, targets_of
from qstore_ray.review.training.base import Spot, TrainingRule

_FITTED: Final = re.compile(
    r"^(sklearn\.(preprocessing|decomposition|feature_selection|impute|manifold|random_projection"
    r"|discriminant_analysis|cross_decomposition)|imblearn\.(over|under)_sampling|umap)\."
)
_STATELESS: Final = {"Normalizer", "FunctionTransformer", "Binarizer", "PolynomialFeatures",
                     "LabelEncoder", "LabelBinarizer", "OneHotEncoder", "OrdinalEncoder",
                     "MultiLabelBinarizer"}  # fmt: skip
"""They learn nothing from the rows, or only which names exist."""

_SPLITS: Final = {"sklearn.model_selection.train_test_split", "torch.utils.data.random_split"}
_VALIDATIONS: Final = {
    f"sklearn.model_selection.{name}"
    for name in ("cross_val_score", "cross_validate", "cross_val_predict")
}
_STATISTICS: Final = {"mean", "std", "var", "min", "max", "median", "ptp"}
_TRAIN: Final = re.compile(r"(^|_)(x_?)?(train|tr)(ing)?([_\dxy]|$)", re.IGNORECASE)


def _check(source: SourceFile) -> Iterator[Spot]:
    for scope in source.scopes():
        yield from _in_scope(source, source.statements(scope))


class _Knowledge:
    """What the variables of a scope know of all rows, statement by statement."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source
        self.knows: dict[str, ast.expr] = {}  # variable → the fit on all rows it depends on
        self.fitted: dict[str, ast.expr] = {}  # fitted object → its fit on all rows
        self.apart: set[str] = set()  # variables that come from a split

    def leaks(self, statement: ast.stmt) -> Iterator[tuple[ast.expr, ast.AST]]:
        """Each fit on all rows whose rows the statement splits, with the place of the split."""
        for call in self.source.own_calls(statement):
            fit = _blamed(self.source, call, self.knows)
            if fit is not None:
                yield fit, call
        if isinstance(statement, ast.Assign):
            name = _cut_by_hand(statement, self.knows)
            if name is not None:
                yield self.knows[name], statement

    def note(self, statement: ast.stmt) -> None:
        """Follow an assignment, or a fit whose object is kept."""
        targets, value = targets_of(statement), getattr(statement, "value", None)
        if value is None:
            return
        read = names_in(value)
        calls = list(self.source.own_calls(statement))
        is_apart = bool(read & self.apart) or any(_is_split(self.source, call) for call in calls)
        new = None if is_apart else _fit_in(self.source, value)
        if new is not None and not targets:  # scaler.fit(X)
            self.fitted |= dict.fromkeys(_receiver(new), new)
        known = new or next((self.knows[name] for name in sorted(read & set(self.knows))), None)
        known = known or _transformed(value, self.fitted)
        for name in targets:
            self.knows.pop(name, None)
            self.apart.discard(name)
            if is_apart:
                self.apart.add(name)
            elif known is not None:
                self.knows[name] = known
        if isinstance(value, ast.Call) and new is value:  # scaler = StandardScaler().fit(X)
            self.fitted |= dict.fromkeys(targets, new)


def _in_scope(source: SourceFile, statements: list[ast.stmt]) -> Iterator[Spot]:
    """The flaws of one scope; its statements stand in the order in which they are written."""
    knowledge = _Knowledge(source)
    reported: set[ast.expr] = set()
    for statement in statements:
        for fit, split in knowledge.leaks(statement):
            if fit not in reported:
                reported.add(fit)
                yield _spot(source, fit, split)
        knowledge.note(statement)


def _fit_in(source: SourceFile, value: ast.expr) -> ast.expr | None:
    """The part of an expression that learns from the rows of a whole table."""
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and _is_fit(source, node):
            return node
        if isinstance(node, ast.BinOp) and (found := _own_statistics(source, node)) is not None:
            return found
    return None


def _is_fit(source: SourceFile, call: ast.Call) -> bool:
    func = call.func
    if not isinstance(func, ast.Attribute) or not call.args:
        return False
    if func.attr not in {"fit", "fit_transform", "fit_resample"}:
        return False
    made = source.made_by(func.value)
    if not _FITTED.match(made) or made.rpartition(".")[2] in _STATELESS:
        return False
    return not any(_TRAIN.search(name) for name in names_in(call.args[0]))


def _own_statistics(source: SourceFile, node: ast.BinOp) -> ast.expr | None:
    """`X - X.mean(axis=0)` and the like: a table that is scaled by statistics of its own rows."""
    if not isinstance(node.op, ast.Sub | ast.Div):
        return None
    for call in (each for each in ast.walk(node.right) if isinstance(each, ast.Call)):
        func = call.func
        if not isinstance(func, ast.Attribute) or func.attr not in _STATISTICS:
            continue
        is_numpy = source.name_of(func).partition(".")[0] in {"numpy", "pennylane"}
        table = call.args[0] if is_numpy and call.args else None if is_numpy else func.value
        axis = keyword(call, "axis") or next(iter(call.args[1 if is_numpy else 0 :]), None)
        if not isinstance(table, ast.Name) or table.id not in names_in(node.left):
            continue
        if _TRAIN.search(table.id) or not is_value(axis, 0):
            continue  # without axis=0 it may be one row, or an image's brightest pixel
        return node
    return None


def _blamed(source: SourceFile, call: ast.Call, knows: dict[str, ast.expr]) -> ast.expr | None:
    """The fit on all rows behind what a call splits or cross-validates."""
    name = source.name_of(call.func)
    parts = call.args[:1] if name in _VALIDATIONS else call.args
    if name in _VALIDATIONS:
        parts = call.args[1:2]
    elif not _is_split(source, call):
        return None
    for part in parts:
        for read in sorted(names_in(part)):
            if read in knows:
                return knows[read]
        if (fit := _fit_in(source, part)) is not None:
            return fit
    return None


def _is_split(source: SourceFile, call: ast.Call) -> bool:
    return source.name_of(call.func) in _SPLITS


def _cut_by_hand(statement: ast.Assign, knows: dict[str, ast.expr]) -> str | None:
    """`X_train, X_test = scaled[:800], scaled[800:]`: the variable whose rows are cut."""
    if not any(_TRAIN.search(name) for name in targets_of(statement)):
        return None
    value = statement.value
    for part in value.elts if isinstance(value, ast.Tuple) else [value]:
        match part:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Slice() | ast.Name()):
                if name in knows:
                    return name
    return None


def _receiver(fit: ast.expr) -> set[str]:
    match fit:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name))):
            return {name}
    return set()


def _transformed(value: ast.expr, fitted: dict[str, ast.expr]) -> ast.expr | None:
    for node in ast.walk(value):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="transform")):
                if name in fitted:
                    return fitted[name]
    return None


def _spot(source: SourceFile, fit: ast.expr, split: ast.AST) -> Spot:
    line = getattr(split, "lineno", 0)
    name = "the scaling"
    match fit:
        case ast.Call(func=ast.Attribute(value=made)):
            name = source.made_by(made).rpartition(".")[2]
    step = "StandardScaler()" if name == "the scaling" else f"{name}(…)"
    return Spot(
        fit,
        f"{name} is fitted on all rows, and line {line} splits them afterwards: the test rows "
        "have taken part in it",
        f"Split first; then fit {name} on the training rows, and apply it to the others "
        f"(in cross-validation: make_pipeline({step}, model)).",
        also=(split,),
    )


FIT_BEFORE_SPLIT: Final = TrainingRule(
    id="QS111",
    title="fit-before-split",
    level="error",
    reason="Scores of test rows that took part in the preparation are better than of new rows.",
    bad="from sklearn.decomposition import PCA\n"
    "from sklearn.model_selection import train_test_split\n\n"
    "X = PCA(4).fit_transform(X)\n"
    "X_train, X_test = train_test_split(X, random_state=0)\n",
    good="from sklearn.decomposition import PCA\n"
    "from sklearn.model_selection import train_test_split\n\n"
    "X_train, X_test = train_test_split(X, random_state=0)\n"
    "pca = PCA(4).fit(X_train)\n"
    "X_train, X_test = pca.transform(X_train), pca.transform(X_test)\n",
    check=_check,
)
