"""What texts are: numbers, true and false, or names; and labels in text, as they were written."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from qstore_ray.data.columns import LabelKind

TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
BOOLEANS = frozenset((*TRUE, *FALSE))
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_WHOLE_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.0")
_SAVETXT = re.compile(r"-?[0-9]\.[0-9]{4,18}e[+-][0-9]{2,3}")
"""What `np.savetxt` writes, with its usual digits or fewer."""

_STYLES = (_WHOLE, _WHOLE_FLOAT, _SAVETXT)


def is_number(text: str) -> bool:
    """Whether `text` is written as a number, in ASCII; digits of other scripts are none."""
    if not text.isascii():  # Python's float reads them, parsers of files do not
        return False
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def label_kind_of(texts: Collection[str], missing: Iterable[str], *, quantity: bool) -> LabelKind:
    """How labels that are written so are read.

    Labels are numbers where all are, and where each number, written again, is the text it was read
    from: `00` beside `0`, `+1`, `1e3` and `1.0` beside `1` are names. Labels that are all written
    as `np.savetxt` writes them are numbers, and so are quantities (of a regression, or with
    fractions), however they are written.

    Args:
        texts: the distinct labels.
        missing: texts that stand for a missing one.
        quantity: whether the task asks for numbers.
    """
    known = set(texts) - set(missing)
    if not known:
        return "text"
    if known <= BOOLEANS:
        return "boolean"
    if not all(is_number(text) for text in known):
        return "text"
    whole = all(float(text).is_integer() for text in known)
    one_style = any(all(style.fullmatch(t) for t in known) for style in _STYLES)
    return "number" if quantity or not whole or one_style else "text"
