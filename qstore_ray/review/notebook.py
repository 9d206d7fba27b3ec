r"""The Python of a Jupyter notebook, on the lines that it has in the notebook's file.

    "source": [                              (blank)
     "import numpy as np\n",                 import numpy as np
     "%matplotlib inline\n",                 pass
     "np.random.seed(1)"                     np.random.seed(1)

So a finding's line is that of the `.ipynb` file, as in a diff of it. Lines that are no code of a
cell are blank; what is no Python (`%magic`, `!command`, `?help`) becomes `pass`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from qstore_ray.errors import DataError

_NO_PYTHON: Final = re.compile(r"^(\s*)(?:[%!?]|[\w.]+\?{1,2}\s*$|\w+\s*=\s*[!%])")
_CELL_MAGIC: Final = re.compile(r"^\s*%%(?!time|capture|timeit)")


def code_of(path: str, text: str) -> str:
    """The Python of a notebook's code cells, each line where the file has it.

    Raises:
        DataError: not a notebook.
    """
    try:
        cells = json.loads(text)["cells"]
        sources = [_lines(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as exc:
        raise DataError(
            "this is no notebook of format 4",
            field=path,
            fix="Save it with a current Jupyter, or leave it out.",
        ) from exc
    return "\n".join(_placed(text.splitlines(), sources))


def _lines(source: Any) -> list[str]:
    """The lines of a cell, which the format keeps as one text or as a list of lines."""
    whole = source if isinstance(source, str) else "".join(source)
    return whole.splitlines(keepends=True)


def _placed(file: list[str], sources: list[list[str]]) -> list[str]:
    """Each line of the cells on the line of the file that holds it.

    A notebook that was not written one line of source a line has its cells one after the other.
    """
    placed = [""] * len(file)
    at = 0
    for source in sources:
        if source and _CELL_MAGIC.match(source[0]):
            continue  # another language
        for line in source:
            forms = {json.dumps(line), json.dumps(line, ensure_ascii=False)}
            found = next((n for n in range(at, len(file)) if _holds(file[n], forms)), None)
            if found is None:
                return [_python(line) for cell in sources for line in cell]
            placed[found] = _python(line)
            at = found + 1
    return placed


def _holds(line: str, forms: set[str]) -> bool:
    return line.strip().rstrip(",") in forms or any(
        line.strip().rstrip(",") == f'"source": [{form}]' for form in forms
    )


def _python(line: str) -> str:
    line = line.rstrip("\r\n")
    match = _NO_PYTHON.match(line)
    return f"{match[1]}pass" if match else line
