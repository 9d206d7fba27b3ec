"""Eight float64 numbers as one value inside numba code.

numba's automatic vectoriser gives up on kernels that read and write four arrays at two distances,
and leaves them scalar (3 GFLOP/s where the same arithmetic on vectors reaches 30). So we teach
numba one type, `Vec`, which LLVM knows as <8 x double>, and five operations on it:

    a = load(array, i)      the eight numbers array[i : i + 8]
    store(array, i, a)      and back
    splat(x)                eight times x
    a + b, a - b, a * b     lane by lane; a multiply and an add may become one FMA

A kernel written with these does the same operations for each lane, whichever lane it is: this is
what makes the result of a row independent of its neighbours, to the last bit. The arrays must be
one-dimensional, contiguous float64; nothing checks the bounds.
"""

from __future__ import annotations

import hashlib
import operator
import os
from pathlib import Path

from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic, models, overload, register_model
from numba.np.arrayobj import make_array

LANES = 8
"""Rows that one tile holds: the length of a vector."""

_LLVM = ir.VectorType(ir.DoubleType(), LANES)
_FLAGS = ("contract", "nsz")


class Vec(types.Type):
    """numba's name for eight float64 numbers in a register."""

    def __init__(self) -> None:
        super().__init__(name="qstore_ray.Vec8")


vec = Vec()

_KERNEL_FILES = ("simd.py", "runs.py", "kernels.py", "sweep.py")


def _cache_folder():
    """Where compiled kernels are kept: a folder for each content of the kernels' source files.

    numba keeps a function's machine code until the file of that function changes. But the code of
    the sweeps holds that of the kernels they call, so a change in any of the files must begin anew:
    machine code that belongs to other kernels would compute nonsense or crash.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in _KERNEL_FILES:
        digest.update((here / name).read_bytes())
    root = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    base = Path(root) if root else Path.home() / ".cache"
    folder = base / "qstore_ray" / "kernels" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        # A home that cannot be written to: compile anew in every process. The shared temporary
        # folder is no place for code that others could put there.
        return None
    return str(folder)


_CACHE = _cache_folder()


def jit(function):
    """Compile on first use, to run without Python's lock; keep the machine code on disk."""
    options = {"nogil": True, "error_model": "numpy", "boundscheck": False}
    if _CACHE is None:
        return njit(**options)(function)
    before, config.CACHE_DIR = config.CACHE_DIR, _CACHE
    try:
        return njit(cache=True, **options)(function)
    finally:
        config.CACHE_DIR = before


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, _LLVM)


def _pointer(context, builder, array_type, array, index):
    data = make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _LLVM.as_pointer())


@intrinsic
def load(typingctx, array, index):
    """The vector array[index : index + 8]."""

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load(pointer, align=8)

    return vec(array, types.intp), codegen


@intrinsic
def store(typingctx, array, index, value):
    """array[index : index + 8] = value."""

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vec), codegen


@intrinsic
def splat(typingctx, value):
    """Eight times `value`."""

    def codegen(context, builder, signature, args):
        undefined = ir.Constant(_LLVM, ir.Undefined)
        zero = ir.Constant(ir.IntType(32), 0)
        one = builder.insert_element(undefined, args[0], zero)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, undefined, zeros)

    return vec(types.float64), codegen


def _register(symbol, instruction):
    @intrinsic
    def apply(typingctx, left, right):
        def codegen(context, builder, signature, args):
            return getattr(builder, instruction)(args[0], args[1], flags=_FLAGS)

        return vec(vec, vec), codegen

    @overload(symbol)
    def lane_by_lane(left, right):
        if isinstance(left, Vec) and isinstance(right, Vec):
            return lambda left, right: apply(left, right)  # noqa: PLW0108  # numba wants it
        return None


_register(operator.add, "fadd")
_register(operator.sub, "fsub")
_register(operator.mul, "fmul")
