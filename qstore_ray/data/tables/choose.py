"""Which columns of a table are features, which one is the label, and which are left out and why.

The label is the column that `columns.label` names, or the one that is called label, labels, target,
class or y, in any case. If no column or several have such a name, the error lists the columns. All
other columns are features, unless `columns.features` or `columns.exclude` says which, except an
index: what pandas' metadata marks as one, what has no name (`to_csv` writes an index so), and what
`index.py` finds by name and values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from qstore_ray.data.rows.spelling import spelled
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.tables.names import LABELS, is_unnamed, listed, may_be_index
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.errors import DataError, UnlabelledError, unknown_name_error

EMPTY = "every value is missing"
INDEX = "the index of a pandas table"
NAMELESS = "without a name"


class Chosen(NamedTuple):
    """Names of the feature columns, of label, group and weight if any, and what is left out.

    The frozen set holds the features whose names suggest a row identifier.
    """

    features: tuple[str, ...]
    label: str | None
    group: str | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    kept: tuple[str, ...] = ()
    telling: frozenset[str] = frozenset()
    weight: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All that are read: features, label, group, weight, and what is kept."""
        others = (n for n in (self.label, self.group, self.weight) if n is not None)
        return tuple(dict.fromkeys((*self.features, *others, *self.kept)))


def choose(
    names: Sequence[str],
    request: TableRequest,
    where: str,
    *,
    index: Mapping[str, str] | None = None,
) -> Chosen:
    """The columns to read among `names`.

    Args:
        names: of all columns of the table.
        request: what is asked for; with a schema, its features are what is read.
        where: the file, for error messages.
        index: columns that are no data, and why; they are read only where they are asked for.

    Raises:
        DataError: too many columns, two of one name, or no column that is the label.
        UnknownNameError: a column was asked for that is not there.
    """
    _check_names(names, request, where)
    if request.schema is not None:
        return _known(names, request, request.schema.names, where)
    asked = request.columns
    label = _label(names, asked, where) if request.labelled else None
    _check_roles(names, asked, label)
    for field in ("features", "exclude", "categories"):
        for name in getattr(asked, field) or ():
            if name not in names:
                kind = "feature" if field == "features" else "column"
                raise unknown_name_error(kind, name, names, field=f"columns.{field}")
    if label in (asked.features or ()):
        raise DataError(
            "the label is also a feature",
            field="columns.features",
            value=label,
            fix="Leave it out of the features.",
        )
    others = [name for name in names if name not in (label, asked.group, asked.weight)]
    reasons = {name: why for name, why in (index or {}).items() if name in others}
    reasons |= {n: INDEX if n == names[0] else NAMELESS for n in others if is_unnamed(n)}
    reasons |= dict.fromkeys(asked.exclude, "excluded")
    if asked.features is not None:
        features = asked.features
        left_out = {n: reasons.get(n, "not asked for") for n in others if n not in features}
    else:
        kept = {*asked.categories}
        left_out = {n: reasons[n] for n in others if n in reasons and n not in kept}
        features = tuple(name for name in others if name not in left_out)
    if not features:
        roles = {"label": label, "group": asked.group, "weight": asked.weight}
        beside = [f"the {role} {name!r}" for role, name in roles.items() if name is not None]
        raise DataError(
            f"there is no column beside {' and '.join(beside)}" if beside else "no column is left",
            field=where,
            fix="Give at least one feature.",
        )
    telling = frozenset(name for at, name in enumerate(names) if may_be_index(name, at))
    return Chosen(
        features,
        label,
        asked.group,
        tuple(left_out.items()),
        telling=telling,
        weight=asked.weight,
    )


def _check_roles(names: Sequence[str], asked: ColumnsConfig, label: str | None) -> None:
    """Raise unless group and weight are columns of the table, and none is the label."""
    for role, name in (("group", asked.group), ("weight", asked.weight)):
        if name is not None and name not in names:
            raise unknown_name_error("column", name, names, field=f"columns.{role}")
        if name is not None and name == label:
            raise DataError(
                f"the {role} is also the label",
                field=f"columns.{role}",
                value=name,
                fix="Set columns.label to the column of the labels.",
            )


