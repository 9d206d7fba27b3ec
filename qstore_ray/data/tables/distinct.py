"""The distinct texts of a column, looked at block by block: numbers, truths, signs, names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from qstore_ray.data.tables.rows import trimmed
from qstore_ray.data.tables.texts import BOOLEANS, is_number

_ODD = 3
_SHEET_ERROR = re.compile(r"#(DIV/0!|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!)")


@dataclass
class Texts:
    """The distinct texts of one column, as far as they matter.

    Args:
        most: how many are kept.
        missing: texts that stand for no value.
        odd: a few of the texts that are no numbers.
    """

    most: int
    missing: frozenset[str]
    found: set[str] = field(default_factory=set)
    more: bool = False
    numbers: bool = True
    booleans: bool = True
    gaps: bool = False
    odd: set[str] = field(default_factory=set)

    def add(self, column: pa.ChunkedArray) -> None:
        """Look at a block of the column."""
        texts = trimmed(column)
        used = pc.unique(texts.indices)
        self.gaps |= bool(texts.null_count)
        new = set(texts.dictionary.take(used.drop_null()).to_pylist()) - self.found - {None}
        known = new - self.missing
        self.gaps |= len(known) < len(new)
        self.booleans = self.booleans and known <= BOOLEANS
        others = (text for text in sorted(known - self.odd) if not is_number(text))
        self.odd |= set(islice(others, _ODD + 1 - len(self.odd)))
        self.numbers = not self.odd
        if len(self.found) + len(known) > self.most:
            self.more = True
            known = set(sorted(known)[: max(0, self.most - len(self.found))])
        self.found |= known

    def sign(self) -> str:
        """A text that seems to stand for a missing value among others; "" if no text does.

        It is an error of a spreadsheet, the only text without letter or digit, such as `?`, or one
        of a few texts among many numbers.
        """
        if len(self.found) < 2:
            return ""
        texts = sorted(self.found | self.odd)
        if errors := [text for text in texts if _SHEET_ERROR.fullmatch(text)]:
            return errors[0]
        if self.more:
            return min(self.odd) if 0 < len(self.odd) <= _ODD else ""
        bare = [text for text in texts if not any(map(str.isalnum, text))]
        return bare[0] if len(bare) == 1 else ""

    def all_numbers(self, missing: Iterable[str]) -> bool:
        """Whether all texts are numbers, but those that stand for a missing value."""
        return all(map(is_number, self.found - set(missing)))
