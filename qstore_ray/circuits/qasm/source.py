"""A circuit file as text that is complete in itself.

What the text includes from beside the file is written into it, between marker comments, so that a
configuration which keeps the text does not change when an included file does. Only files in the
folder of the including file or below it are read: a circuit that a user received may not name
others.
"""

from __future__ import annotations

import re
from pathlib import Path

from qstore_ray.circuits.qasm.tokens import BEGIN, END
from qstore_ray.errors import CircuitError, ConfigError

KNOWN_INCLUDES = ("qelib1.inc", "stdgates.inc", "hqslib1.inc", "hqslib1_dummy.inc")
"""Libraries of gates that every text may use, included or not."""
NUMERIC = "// qstore_ray: vectors in numeric order"
AS_TEXT = "// qstore_ray: vectors in text order"
"""Last line of a kept text in which the order of Qiskit's names of vectors, `_theta_10_`, matters.
A text without it is in numeric order if a user gives it, in that of text if an earlier version kept
it."""

_INCLUDE = re.compile(
    r"""(?P<skipped>//[^\n]*|/\*.*?\*/)
    |\binclude\s*(?P<quote>["'])(?P<file>[^"'\n]*)(?P=quote)\s*;""",
    re.DOTALL | re.VERBOSE,
)
_INPUT = re.compile(r"\binput\s+\w+\s*(?:\[\s*\d+\s*\])?\s*\b(?P<name>\w+)\s*;")
_ELEMENT = re.compile(r"_(?P<vector>\w+?)_(?P<number>\d+)_")
_FEATURE = re.compile(r"_?(?:x|features?)_?\d*_?")
_MOST_BYTES = 64 * 2**20
_DEEPEST = 32


def is_circuit_file(spec: str) -> bool:
    """Whether `spec` names a file in OpenQASM, by its ending in any case."""
    return "\n" not in spec and spec.lower().endswith((".qasm", ".qasm2", ".qasm3", ".inc"))


def is_source(spec: str) -> bool:
    """Whether `spec` is OpenQASM text, not the name of something."""
    return "\n" in spec or ";" in spec


def is_in_text_order(text: str) -> bool:
    """Whether the parameters of a text are in the order of their names as text."""
    return AS_TEXT in text and NUMERIC not in text


def in_numeric_order(text: str) -> str:
    """A text that a user gives, its order of parameters said in it if the order matters."""
    return _with_order(text, AS_TEXT if is_in_text_order(text) else NUMERIC)


def in_earlier_order(text: str) -> str:
    """A text that a run or a model keeps, the same; without a mark it is of an earlier version."""
    return _with_order(text, NUMERIC if NUMERIC in text else AS_TEXT)


def _with_order(text: str, mark: str) -> str:
    if not _sorts_otherwise_as_text(text):
        return text
    lines = [line for line in text.split("\n") if line.strip() not in (NUMERIC, AS_TEXT)]
    return "\n".join(lines).rstrip() + f"\n{mark}\n"


def _sorts_otherwise_as_text(text: str) -> bool:
    names = {match["name"] for match in _INPUT.finditer(text)}
    learned = [name for name in names if not _FEATURE.fullmatch(name)]
    return sorted(learned) != sorted(learned, key=_numeric)


def _numeric(name: str) -> tuple[str, int]:
    match = _ELEMENT.fullmatch(name)
    return (f"{match['vector']}[", int(match["number"])) if match else (name, -1)


def read_source(path: str | Path) -> str:
    """The text of a circuit file, with the files that it includes written into it.

    Raises:
        ConfigError: the file cannot be read.
        CircuitError: it is empty, not text, or includes what cannot be included.
    """
    return in_numeric_order(_with_includes(Path(path), ()))


def _with_includes(path: Path, chain: tuple[Path, ...]) -> str:
    text = _text(path, may_be_empty=bool(chain))
    chain = (*chain, path.resolve())

    def body(match: re.Match[str]) -> str:
        name = match["file"]
        if match["skipped"] or Path(name).name in KNOWN_INCLUDES:
            return match[0]
        included = _beside(path, name)
        if included in chain or len(chain) > _DEEPEST:
            raise _include_error(path, name, "the files include each other in a circle", "")
        inner = _with_includes(included, chain)
        return f"\n{BEGIN}{name}\n{inner.rstrip()}\n{END}{name}\n"

    return _INCLUDE.sub(body, text)


def _beside(path: Path, name: str) -> Path:
    folder = path.resolve().parent
    try:
        included = (folder / name).resolve()
        is_file = included.is_file()
    except (OSError, ValueError, RuntimeError) as exc:
        raise _include_error(path, name, f"no such file: {exc}", "") from exc
    if Path(name).is_absolute() or not included.is_relative_to(folder) or included == folder:
        raise _include_error(
            path,
            name,
            "only files in the folder of the circuit and below it are included",
            f"Copy it into {folder} and include it by its name.",
        )
    if not is_file:
        raise _include_error(
            path, name, f"no such file in {folder}", "Put the included file there."
        )
    return included


def _include_error(path: Path, name: str, message: str, fix: str) -> CircuitError:
    return CircuitError(
        f'{path}: cannot include "{name}": {message}', field="circuit", value=name, fix=fix
    )


def _text(path: Path, may_be_empty: bool) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CircuitError(
                f"{path}: more than {_MOST_BYTES // 2**20} MiB", field="circuit", value=str(path)
            )
        data = path.read_bytes()
    except (OSError, ValueError) as exc:  # ValueError: a zero byte in the path
        raise ConfigError(
            f"cannot read the circuit file: {exc}",
            field="circuit",
            value=str(path),
            fix="Give the path of a file in OpenQASM 2 or 3, from the folder you are in.",
        ) from exc
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _no_text_error(path, f"not text in UTF-8: {exc}") from exc
    if "\0" in text:
        raise _no_text_error(path, "a binary file")
    if re.match(r"\s*<(!doctype|html|\?xml)", text, re.IGNORECASE):
        raise _no_text_error(path, "a web page")
    if not text.strip() and not may_be_empty:
        raise _no_text_error(path, "an empty file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _no_text_error(path: Path, what: str) -> CircuitError:
    return CircuitError(
        f"{path}: {what}, not OpenQASM",
        field="circuit",
        value=str(path),
        fix="Give a text file in OpenQASM 2 or 3 (save the raw file, not the page that shows it).",
    )
