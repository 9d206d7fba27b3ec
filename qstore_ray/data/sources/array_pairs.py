"""Which arrays of a file are features and labels, and of which part, by their names.

    x, y    X_train, y_train, X_test, y_test    train_images, train_labels    features, target
    train/x, train/y    train_set_x, train_set_y    data, labels

A name is words (`parts.py`): of a part, of features (x, features, data, images, inputs, …) or of
labels (y, labels, target, …). A part has exactly one array of each. What is left over is an error
where it could be data: its name has such a word, or it has as many rows as a part; anything else
(names of classes, a mean image, a single number) is left out and said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from qstore_ray.data.sources.parts import SPLITS, Split, part_of_name, part_of_word, words_of
from qstore_ray.errors import DataError

FEATURE_WORDS = frozenset(
    ("x", "feature", "features", "data", "image", "images", "input", "inputs")
)
LABEL_WORDS = frozenset(("y", "label", "labels", "target", "targets"))
_WEAK = frozenset(("data", "set", "split", "array", "arr"))
"""Words that say nothing beside another: in train_data `data` is the features, in y_data it is not.
"""
_UNNAMED = ("arr_0", "arr_1")


class ArrayName(NamedTuple):
    """What an array's name says: the part, and whether it is features (x) or labels (y)."""

    part: Split | None
    axis: str


class Pair(NamedTuple):
    """Names of the features and of the labels of one part."""

    x: str
    y: str


class Pairs(NamedTuple):
    """The pairs of each part, and the names that are none."""

    parts: Mapping[Split, Pair]
    left: tuple[str, ...]


def array_name(name: str) -> ArrayName | None:
    """What an array is, if its words say that and nothing else; a group may be called anything."""
    *groups, own = name.split("/")
    words = [word for word in _unglued(own) if part_of_word(word) is None]
    words += [word for group in groups for word in _unglued(group) if _is_role(word)]
    strong = [word for word in words if word not in _WEAK] or [w for w in words if w == "data"]
    axes = {"x" if word in FEATURE_WORDS else "y" for word in strong if _is_role(word)}
    if len(axes) != 1 or not all(map(_is_role, strong)):
        return None
    found = part_of_name(name)
    return None if found.doubtful else ArrayName(found.part, axes.pop())


def pair_arrays(names: Sequence[str], where: str) -> Pairs:
    """The pairs among `names`, paths of arrays such as `x_train` or `train/x`.

    Raises:
        DataError: several features or labels of one part, one without the other, or both arrays
            without a part and arrays of train.
    """
    kinds = {name: kind for name in names if (kind := array_name(name)) is not None}
    by_kind: dict[ArrayName, list[str]] = {}
    for name, kind in kinds.items():
        by_kind.setdefault(kind, []).append(name)
    for kind, several in by_kind.items():
        if len(several) > 1:
            end = "" if kind.part in (None, "train") else f"_{kind.part}"
            raise DataError(
                f"several arrays could be the {'features' if kind.axis == 'x' else 'labels'}"
                f"{'' if kind.part is None else f' of {kind.part}'}: {', '.join(several)}",
                field=where,
                fix=f"Name the two that are meant in params.x{end} and params.y{end}.",
            )
    parts: dict[Split, Pair] = {}
    for part in (None, *SPLITS):
        here = {kind.axis: found[0] for kind, found in by_kind.items() if kind.part == part}
        if len(here) == 1:
            raise DataError(
                f"{next(iter(here.values()))} is there and its other half is not",
                field=where,
                value=tuple(names),
                fix="Name the arrays that are meant in params.x and params.y.",
            )
        if here and part == "train" and "train" in parts:
            raise DataError(
                f"there are arrays {parts['train'].x} and {here['x']}",
                field=where,
                fix="Say which are meant: params.x and params.y.",
            )
        if here:
            parts[part or "train"] = Pair(here["x"], here["y"])
    paired = {name for pair in parts.values() for name in pair}
    return Pairs(parts, tuple(name for name in names if name not in paired))


def check_left(
    left: Sequence[str],
    rows: Sequence[int],
    length: Callable[[str], int | None],
    where: str,
) -> None:
    """Raise `DataError` where an array that is left over could be data.

    Args:
        left: names of the arrays that are in no pair.
        rows: how many rows each part has.
        length: how many rows an array has; None for a single value.
    """
    doubtful = [
        name
        for name in left
        if array_name(name) is not None
        or part_of_name(name) != (None, False)
        or length(name) in rows
    ]
    if doubtful:
        raise DataError(
            f"arrays are left over: {', '.join(doubtful)}",
            field=where,
            fix="Name the arrays that are meant in params.x and params.y, and those of other "
            "parts in params.x_val, params.y_val, params.x_test and params.y_test; the others "
            "are then left out.",
        )


def unnamed_fix(names: Sequence[str]) -> str:
    """What to write where arrays were saved without names."""
    if not set(_UNNAMED) <= set(names):
        return ""
    return ' They were saved without names: set params.x = "arr_0" and params.y = "arr_1".'


def _unglued(name: str) -> list[str]:
    """The words of a name, `xtrain` as x and train."""
    words = []
    for word in words_of(name):
        part = part_of_word(word)
        other = [w for w in (*FEATURE_WORDS, *LABEL_WORDS) if part and word in _both(w, word)]
        words += [word] if not other else [max(other, key=len)]
    return words


def _both(role: str, word: str) -> tuple[str, ...]:
    """`word` where it is `role` glued to the word of a part, in either order."""
    rests = (word.removeprefix(role), word.removesuffix(role))
    return tuple(word for rest in rests if rest != word and part_of_word(rest) is not None)


def _is_role(word: str) -> bool:
    return word in FEATURE_WORDS or word in LABEL_WORDS
