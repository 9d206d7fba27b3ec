"""Numbers and dates that are written so that a parser of numbers takes them for names.

1,234,567   commas between thousands     12.5 %       a percent sign
3,14        a decimal comma              $ 9.99       a currency sign
1_000       underscores                  1.5D+00      an exponent of Fortran
'7'         single quotes                −7           a minus sign that is not ASCII
1 000       blanks between thousands     (1.50)       brackets for a minus sign
0x1A        hexadecimal digits           ٣            digits that are not ASCII
2019-03-23 20:21:09, 5 Jan 2020, 2015-01 a date      07:45        a time of day
12 kg, 3.5 kg, … (many of them)          a unit
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import NamedTuple

from qstore_ray.data.tables.texts import is_number

_THREES = re.compile(r"[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")
_DECIMAL = re.compile(r"[-+]?[0-9]*,[0-9]+")
_PERCENT = re.compile(r"[-+]?[0-9.,]+ ?%")
_MONEY = re.compile(r"[-+]?[$€£¥₹] ?[-+]?[0-9][0-9.,]*|[-+]?[0-9][0-9.,]* ?[$€£¥₹]")
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    r"([0-9]{4}([-/.])[0-9]{1,2}\2[0-9]{1,2}|[0-9]{1,2}([-/.])[0-9]{1,2}\3([0-9]{4}|[0-9]{2})"
    rf"|[0-9]{{1,2}}(st|nd|rd|th)?[- /.]{_MONTH}[- /.,]+[0-9]{{2,4}}|[0-9]{{4}}[- /]{_MONTH}"
    rf"([- /][0-9]{{1,2}})?|{_MONTH}[- /.]([0-9]{{1,2}}(st|nd|rd|th)?,? )?[0-9]{{4}}"
    r"|(1[89]|20)[0-9]{2}-(0[1-9]|1[0-2]))"
    r"([T ].*)?",
    re.IGNORECASE,
)
_TIME = re.compile(r"[0-9]{1,3}:[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?( ?[AaPp]\.?[Mm]\.?)?")
_UNIT = re.compile(
    r"([-+]?[0-9][0-9.,]*)[ \u00a0]?([^\W\d_]{1,8}[²³]?|°[CF]?|[^\W\d]{1,4}/[^\W\d]{1,4})"
)
_UNITS = 3
_MANY = 12
"""Of so few values with a unit, or times of day, each may well be a name: 36 months, 60 months."""
_SPACED = re.compile(r"[-+]?[0-9]{1,3}( [0-9]{3})+(\.[0-9]*)?")
_UNDERSCORES = re.compile(r"[-+]?[0-9]+(_[0-9]+)+(\.[0-9]*)?")
_FORTRAN = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)[dD][-+]?[0-9]+")
_BRACKETS = re.compile(r"\([$€£¥₹]?[0-9][0-9,]*(\.[0-9]*)?\)")
_HEX = re.compile(r"[-+]?0[xX][0-9a-fA-F]+")
_QUOTED = re.compile(r"'[-+]?[0-9]+(\.[0-9]*)?'")
_ALIKE = {"\u2212": "-", "\u2013": "-", " ": ""}
_FORMATS = "in CSV files; in others write plain numbers"
_THOUSANDS = 'Set params.thousands = ","'
_COMMA = 'Set params.decimal = ","'
_PLAIN = "Write the numbers without it"
_OTHERS = (
    (_PERCENT, "a percent sign", _PLAIN),
    (_MONEY, "a currency sign", _PLAIN),
    (_SPACED, "blanks between thousands", f'Set params.thousands = " " {_FORMATS}'),
    (_UNDERSCORES, "underscores between digits", "Write the numbers without them"),
    (_FORTRAN, "an exponent as Fortran writes it", "Write e in place of D"),
    (_BRACKETS, "brackets for a minus sign", "Write (1.5) as -1.5"),
    (_HEX, "hexadecimal digits", "Write decimal numbers"),
    (_QUOTED, "single quotes around them", "Use double quotes, or none"),
)


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
    for form, what, fix in _OTHERS:
        if _all(form, odd):
            return Notation(f"the numbers have {what}", odd[0], fix)
    if all(not text.isascii() and is_number(_ascii(text)) for text in odd):
        what = "the numbers have a minus, blanks or digits that are not ASCII"
        return Notation(what, odd[0], "Write them with - and 0 to 9 alone")
    if len(texts) > 1 and all(map(is_date, texts)):
        fix = "Write a span of time as a number, such as days since a first date"
        return Notation("the values are dates", odd[0], fix)
    return _quantity(odd)


def _quantity(odd: list[str]) -> Notation | None:
    """How times of day and numbers with a unit are written, where they are many."""
    if len(odd) <= _MANY:
        return None
    if _all(_TIME, odd):
        return Notation(
            "the values are times", odd[0], "Write a time as a number, such as minutes after 0:00"
        )
    found = [_UNIT.fullmatch(text) for text in odd]
    units = sorted({unit[2] for unit in found if unit is not None})
    numbers = {unit[1] for unit in found if unit is not None}
    if None in found or len(units) > _UNITS or len(numbers) <= _MANY:
        return None
    many = f"units ({', '.join(units)})" if len(units) > 1 else f"the unit {units[0]}"
    return Notation(f"the numbers have {many}", odd[0], "Write the numbers alone, in one unit")


def _ascii(text: str) -> str:
    """The text with the ASCII signs that look the same or mean it, and no blanks."""
    normal = unicodedata.normalize("NFKC", text)
    plain = "".join(str(unicodedata.decimal(sign, sign)) for sign in normal)
    for sign, other in _ALIKE.items():
        plain = plain.replace(sign, other)
    return plain


def is_date(text: str) -> bool:
    """Whether `text` is a date, with a time behind it or not."""
    return _DATE.fullmatch(text) is not None


def _all(form: re.Pattern[str], texts: Collection[str]) -> bool:
    return all(form.fullmatch(text) for text in texts)
