"""Refused programs in OpenQASM: the line and column, the value, and whether there is a way out.

The record is `tests/golden/qasm_refusals.json`: line, column, value, and true if the error has a
fix. `python -m tests.unit.circuits.test_qasm_refusals` writes it again.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.circuits.qasm.reader import from_text
from qstore_ray.errors import UsageError
from tests.unit.circuits.test_qasm import LAST, REFUSED, V3

RECORD = Path(__file__).parents[2] / "golden" / "qasm_refusals.json"
_PLACE = re.compile(r"mine\.qasm, line (\d+)(?:, column (\d+))?: (.+)", re.DOTALL)


def _refusal(what: str) -> list[Any]:
    body, _ = REFUSED[what]
    with pytest.raises(UsageError) as caught:
        from_text(f"{V3}{LAST}{body}\n", name="mine.qasm")
    found = _PLACE.search(caught.value.message)
    assert found, caught.value.message
    assert found[3].strip() != "None"
    assert caught.value.field == "circuit"
    value = caught.value.value
    assert isinstance(caught.value.fix, str)
    return [int(found[1]), int(found[2] or 0), value, bool(caught.value.fix)]


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_names_its_place_its_value_and_the_way_out(what: str):
    assert _refusal(what) == json.loads(RECORD.read_text())[what]


if __name__ == "__main__":
    lines = [f" {json.dumps(what)}: {json.dumps(_refusal(what))}" for what in REFUSED]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")
