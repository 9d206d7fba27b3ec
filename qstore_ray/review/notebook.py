r"""The Python of a Jupyter notebook, on the lines that it has in the notebook's file.

    "source": [                              (blank)
     "import numpy as np\n",                 import numpy as np
     "%matplotlib inline\n",                 pass
     "np.random.seed(1)"                     np.random.seed(1)

So a finding's line is that of the `.ipynb` file, as in a diff of it. Lines that are no code of a
cell are blank; what is no Python (`%magic`, `!command`, `?help`) becomes `pass`. A notebook in
another language has no Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from qstore_ray.errors import DataError
from qstore_ray.review.source import physical_lines

_NO_PYTHON: Final = re.compile(r"^(\s*)(?:[%!?]|[\w.]+\?{1,2}\s*$|\w+\s*=\s*[!%])")
_GOES_ON: Final = re.compile(r"^\s*[%!].*\\\s*$")
_CELL_MAGIC: Final = re.compile(r"^\s*%%(?!time|capture|timeit)")


class NotebookCode(NamedTuple):
    """The Python of a notebook.

    Args:
        text: of all code cells.
        is_placed: whether each line is where the file has it; else the cells follow each other.
    """

    text: str
    is_placed: bool


class _CellLine(NamedTuple):
    """A line of a cell: how a line of the file may begin that holds it, and its text."""

    stored: str
    text: str


def code_of(path: str, text: str) -> NotebookCode:
    """The Python of a notebook's code cells, each line where the file has it.

    Raises:
        DataError: not a notebook.
    """
    try:
        notebook = json.loads(text)
        cells = [(_is_python(cell), list(_lines(cell["source"]))) for cell in notebook["cells"]]
        is_other = _language(notebook.get("metadata", {})) not in {"", "python", "ipython"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise DataError(
            "this is no notebook of format 4",
            field=path,
            fix="Save it with a current Jupyter, or leave it out.",
        ) from exc
    file = physical_lines(text)
    if is_other:
        return NotebookCode("\n" * len(file), is_placed=True)
    placed = _placed(file, cells)
    if placed is not None:
        return NotebookCode("\n".join(placed), is_placed=True)
    return NotebookCode("\n".join(_python([x for ok, cell in cells if ok for x in cell])), False)


def _language(metadata: Any) -> str:
    """The language of a notebook's kernel, "" if the file does not say it."""
    kernel, about = metadata.get("kernelspec", {}), metadata.get("language_info", {})
    return str(about.get("name") or kernel.get("language") or "").lower()


def _is_python(cell: Any) -> bool:
    source = "".join(cell["source"])
    return cell["cell_type"] == "code" and not _CELL_MAGIC.match(source)


def _lines(source: Any) -> Iterator[_CellLine]:
    """The lines of a cell, which the format keeps as one text or as a list of lines.

    Jupyter ends an entry of the list also where no line of Python ends, such as at U+2028.
    """
    stored, line = "", ""
    for part in [source] if isinstance(source, str) else source:
        for piece in part.splitlines(keepends=True) if isinstance(source, str) else [part]:
            stored, line = stored or piece, line + piece
            if piece.endswith("\n"):
                yield _CellLine(stored, line)
                stored, line = "", ""
    if line:
        yield _CellLine(stored, line)


def _placed(file: list[str], cells: list[tuple[bool, list[_CellLine]]]) -> list[str] | None:
    """Each line of the cells on the line of the file that holds it.

    None if the notebook was not written one line of source a line.
    """
    placed = [""] * len(file)
    at = 0
    for is_python, lines in cells:
        # Outputs, which come before the source, may have the same lines.
        heads = (n for n in range(at, len(file)) if file[n].lstrip().startswith('"source":'))
        at = next(heads, len(file))
        for line, python in zip(lines, _python(lines), strict=True):
            forms = {json.dumps(line.stored), json.dumps(line.stored, ensure_ascii=False)}
            found = next((n for n in range(at, len(file)) if _holds(file[n], forms)), None)
            if found is None:
                return None
            placed[found] = python if is_python else ""
            at = found + 1
    return placed


def _holds(line: str, forms: set[str]) -> bool:
    stripped = line.strip().rstrip(",")
    return stripped in forms or any(stripped == f'"source": [{form}]' for form in forms)


def _python(lines: list[_CellLine]) -> list[str]:
    """The lines of a cell as Python; a command of the shell may go on in the next lines."""
    found, goes_on = [], False
    for line in lines:
        text = line.text.rstrip("\r\n")
        match = _NO_PYTHON.match(text)
        found.append("" if goes_on else f"{match[1]}pass" if match else text)
        goes_on = text.rstrip().endswith("\\") if goes_on else bool(_GOES_ON.match(text))
    return found
