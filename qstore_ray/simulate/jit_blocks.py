"""What a stage of turns does to n = 2, 4 or 8 amplitudes at once, in registers.

Each function here makes the operation for one n, to be called in numba code:

    gather_block(n)    read n amplitudes into a tuple
    turned_block(n)    rotate all pairs of them, by one rotation for each of the log2 n bits of the
                       place in the tuple
    phased_block(n)    multiply each by its phase
    scatter_block(n)   write them
    overlap_block(n)   add up Σ λ_c ψ_b − λ_b ψ_c over the pairs of each rotation

They are LLVM instructions that loops of Python put out (`simd.py` explains the types): written as
numba functions on tuples, the same would take a minute to compile.
"""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from qstore_ray.simulate.simd import FLAGS, LANES, PAIR, pair, pointer, shuffled


def _offsets(context, builder, signature, args, n):
    """at ^ table[k + b] for b below n; the arguments begin with an array, `at`, `table` and `k`."""
    found = []
    for b in range(n):
        k = builder.add(args[3], context.get_constant(types.intp, b))
        where = pointer(context, builder, signature.args[2], args[2], k, 1)
        where = builder.bitcast(where, context.get_value_type(types.int64).as_pointer())
        found.append(builder.xor(args[1], builder.load(where)))
    return found


def _tuple(n, value=pair):
    return types.UniTuple(value, n)


def _unpacked(builder, value, n):
    return [builder.extract_value(value, b) for b in range(n)]


def gather_block(n):
    """Makes `gather` for n amplitudes."""

    @intrinsic
    def gather(typingctx, source, at, table, k):
        """source[at ^ table[k + b]] for b below n, as a tuple of pairs."""

        def codegen(context, builder, signature, args):
            found = []
            for i in _offsets(context, builder, signature, args, n):
                where = pointer(context, builder, signature.args[0], args[0], i, PAIR)
                found.append(builder.load(where, align=8))
            return context.make_tuple(builder, signature.return_type, found)

        return _tuple(n)(source, types.intp, table, types.intp), codegen

    return gather


def scatter_block(n):
    """Makes `scatter` for n amplitudes."""

    @intrinsic
    def scatter(typingctx, target, to, table, k, values):
        """target[to ^ table[k + b]] = values[b] for b below n."""

        def codegen(context, builder, signature, args):
            values = _unpacked(builder, args[4], n)
            offsets = _offsets(context, builder, signature, args, n)
            for i, value in zip(offsets, values, strict=True):
                where = pointer(context, builder, signature.args[0], args[0], i, PAIR)
                builder.store(value, where, align=8)
            return context.get_dummy_value()

        return types.void(target, types.intp, table, types.intp, values), codegen

    return scatter


def _times(builder, left, right):
    return builder.fmul(left, right, flags=FLAGS)


def _plus(builder, left, right):
    return builder.fadd(left, right, flags=FLAGS)


def _minus(builder, left, right):
    return builder.fsub(left, right, flags=FLAGS)


def _twice(builder, value):
    return shuffled(builder, value, value, [*range(LANES), *range(LANES)])


def _pairs(n):
    """(q, b, c): the amplitudes b and c of n that rotation q turns."""
    return [
        (q, b, b | 1 << q) for q in range(n.bit_length() - 1) for b in range(n) if not b >> q & 1
    ]


def turned_block(n):
    """Makes `turned` for n amplitudes."""

    @intrinsic
    def turned(typingctx, a, t):
        """Every pair (a_b, a_c) to (p a_b − s a_c, p a_c + s a_b); p = 1 if t has no cosines."""
        one = t.dtype if isinstance(t, types.UniTuple) else None
        general = isinstance(one, types.UniTuple)

        def codegen(context, builder, signature, args):
            a = _unpacked(builder, args[0], n)
            turns = _unpacked(builder, args[1], n.bit_length() - 1)
            if general:
                cosines = [_twice(builder, builder.extract_value(turn, 0)) for turn in turns]
                turns = [builder.extract_value(turn, 1) for turn in turns]
            sines = [_twice(builder, turn) for turn in turns]
            for q, b, c in _pairs(n):
                first, second = a[b], a[c]
                if general:
                    first, second = (_times(builder, cosines[q], v) for v in (first, second))
                down, up = _times(builder, sines[q], a[c]), _times(builder, sines[q], a[b])
                a[b], a[c] = _minus(builder, first, down), _plus(builder, second, up)
            return context.make_tuple(builder, signature.return_type, a)

        return a(a, t), codegen

    return turned


def overlap_block(n):
    """Makes `overlap` for n amplitudes."""

    @intrinsic
    def overlap(typingctx, sums, k, lam, psi):
        """sums[k + 16 q] += Σ λ_c ψ_b − λ_b ψ_c over the pairs (b, c) of rotation q."""

        def codegen(context, builder, signature, args):
            left, right = _unpacked(builder, args[2], n), _unpacked(builder, args[3], n)
            places = []
            for q in range(n.bit_length() - 1):
                k = builder.add(args[1], context.get_constant(types.intp, q * PAIR))
                places.append(pointer(context, builder, signature.args[0], args[0], k, PAIR))
            totals = [builder.load(place, align=8) for place in places]
            for q, b, c in _pairs(n):
                totals[q] = _plus(builder, totals[q], _times(builder, left[c], right[b]))
                totals[q] = _minus(builder, totals[q], _times(builder, left[b], right[c]))
            for place, total in zip(places, totals, strict=True):
                builder.store(total, place, align=8)
            return context.get_dummy_value()

        return types.void(sums, types.intp, lam, psi), codegen

    return overlap


def phased_block(n):
    """Makes `phased` for n amplitudes."""

    @intrinsic
    def phased(typingctx, phases, to, table, k, start, a):
        """Amplitude b, which belongs to to ^ table[k + b], times its phase."""

        def codegen(context, builder, signature, args):
            found = []
            offsets = _offsets(context, builder, signature, args, n)
            for i, value in zip(offsets, _unpacked(builder, args[5], n), strict=True):
                found.append(_with_phase(context, builder, signature, args, i, value))
            return context.make_tuple(builder, signature.return_type, found)

        return a(phases, types.intp, table, types.intp, types.intp, a), codegen

    return phased


def _with_phase(context, builder, signature, args, i, value):
    def constant(value):
        return context.get_constant(types.intp, value)

    # Eight cosines, eight sines, and so on: amplitude j = i / 16 has its own at 16 (j / 8) + j % 8.
    block = builder.and_(builder.lshr(i, constant(3)), constant(-PAIR))
    lane = builder.and_(builder.lshr(i, constant(4)), constant(LANES - 1))
    k = builder.add(args[4], builder.or_(block, lane))
    both = []
    for half in (0, LANES):
        at = builder.add(k, constant(half))
        where = pointer(context, builder, signature.args[0], args[0], at, 1)
        one = builder.load(where, align=8)
        both.append(shuffled(builder, one, one, [0] * PAIR))
    c, s = both
    swapped = shuffled(builder, value, value, [*range(LANES, PAIR), *range(LANES)])
    crossed = _times(builder, s, swapped)
    plain = _times(builder, c, value)
    less, more = _minus(builder, plain, crossed), _plus(builder, plain, crossed)
    return shuffled(builder, less, more, [*range(LANES), *range(PAIR + LANES, 2 * PAIR)])