def same_columns(
    names: Sequence[str], first: Sequence[str], where: str, first_file: str, label: str | None
) -> None:
    """Check that a file has the columns of the first one, in any order.

    Raises:
        DataError: other columns, or all but the label.
    """
    lacking = [name for name in first if name not in names]
    further = [name for name in names if name not in first]
    if label is not None and lacking == [label] and not further:
        raise unlabelled_error(label, where, first_file)
    said = [f"without {listed(lacking)}"] if lacking else []
    if further:
        said.append(f"with {listed(further)} besides")
    if said or len(names) != len(first):
        raise DataError(
            ": ".join([f"other columns than in {first_file}", *filter(None, [" and ".join(said)])]),
            field=where,
            fix="Give files of one kind, choose some of them with a pattern, or give each file the "
            "same columns.",
        )


def unlabelled_error(label: str, where: str, first_file: str) -> UnlabelledError:
    """The error of a file without the label column, such as the test set of a competition."""
    return UnlabelledError(
        f"the file has no column {label!r}, which is the label in {first_file}",
        field=where,
        fix="Rows without a label cannot be scored: leave the file out, by params.train or a "
        "pattern, and predict on it with the trained model.",
    )


def _check_names(names: Sequence[str], request: TableRequest, where: str) -> None:
    if len(names) > request.max_columns:
        raise DataError(
            f"{len(names):,} columns, {request.max_columns:,} are allowed",
            field=where,
            fix="Raise params.max_columns if this is meant.",
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            "columns have the same name",
            field=where,
            value=twice,
            fix="Give each its own name; if the first line is a row and no header, set "
            "params.header = false; if the names are in the next line, params.skip_lines = 1.",
        )


def _known(
    names: Sequence[str], request: TableRequest, wanted: Sequence[str], where: str
) -> Chosen:
    check_features(names, wanted, where)
    out = ((name, "no feature of the model") for name in names if name not in set(wanted))
    kept = tuple(name for name in request.kept if name in names)
    return Chosen(tuple(wanted), None, None, tuple(out), kept)


def check_features(names: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Raise `DataError` unless every feature of a model is among the columns of a table."""
    missing = [name for name in wanted if name not in names]
    if not missing:
        return
    found = [name for name in wanted if name in names]
    said = f"found are {listed(found)}" if found else "none of them exists"
    forms = {spelled(name): name for name in names}
    alike = [(forms[spelled(name)], name) for name in missing if spelled(name) in forms]
    if alike:
        raise DataError(
            "names of columns are in another Unicode form, or have blanks around them: "
            + listed([f"{name!a} for {known!a}" for name, known in alike]),
            field=where,
            value=[name for name, _ in alike],
            fix="Write each name as it is shown behind `for`.",
        )
    raise DataError(
        f"{len(missing)} of the model's {len(wanted)} features are missing: {listed(missing)}; "
        f"{said}",
        field=where,
        value=missing,
        fix=f"The model's features are {listed(wanted)}; the table has {listed(names)}. Name the "
        "columns so; their order does not matter.",
    )


def _label(names: Sequence[str], columns: ColumnsConfig, where: str) -> str:
    asked = columns.label
    if asked is not None:
        if asked not in names:
            raise unknown_name_error("column", asked, names, field="columns.label")
        return asked
    names = [name for name in names if name not in columns.exclude]
    found = list(_candidates(names))
    if len(found) != 1:
        raise DataError(
            "several columns could be the label"
            if found
            else f"no column is called {', '.join(LABELS[:-1])} or {LABELS[-1]}",
            field=where,
            value=found or None,
            fix=f"Set columns.label to one of: {listed(names)}."
            + (_PROSE if where.lower().endswith(".txt") and not found else ""),
        )
    return found[0]


_PROSE = (
    " If the file is prose and no table: make numbers of the texts first, such as word counts, and "
    "write them as a table."
)


def _candidates(names: Sequence[str]) -> Iterator[str]:
    return (name for name in names if name.strip().lower() in LABELS)
