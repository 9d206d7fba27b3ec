"""What a compliance document is made of: facts with their sources, open questions, and tables.

A fact is what a file of the run has, or what was measured when the document was written; its
source says which. The value None stands for what is not recorded. A question is what no run can
answer; it stays open until somebody answers it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from qstore_ray.types import Table

SCHEMA: Final = 1
PAGE: Final = "compliance.html"
TABLE: Final = "compliance.json"
NOT_RECORDED: Final = "not recorded"

StatedValue: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True)
class StatedFact:
    """A name, a value, and where the value is written or how it was measured."""

    name: str
    value: StatedValue
    source: str


@dataclass(frozen=True)
class StatedTable:
    """Rows (R, C) under a head of C names; `source` as in `StatedFact`."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[StatedValue, ...], ...]
    source: str


@dataclass(frozen=True)
class DocumentSection:
    """A section of a part.

    Attributes:
        facts: what is known. tables: likewise, several at once.
        questions: what only people can answer.
    """

    title: str
    facts: tuple[StatedFact, ...] = ()
    tables: tuple[StatedTable, ...] = ()
    questions: tuple[str, ...] = ()


@dataclass(frozen=True)
class DocumentPart:
    """One of the papers that the document consists of.

    Attributes:
        key: its name in JSON. follows: the publication whose sections it has; "" for none.
    """

    key: str
    title: str
    sections: tuple[DocumentSection, ...]
    follows: str = ""


Level: TypeAlias = Literal["high", "medium", "low"]
LEVELS: Final[tuple[Level, ...]] = ("high", "medium", "low")


@dataclass(frozen=True)
class Risk:
    """An entry of the risk register.

    Attributes:
        rule: name of the rule that made it. risk: what may go wrong, as one sentence.
        measured: the number or the record that it follows from. source: where that is.
        action: what lowers the risk.
    """

    rule: str
    level: Level
    risk: str
    measured: str
    source: str
    action: str


PointAnswer: TypeAlias = Literal["met", "not met", "cannot be known from a run"]
MET: Final = "met"
NOT_MET: Final = "not met"
UNKNOWN: Final = "cannot be known from a run"


@dataclass(frozen=True)
class RubricPoint:
    """A point of the maturity model, and what the run says about it.

    Attributes:
        number: as published, such as "Data 1". asks: what it asks for, in our words.
        because: the evidence, or what is missing. source: where the evidence is.
    """

    number: str
    asks: str
    answer: PointAnswer
    because: str
    source: str


@dataclass(frozen=True)
class ComplianceDocument:
    """The whole document of one run.

    Attributes:
        written: UTC, ISO 8601.
    """

    run: str
    written: str
    parts: tuple[DocumentPart, ...]
    risks: tuple[Risk, ...]
    points: tuple[RubricPoint, ...]
    rubric: str

    def questions(self) -> list[str]:
        """The open questions of all parts, each once."""
        found = [q for part in self.parts for section in part.sections for q in section.questions]
        return list(dict.fromkeys(found))

    def as_table(self) -> Table:
        """The document as JSON-ready values; null is what is not recorded."""
        parts = {
            part.key: {
                "title": part.title,
                "follows": part.follows,
                "sections": [asdict(section) for section in part.sections],
            }
            for part in self.parts
        }
        table: Table = plain(
            {
                "schema": SCHEMA,
                "run": self.run,
                "written": self.written,
                **parts,
                "risks": [asdict(risk) for risk in self.risks],
                "maturity": {
                    "model": self.rubric,
                    "points": [asdict(point) for point in self.points],
                },
                "open_questions": self.questions(),
            }
        )
        return table


def section_of(
    title: str,
    facts: Sequence[StatedFact] = (),
    tables: Sequence[StatedTable] = (),
    questions: Sequence[str] = (),
) -> DocumentSection:
    """A section; a table without rows is left out, since a fact says that nothing is recorded."""
    filled = tuple(table for table in tables if table.rows)
    return DocumentSection(title, tuple(facts), filled, tuple(questions))


def plain(value: Any) -> Any:
    """Nested values as JSON can hold them: a number that is not finite is a text.

    What UTF-8 lacks (halves of surrogate pairs, as JSON may hold) is replaced by U+FFFD.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {plain(str(name)): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
