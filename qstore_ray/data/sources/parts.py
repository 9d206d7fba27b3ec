"""Which part of the data a name means: train, val or test. One rule for every source.

A file, a folder, an array or a split of a hub is called by words: `X_train`, `iris-train.csv`,
`trainData`, `Training/cat`, `adult.test`, `t10k-images-idx3-ubyte`. The words, in any case, joined
by `_`, `-`, `.`, a blank or a capital letter, say which part it is:

    train   train, training
    val     val, valid, validation, validate, dev
    test    test, testing, eval, evaluation, holdout, t10k

`eval` and `evaluation` are test, as the Hugging Face hub reads them; beside a `test` they are a
second candidate. Nothing is guessed: two candidates for a part, a test without a train, or a name
without such a word beside names with one is an error that lists them and says what to write.
`divide_files` decides for files and folders, `pair_arrays` (`array_pairs.py`) for arrays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from qstore_ray.errors import DataError

Split: TypeAlias = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

PART_WORDS: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "holdout", "t10k"), "test"),
}
_GLUED = ("set", "data", "split", "x", "y", "images", "image", "labels", "label", "features")
"""Words that are written without a joint before or behind the word of a part: `trainset`."""
_SHOWN = 6
EXPLICIT = 'Say which is which: params.train = "…", with params.val and params.test if there is'
_FEATURES = {"x", "data", "features", "images", "image"}
_LABELS = {"y", "label", "labels", "target", "targets"}
_PAIRED = (
    "Features and labels in two files are joined first: into one table with the label as a column, "
    "or into one .npz file with the arrays x_train, y_train, x_test and y_test."
)
FIX = f"{EXPLICIT} one, each a file, a folder or a pattern, in place of params.path."


class Named(NamedTuple):
    """What a name says: a part, nothing, or something that only looks like a part (`test2`)."""

    part: Split | None
    doubtful: bool = False


class PartFiles(dict[Split, tuple[str, ...]]):
    """Files by part, in the order train, val, test.

    Attributes:
        homes: the folder of each part, below which further folders are classes.
        found: each part and where it was found, in words, if there are more parts than train.
    """

    def __init__(
        self,
        files: Mapping[Split, tuple[str, ...]],
        homes: Mapping[Split, str],
        found: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__({part: files[part] for part in SPLITS if part in files})
        self.homes = dict(homes)
        self.found = found

    def without(self, part: Split) -> PartFiles:
        """The other parts."""
        files = {other: paths for other, paths in self.items() if other != part}
        homes = {other: home for other, home in self.homes.items() if other != part}
        found = tuple((other, said) for other, said in self.found if other != part)
        return PartFiles(files, homes, found if len(files) > 1 else ())


class _Place(NamedTuple):
    """A file's folders and, where names count, its own name; the place of the part's word there."""

    file: str
    steps: tuple[str, ...]
    level: int
    part: Split


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case: `X_train` and `XTrain` are x, train."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    apart = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", apart)
    words = [word.lower() for word in re.split(r"[^A-Za-z0-9]+", apart) if word]
    joined = " ".join(words).replace("hold out", "holdout")
    return tuple(joined.split())


def part_of_name(name: str) -> Named:
    """The part that a name means, if its words name exactly one."""
    words = words_of(name)
    parts = {part for word in words if (part := part_of_word(word)) is not None}
    if len(parts) == 1:
        return Named(parts.pop())
    return Named(None, bool(parts) or any(_numbered(word) for word in words))


def part_of_word(word: str) -> Split | None:
    """The part that one word in lower case means, alone or glued to another (`xtrain`)."""
    if word in PART_WORDS:
        return PART_WORDS[word]
    for other in _GLUED:
        for rest in (word.removeprefix(other), word.removesuffix(other)):
            if rest != word and rest in PART_WORDS:
                return PART_WORDS[rest]
    return None


def _numbered(word: str) -> bool:
    """Whether it is the word of a part with something behind it: test2, tests, trainval."""
    behind = "|".join((*PART_WORDS, r"\d+", "s"))
    return any(re.fullmatch(rf"{known}({behind})", word) is not None for known in PART_WORDS)


def divide_files(root: str, files: Sequence[str], *, by_names: bool, listed: str) -> PartFiles:
    """Files by part, by the words in their names and in those of their folders.

    Args:
        root: the folder that was asked for; "" where it was a file or a pattern.
        files: those found, in order.
        by_names: whether the files' own names count, beside their folders'.
        listed: what was asked for, for messages.

    Raises:
        DataError: names that look like parts but are ambiguous.
    """
    top = root or _common(files)
    if len(files) == 1 and not root:
        return PartFiles({"train": tuple(files)}, {"train": top})
    steps = {file: _steps(top, file, files, by_names) for file in files}
    places = [place for file in files if (place := _place(file, steps[file])) is not None]
    if not places:
        return PartFiles({"train": tuple(files)}, {"train": top})
    level = min(place.level for place in places)
    placed = {place.file: place for place in places if place.level == level}
    _check_same_folder(placed, level, listed)
    others = [file for file in files if file not in placed]
    _check_all_placed(others, placed, top, listed)
    chosen: dict[Split, list[str]] = {}
    names: dict[Split, dict[str, int]] = {}
    for file in files:
        place = placed[file]
        chosen.setdefault(place.part, []).append(file)
        known = names.setdefault(place.part, {})
        known[place.steps[level]] = known.get(place.steps[level], 0) + 1
    _check_one_candidate(names, listed)
    _check_train(names, listed)
    homes = {part: _home(top, placed[paths[0]], by_names) for part, paths in chosen.items()}
    found = tuple((part, _said(names[part], chosen[part])) for part in SPLITS if part in chosen)
    return PartFiles(
        {part: tuple(paths) for part, paths in chosen.items()},
        homes,
        found if len(found) > 1 else (),
    )


def _steps(top: str, file: str, files: Sequence[str], by_names: bool) -> tuple[str, ...]:
    """The names that count, from the outermost folder to the file."""
    *folders, name = file[len(top) :].lstrip("/").split("/")
    if not by_names:
        return tuple(folders)
    stem, _, suffix = name.rpartition(".")
    if suffix.lower() == "data" and any(
        other.lower() == f"{file[: -len(suffix)]}test".lower() for other in files
    ):
        return (*folders, f"{stem}.train")  # the classic pair adult.data and adult.test
    return (*folders, name if suffix.lower() in PART_WORDS else _stem(name))


def _stem(name: str) -> str:
    """A file's name without its suffixes (`.csv`, `.idx.gz`), which are no words of it."""
    stem = re.sub(r"(?i)(\.(?!train|val|test|dev)[a-z]\w{0,6}){1,2}$", "", name)
    return stem or name


