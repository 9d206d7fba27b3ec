"""Numbers and dates that are written so that a parser of numbers takes them for names.

1,234,567   commas between thousands     12.5 %       a percent sign
3,14        a decimal comma              $ 9.99       a currency sign
2019-03-23 20:21:09                      a date
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from qstore_ray.data.tables.texts import is_number

_THREES = re.compile(r"[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")
_DECIMAL = re.compile(r"[-+]?[0-9]*,[0-9]+")
_PERCENT = re.compile(r"[-+]?[0-9.,]+ ?%")
_MONEY = re.compile(r"[-+]?[$€£¥₹] ?[-+]?[0-9][0-9.,]*|[-+]?[0-9][0-9.,]* ?[$€£¥₹]")
_DATE = re.compile(
    r"([0-9]{4}([-/.])[0-9]{1,2}\2[0-9]{1,2}|[0-9]{1,2}([-/.])[0-9]{1,2}\3([0-9]{4}|[0-9]{2}))"
    r"([T ].*)?"
)
_FORMATS = "in CSV files; in others write plain numbers"
_THOUSANDS = 'Set params.thousands = ","'
_COMMA = 'Set params.decimal = ","'
_PLAIN = "Write the numbers without it"


class Notation(NamedTuple):
    """How values are written, one of them, and what to do."""

    what: str
    value: str
    fix: str


def notation_of(texts: Collection[str]) -> Notation | None:
    """How numbers among `texts` are written, where the others are plain; None for names."""
    odd = sorted(text for text in texts if not is_number(text))
    if not odd:
        return None
    threes, decimal = _all(_THREES, odd), _all(_DECIMAL, odd)
    if threes and decimal:
        digits = odd[0].replace(",", "")
        fix = (
            f"{_THOUSANDS} if {odd[0]} means {digits}, "
            f'or params.decimal = "," if it means {odd[0].replace(",", ".")}, {_FORMATS}'
        )
        return Notation("the numbers have commas", odd[0], fix)
    if threes:
        return Notation(
            "the numbers have commas between thousands", odd[0], f"{_THOUSANDS} {_FORMATS}"
        )
    if decimal:
        return Notation("the numbers have a decimal comma", odd[0], f"{_COMMA} {_FORMATS}")
    if _all(_PERCENT, odd):
        return Notation("the numbers have a percent sign", odd[0], _PLAIN)
    if _all(_MONEY, odd):
        return Notation("the numbers have a currency sign", odd[0], _PLAIN)
    return None


def is_date(text: str) -> bool:
    """Whether `text` is a date, with a time behind it or not."""
    return _DATE.fullmatch(text) is not None


def _all(form: re.Pattern[str], texts: Collection[str]) -> bool:
    return all(form.fullmatch(text) for text in texts)
