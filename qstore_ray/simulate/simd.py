"""Eight float64 numbers, or eight complex ones, as one value inside numba code.

numba's automatic vectoriser gives up on kernels that read and write several arrays at two
distances, and leaves them scalar (3 GFLOP/s where the same arithmetic on vectors reaches 30). So we
teach numba two types: a vector, which LLVM knows as <8 x double>, and a pair of vectors,
<16 x double>, for eight complex numbers: the real parts, then the imaginary parts.

    a = load(array, i)        the eight numbers array[i : i + 8]
    p = load_pair(array, i)   the sixteen numbers array[i : i + 16]
    store(array, i, a)        and back, either of them
    number(array, i)          array[i]
    splat(x)                  eight times x
    real(p), imag(p)          the halves of a pair
    join(a, b)                the pair of two vectors
    a + b, a - b, a * b       number by number (of a pair too: what is real treats both halves
                              alike); a multiply and an add may become one FMA

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
PAIR = 2 * LANES
"""Numbers that one amplitude of a tile takes."""

FLAGS = ("contract", "nsz")
_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}


class Vec(types.Type):
    """numba's name for `size` float64 numbers in registers."""

    def __init__(self, size) -> None:
        self.size = size
        super().__init__(name=f"qstore_ray.Vec{size}")


vec, pair = Vec(LANES), Vec(PAIR)

_KERNEL_FILES = (
    "simd.py",
    "jit_bind.py",
    "jit_blocks.py",
    "jit_kernels.py",
    "jit_measure.py",
    "jit_start.py",
    "jit_sweep.py",
    "jit_turns.py",
)


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
    if _CACHE is None:
        return njit(**_OPTIONS)(function)
    before, config.CACHE_DIR = config.CACHE_DIR, _CACHE
    try:
        return njit(cache=True, **_OPTIONS)(function)
    finally:
        config.CACHE_DIR = before


def part(function):
    """A function that only compiled code calls: kept on disk within its callers, not by itself."""
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)


def llvm_vector(size):
    """For intrinsics: LLVM's name for `size` float64 numbers."""
    return ir.VectorType(ir.DoubleType(), size)


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, llvm_vector(fe_type.size))


def pointer(context, builder, array_type, array, index, size):
    """For intrinsics: where array[index : index + size] lies."""
    data = make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), llvm_vector(size).as_pointer())


def _loader(value):
    @intrinsic
    def load_value(typingctx, array, index):
        def codegen(context, builder, signature, args):
            where = pointer(context, builder, signature.args[0], *args, value.size)
            return builder.load(where, align=8)

        return value(array, types.intp), codegen

    return load_value


load, load_pair = _loader(vec), _loader(pair)


@intrinsic
def store(typingctx, array, index, value):
    """array[index : index + 8] = value, or as many as the value has."""

    def codegen(context, builder, signature, args):
        where = pointer(context, builder, signature.args[0], *args[:2], value.size)
        builder.store(args[2], where, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


def shuffled(builder, first, second, lanes):
    """For intrinsics: a vector of these lanes of two others."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
    return builder.shuffle_vector(first, second, mask)


@intrinsic
def splat(typingctx, value):
    """Eight times `value`."""

    def codegen(context, builder, signature, args):
        undefined = ir.Constant(llvm_vector(LANES), ir.Undefined)
        one = builder.insert_element(undefined, args[0], ir.Constant(ir.IntType(32), 0))
        return shuffled(builder, one, undefined, [0] * LANES)

    return vec(types.float64), codegen


@intrinsic
def number(typingctx, array, index):
    """array[index]; unlike that, an index below zero does not count from the end."""

    def codegen(context, builder, signature, args):
        data = make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load(builder.gep(data, [args[1]]))

    return array.dtype(array, types.intp), codegen


@intrinsic
def join(typingctx, first, second):
    """The pair of two vectors."""

    def codegen(context, builder, signature, args):
        return shuffled(builder, *args, range(PAIR))

    return pair(vec, vec), codegen


def _half(start):
    @intrinsic
    def half(typingctx, value):
        def codegen(context, builder, signature, args):
            return shuffled(builder, args[0], args[0], range(start, start + LANES))

        return vec(pair), codegen

    return half


real, imag = _half(0), _half(LANES)


@intrinsic
def trailing_zeros(typingctx, bits):
    """How many zeros the binary form of `bits` ends with."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), codegen


@intrinsic
def odd_parity(typingctx, bits):
    """1 if an odd number of bits is set, else 0."""

    def codegen(context, builder, signature, args):
        return builder.and_(builder.ctpop(args[0]), ir.Constant(ir.IntType(64), 1))

    return types.int64(types.int64), codegen


def _register(symbol, instruction):
    @intrinsic
    def apply(typingctx, left, right):
        def codegen(context, builder, signature, args):
            return getattr(builder, instruction)(args[0], args[1], flags=FLAGS)

        return left(left, right), codegen

    @overload(symbol)
    def lane_by_lane(left, right):
        if isinstance(left, Vec) and left == right:
            return lambda left, right: apply(left, right)  # noqa: PLW0108  # numba wants it
        return None


_register(operator.add, "fadd")
_register(operator.sub, "fsub")
_register(operator.mul, "fmul")