def _place(file: str, steps: tuple[str, ...]) -> _Place | None:
    for level, step in enumerate(steps):
        part = part_of_name(step).part
        if part is not None:
            return _Place(file, steps, level, part)
    return None


def _home(top: str, place: _Place, by_names: bool) -> str:
    """The folder of a part: the one that its word names, else the one that its files are in."""
    depth = place.level + 1
    if by_names and depth == len(place.steps):
        depth -= 1
    return "/".join([top.rstrip("/"), *place.steps[:depth]])


def _check_same_folder(placed: Mapping[str, _Place], level: int, listed: str) -> None:
    """Parts below several folders ({a,b}/{train,test}) may be parts, or halves of each folder."""
    above = sorted({place.steps[:level] for place in placed.values()})
    if len(above) == 1:
        return
    below = sorted({place.steps[level] for place in placed.values()})
    first = "/".join(above[0])
    raise DataError(
        f"each of the folders {_some('/'.join(steps) for steps in above)} has "
        f"{_some(below)} of its own",
        field="params.path",
        value=listed,
        fix=f"Put the parts outside and the classes inside ({below[0]}/{first}), or say "
        f'which files are which by patterns: params.train = "…/*/{below[-1]}/*".',
    )


def _check_all_placed(
    others: Sequence[str], placed: Mapping[str, _Place], top: str, listed: str
) -> None:
    if not others:
        return
    parts = [part for part in SPLITS if part in {place.part for place in placed.values()}]
    like = sorted({place.steps[place.level] for place in placed.values()})
    inside = sorted({file[len(top) :].lstrip("/").split("/")[0] for file in others})
    raise DataError(
        f"{_some(like)} {'is' if len(like) == 1 else 'are'} named for "
        f"{' and '.join(parts)}, and there are other files: "
        f"{_some(inside)}",
        field="params.path",
        value=listed,
        fix=f"{FIX} Where the name is no part (a class that is called test), give the whole "
        "folder as params.train.",
    )


def _check_one_candidate(names: Mapping[Split, Mapping[str, int]], listed: str) -> None:
    for part, known in names.items():
        if len(known) > 1 and not _is_sharded(known):
            raise DataError(
                f"several could be {part}: {_some(sorted(known))}",
                field="params.path",
                value=listed,
                fix=_PAIRED if _is_pair(known) else FIX,
            )


def _is_pair(names: Iterable[str]) -> bool:
    """Whether the names are those of features and of their labels: X_test, y_test."""
    words = [set(words_of(name)) for name in names]
    return len(words) == 2 and all(
        any(found & asked for found in words) for asked in (_FEATURES, _LABELS)
    )


def _check_train(names: Mapping[Split, Mapping[str, int]], listed: str) -> None:
    if "train" not in names:
        there = [name for known in names.values() for name in sorted(known)]
        raise DataError(
            f"{_some(there)} without a train",
            field="params.path",
            value=listed,
            fix=f"{FIX} One file alone is read, and cut into parts, by its own path.",
        )


def _is_sharded(names: Iterable[str]) -> bool:
    """Whether names differ in numbers only, which all have: train-00000-of-00002."""
    plain = {tuple(word for word in words_of(name) if not word.isdigit()) for name in names}
    return len(plain) == 1 and all(any(w.isdigit() for w in words_of(name)) for name in names)


def _said(names: Mapping[str, int], files: Sequence[str]) -> str:
    """Where a part was found: the file's name, or the folder or first name, and how many."""
    first = files[0].rpartition("/")[2]
    if len(files) == 1:
        return first
    return f"{next(iter(names))} ({len(files)} files)"


def _common(files: Sequence[str]) -> str:
    """The innermost folder that all files are below."""
    folders = [file.split("/")[:-1] for file in files]
    same = 0
    while all(len(steps) > same and steps[same] == folders[0][same] for steps in folders):
        same += 1
    return "/".join(folders[0][:same])


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (", …" if len(listed) > _SHOWN else "")
