"""How texts are compared: in the Unicode form NFC, without blanks around them.

`Köln` may be four letters or five code points, and a table may pad its values; both look alike, so
they are one label and one category, in every source.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


def spelled(text: str) -> str:
    """The text in NFC, without blanks around it."""
    return unicodedata.normalize("NFC", text).strip()


def spelled_labels(y: AnyArray) -> AnyArray:
    """Labels (N,) with every text as `spelled` gives it; numbers as they are."""
    if y.dtype.kind != "U":
        return y
    found, places = np.unique(y, return_inverse=True)
    texts = [spelled(text) for text in found.tolist()]
    labels: AnyArray = y if texts == found.tolist() else np.array(texts)[places]
    return labels


def look_alike(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of names that differ in case or blanks, or as numbers in notation, only.

    The groups and their names are in the order of the names.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_plain("".join(name.split()).casefold()), []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _plain(text: str) -> str:
    """The number that `text` is, in one notation; else the text."""
    try:
        return repr(float(text))
    except ValueError:
        return text
