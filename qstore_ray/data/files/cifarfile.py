"""CIFAR's batch files: pickles written by Python 2, opened without letting them do anything.

A pickle is a program for a small stack machine, and two of its instructions, GLOBAL and REDUCE,
name a function and call it. Here the program is first read through: only instructions that build
plain containers, text, bytes, whole numbers and the one call that numpy needs are allowed. Then it
runs with every global name replaced: the three that an array's pickle uses lead to small objects
of our own, all others are refused. These objects call nothing and take no memory on the pickle's
word; an array is made only from bytes that the file holds, and only if they fit its shape.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.errors import DataError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, IntArray

_SIDE, _CHANNELS = 32, 3
_ALLOWED = frozenset(
    {"PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE"}
    | {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "STRING", "BINSTRING"}
    | {"SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES"}
    | {"SHORT_BINBYTES", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "LIST"}
    | {"APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
    | {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"}
    | {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}
)
_MEMO = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_DTYPES = {"u1": "u1", "b1": "?", "i1": "i1", "i2": "i2", "i4": "i4", "i8": "i8"}


class CifarBatch(NamedTuple):
    """Images uint8 (N, 32, 32, 3) and labels int64 (N,)."""

    x: AnyArray
    y: IntArray


def read_batch(data: bytes, label_key: str, where: str) -> CifarBatch:
    """The images and labels of one batch file's content.

    Raises:
        DataError: damaged, not a batch of CIFAR, or a pickle that asks for more than data.
    """
    content = load_plain(data, where)
    images, labels = _entry(content, "data", where), _entry(content, label_key, where)
    if isinstance(images, _Array):
        images = images.array
    width = _CHANNELS * _SIDE**2
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2:
        raise _not_cifar_error(where, "its images are not an array of bytes")
    if images.shape[1] != width or not isinstance(labels, list) or len(labels) != len(images):
        raise _not_cifar_error(where, f"one label and {width} bytes an image are needed")
    if not all(type(label) is int and 0 <= label < 100 for label in labels):
        raise _not_cifar_error(where, "its labels are not whole numbers")
    x = images.reshape(len(images), _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return CifarBatch(np.ascontiguousarray(x), np.asarray(labels, dtype=np.int64))


def read_names(data: bytes, key: str, where: str) -> tuple[str, ...]:
    """The class names that a `meta` file's content lists under `key`.

    Raises:
        DataError: as for `read_batch`.
    """
    names = _entry(load_plain(data, where), key, where)
    if not isinstance(names, list) or not all(isinstance(name, (bytes, str)) for name in names):
        raise _not_cifar_error(where, "its class names are not text")
    return tuple(
        name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names
    )


def load_plain(data: bytes, where: str) -> Any:
    """The containers, text, numbers and arrays that the pickle `data` holds, and nothing else.

    Raises:
        DataError: damaged, or it asks for anything else.
    """
    try:
        _check_program(data)
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except DataError:
        raise
    except (
        pickle.UnpicklingError,
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        TypeError,
        ValueError,
    ) as exc:
        raise _not_cifar_error(where, str(exc) or type(exc).__name__) from exc


def _check_program(data: bytes) -> None:
    """Refuse instructions that are not on the list, and memo numbers that would take memory."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in _ALLOWED:
            raise pickle.UnpicklingError(f"the instruction {opcode.name} is refused")
        if opcode.name in _MEMO and int(argument or 0) > count:  # the memo is a list of that length
            raise pickle.UnpicklingError(f"the memo number {argument} is refused")


# gate: QS102 because it refuses every name but three, and makes only objects of this file
class _Unpickler(pickle.Unpickler):
    """Resolves a global name to an object of our own, new for each file, or refuses it."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }:
            return _Maker("array")
        if (module, name) == ("numpy", "dtype"):
            return _Maker("dtype")
        if (module, name) == ("numpy", "ndarray"):
            return None  # only ever an argument of _reconstruct, which does not look at it
        raise pickle.UnpicklingError(f"the name {module}.{name} is refused")


class _Maker:
    """Stands for one of numpy's two functions; makes a stand-in that its state is given to."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, *arguments: Any) -> Any:
        return _Array() if self.kind == "array" else _Dtype(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a state for a function is refused")


class _Dtype:
    """The type of an array's numbers: bytes, bools and whole numbers only."""

    __slots__ = ("code",)

    def __init__(self, code: Any, *flags: Any) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(text, str) or text not in _DTYPES:
            raise pickle.UnpicklingError(f"arrays of type {text!r} are refused")
        self.code = np.dtype(_DTYPES[text])

    def __setstate__(self, state: Any) -> None:
        if state[1] in {b">", ">"}:
            self.code = self.code.newbyteorder(">")


class _Array:
    """An array under construction: it exists once its state has been checked."""

    __slots__ = ("array",)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array without plain content is refused")
        if not all(type(length) is int and length >= 0 for length in shape):
            raise pickle.UnpicklingError(f"the shape {shape} is refused")
        if math.prod(shape) * dtype.code.itemsize != len(content):
            raise pickle.UnpicklingError(f"{len(content)} bytes do not fill the shape {shape}")
        flat: AnyArray = np.frombuffer(content, dtype.code)
        self.array = flat.reshape(shape, order="F" if fortran else "C")


def _entry(content: Any, key: str, where: str) -> Any:
    if not isinstance(content, dict):
        raise _not_cifar_error(where, "not a dictionary")
    named = {
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name): value
        for name, value in content.items()
    }
    if key not in named:
        raise DataError(
            unknown_name_error("entry", key, named).message, field=where, value=key, fix=_FIX
        )
    return named[key]


_FIX = "Delete the file, and set params.download = true or let Keras download it again."


def _not_cifar_error(where: str, why: str) -> DataError:
    return DataError(f"not a batch file of CIFAR: {why}", field=where, fix=_FIX)
