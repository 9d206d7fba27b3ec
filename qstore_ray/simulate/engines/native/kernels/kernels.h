/* The kernels, for one instruction set, one precision and one way to fill a vector.

   A tile is a set of states that one thread works on. A vector holds LANES numbers:
     LANE_BITS = 0   amplitude j of LANES rows: a tile is LANES rows, a vector's lanes are rows
     LANE_BITS > 0   LANES amplitudes of one row: a tile is one row, amplitude j is lane j % LANES
   The second way keeps wide circuits in cache. Vector u of a tile is re, im at 2u, 2u + 1.

   Included with REAL, LANES, LANE_BITS and NAME(x) defined; see variants.h. */

typedef REAL NAME(V) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(LANES * sizeof(REAL))));
typedef double NAME(D) __attribute__((vector_size(LANES * 8), aligned(LANES * 8)));
typedef struct { NAME(V) re[8], im[8]; } NAME(Block);
#define V NAME(V)
#define D NAME(D)
#define Block NAME(Block)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
#define TO_D(v) __builtin_convertvector(v, D)
#define TO_V(d) __builtin_convertvector(d, V)

INLINE V NAME(splat)(double value) { return (REAL)value - (V){}; }
INLINE D NAME(splat_d)(double value) { return value - (D){}; }
#define splat NAME(splat)
#define splat_d NAME(splat_d)

/* Lane t of the result is lane t ^ x of v. */
#if LANE_BITS == 0
#define PERMUTE(v, x) (v)
#define PERMUTE_D(v, x) (v)
#else
#include "permute.h"
#define PERMUTE(v, x) NAME(permute)(v, x)
#define PERMUTE_D(v, x) NAME(permute_d)(v, x)
#endif

/* +1 or −1 by the parity of lane & mask: one lane an amplitude, or all lanes alike. */
INLINE D NAME(lane_signs)(uint32_t mask) {
    D signs = splat_d(1.0);
#if LANE_BITS > 0
    for (int t = 0; t < LANES; t++) signs[t] = __builtin_parity(t & mask) ? -1.0 : 1.0;
#endif
    return signs;
}
#define lane_signs NAME(lane_signs)

INLINE double NAME(lane_sum)(D v) {
    double sum = 0.0;
    for (int t = 0; t < LANES; t++) sum += v[t];
    return sum;
}
#define lane_sum NAME(lane_sum)

#define UNIT(i) ((i) >> LANE_BITS)
#define LANE(i) ((i) & ((1u << LANE_BITS) - 1))

/* ------------------------------------------------------------------ turns in registers */

/* Rotations on R qubits of 2^R vectors: (a, b) ← (p a − t b, p b + t a), with −t if `back`. */
INLINE void NAME(rotate)(Block *s, const V *p, const V *t, const int R, const int general,
                         const int back) {
    UNROLL for (int q = 0; q < R; q++) {
        V turn = back ? -t[q] : t[q];
        UNROLL for (int b = 0; b < (1 << R); b++) {
            if (b >> q & 1) continue;
            const int c = b | 1 << q;
            V ar = s->re[b], ai = s->im[b], br = s->re[c], bi = s->im[c];
            if (general) {
                s->re[b] = p[q] * ar - turn * br;
                s->im[b] = p[q] * ai - turn * bi;
                s->re[c] = p[q] * br + turn * ar;
                s->im[c] = p[q] * bi + turn * ai;
            } else {
                s->re[b] = ar - turn * br;
                s->im[b] = ai - turn * bi;
                s->re[c] = br + turn * ar;
                s->im[c] = bi + turn * ai;
            }
        }
    }
}

INLINE void NAME(load)(Block *s, const REAL *from, uint32_t base, const uint32_t *offsets,
                       const int R, const int permuted) {
    UNROLL for (int b = 0; b < (1 << R); b++) {
        const uint32_t i = base ^ offsets[b];
        const V *at = (const V *)from + 2 * (size_t)UNIT(i);
        s->re[b] = permuted ? PERMUTE(at[0], LANE(i)) : at[0];
        s->im[b] = permuted ? PERMUTE(at[1], LANE(i)) : at[1];
    }
}

INLINE void NAME(store)(const Block *s, REAL *to, uint32_t base, const uint32_t *offsets,
                        const int R, const int permuted) {
    UNROLL for (int b = 0; b < (1 << R); b++) {
        const uint32_t i = base ^ offsets[b];
        V *at = (V *)to + 2 * (size_t)UNIT(i);
        at[0] = permuted ? PERMUTE(s->re[b], LANE(i)) : s->re[b];
        at[1] = permuted ? PERMUTE(s->im[b], LANE(i)) : s->im[b];
    }
}

/* The factor of vector u of a phase table: one number for all lanes, or one a lane. */
#if LANE_BITS == 0
#define FACTOR(table, u) splat((table)[u])
#else
#define FACTOR(table, u) (*(const V *)((table) + (size_t)(u) * LANES))
#endif

INLINE void NAME(store_with_phases)(const Block *s, REAL *to, uint32_t base,
                                    const uint32_t *offsets, const int R, const int permuted,
                                    const REAL *cosines, const REAL *sines) {
    UNROLL for (int b = 0; b < (1 << R); b++) {
        const uint32_t i = base ^ offsets[b];
        V *at = (V *)to + 2 * (size_t)UNIT(i);
        V re = permuted ? PERMUTE(s->re[b], LANE(i)) : s->re[b];
        V im = permuted ? PERMUTE(s->im[b], LANE(i)) : s->im[b];
        V c = FACTOR(cosines, UNIT(i)), d = FACTOR(sines, UNIT(i));
        at[0] = c * re - d * im;
        at[1] = c * im + d * re;
    }
}

/* v ← p v + t permuted(v): rotations between the lanes of a vector. */
INLINE void NAME(rotate_within)(Block *s, const V *p, const V *t, const uint32_t *directions,
                                int count, const int R, const int back) {
#if LANE_BITS > 0
    for (int step = 0; step < count; step++) {
        V turn = back ? -t[step] : t[step];
        UNROLL for (int b = 0; b < (1 << R); b++) {
            s->re[b] = p[step] * s->re[b] + turn * PERMUTE(s->re[b], directions[step]);
            s->im[b] = p[step] * s->im[b] + turn * PERMUTE(s->im[b], directions[step]);
        }
    }
#endif
}

/* ------------------------------------------------------------------------- turn passes */

/* One TURN pass as the kernels see it. */
typedef struct {
    int within, bases, wanted;
    V p[6], t[6];                     /* of up to three rotations across vectors, then of those within */
    uint32_t offsets[8];              /* which amplitudes turn together, from a base */
    uint32_t directions[3];           /* of the rotations within a vector */
    const uint32_t *base_vectors;
    const REAL *cosines, *sines;      /* phases that follow, or NULL */
} NAME(Turn);
#define Turn NAME(Turn)

/* Bases in the order of a Gray code: one exclusive or from each to the next. */
INLINE uint32_t NAME(base_at)(const uint32_t *vectors, uint32_t o) {
    uint32_t base = 0;
    for (uint32_t gray = o ^ o >> 1; gray; gray &= gray - 1) base ^= vectors[__builtin_ctz(gray)];
    return base;
}
#define NEXT_BASE(turn, base, o) \
    if ((o) + 1 < (uint32_t)1 << (turn)->bases) base ^= (turn)->base_vectors[__builtin_ctz((o) + 1)]

/* ψ ← turns ψ at the bases `first` to `last` − 1, for R rotations: 2^R vectors at a time go through
   registers. */
INLINE void NAME(turn_forward)(const Turn *turn, REAL *psi, uint32_t first, uint32_t last, const int R,
                               const int general, const int permuted) {
    uint32_t base = NAME(base_at)(turn->base_vectors, first);
    for (uint32_t o = first; o < last; o++) {
        Block s;
        NAME(load)(&s, psi, base, turn->offsets, R, permuted);
        NAME(rotate_within)(&s, turn->p + 3, turn->t + 3, turn->directions, turn->within, R, 0);
        NAME(rotate)(&s, turn->p, turn->t, R, general, 0);
        if (turn->cosines) {
            NAME(store_with_phases)(&s, psi, base, turn->offsets, R, permuted, turn->cosines, turn->sines);
        } else {
            NAME(store)(&s, psi, base, turn->offsets, R, permuted);
        }
        NEXT_BASE(turn, base, o);
    }
}

/* overlaps[q] += Σ λ_b ψ_a − λ_a ψ_b over the pairs (a, b) of rotation q: Im⟨λ|P|ψ⟩. */
INLINE void NAME(add_overlaps)(const Block *l, const Block *s, D *overlaps, const int R) {
    UNROLL for (int q = 0; q < R; q++) {
        V plus = {}, minus = {};
        UNROLL for (int b = 0; b < (1 << R); b++) {
            if (b >> q & 1) continue;
            const int c = b | 1 << q;
            plus += l->re[c] * s->re[b];
            minus += l->re[b] * s->re[c];
            plus += l->im[c] * s->im[b];
            minus += l->im[b] * s->im[c];
        }
        overlaps[q] += TO_D(plus - minus);
    }
}

INLINE void NAME(add_overlaps_within)(const Block *l, const Block *s, const Turn *turn, D *overlaps,
                                      const int R) {
#if LANE_BITS > 0
    for (int step = 0; step < turn->within; step++) {
        V sum = {};
        UNROLL for (int b = 0; b < (1 << R); b++) {
            sum += l->re[b] * PERMUTE(s->re[b], turn->directions[step]);
            sum += l->im[b] * PERMUTE(s->im[b], turn->directions[step]);
        }
        overlaps[3 + step] += TO_D(sum);
    }
#endif
}

/* Undo the turns on ψ and λ at some of the bases, adding up the overlaps (6). */
INLINE void NAME(turn_back)(const Turn *turn, REAL *psi, REAL *lambda, D *overlaps, uint32_t first,
                            uint32_t last, const int R, const int general, const int permuted) {
    uint32_t base = NAME(base_at)(turn->base_vectors, first);
    for (uint32_t o = first; o < last; o++) {
        Block l, s;
        NAME(load)(&l, lambda, base, turn->offsets, R, permuted);
        NAME(rotate_within)(&l, turn->p + 3, turn->t + 3, turn->directions, turn->within, R, 1);
        NAME(rotate)(&l, turn->p, turn->t, R, general, 1);
        NAME(store)(&l, lambda, base, turn->offsets, R, permuted);
        NAME(load)(&s, psi, base, turn->offsets, R, permuted);
        NAME(rotate_within)(&s, turn->p + 3, turn->t + 3, turn->directions, turn->within, R, 1);
        NAME(rotate)(&s, turn->p, turn->t, R, general, 1);
        NAME(store)(&s, psi, base, turn->offsets, R, permuted);
        if (turn->wanted) {
            NAME(add_overlaps)(&l, &s, overlaps, R);
            NAME(add_overlaps_within)(&l, &s, turn, overlaps, R);
        }
        NEXT_BASE(turn, base, o);
    }
}

/* One compiled copy for each number of rotations, of each kind. */
#define EACH_COUNT(DO, G, P) DO(0, G, P) DO(1, G, P) DO(2, G, P) DO(3, G, P)
#define TURN_FUNCTIONS(R, G, P) \
    static void NAME(forward_##R##G##P)(const Turn *turn, REAL *psi, uint32_t first, uint32_t last) { \
        NAME(turn_forward)(turn, psi, first, last, R, G, P); } \
    static void NAME(back_##R##G##P)(const Turn *turn, REAL *psi, REAL *lambda, D *overlaps, \
                                     uint32_t first, uint32_t last) { \
        NAME(turn_back)(turn, psi, lambda, overlaps, first, last, R, G, P); }
EACH_COUNT(TURN_FUNCTIONS, 0, 0)
#if LANE_BITS == 0
EACH_COUNT(TURN_FUNCTIONS, 1, 0)
#else
EACH_COUNT(TURN_FUNCTIONS, 0, 1)
EACH_COUNT(TURN_FUNCTIONS, 1, 1)
#endif

#define ROW(what, G, P) {NAME(what##0##G##P), NAME(what##1##G##P), NAME(what##2##G##P), NAME(what##3##G##P)}
typedef void (*NAME(ForwardFunction))(const Turn *, REAL *, uint32_t, uint32_t);
typedef void (*NAME(BackFunction))(const Turn *, REAL *, REAL *, D *, uint32_t, uint32_t);
static const NAME(ForwardFunction) NAME(FORWARD)[][2][4] = {
#if LANE_BITS == 0
    {ROW(forward_, 0, 0), ROW(forward_, 1, 0)},
#else
    {ROW(forward_, 0, 0), ROW(forward_, 1, 1)}, /* permuting by 0 does no harm */
    {ROW(forward_, 0, 1), ROW(forward_, 1, 1)},
#endif
};
static const NAME(BackFunction) NAME(BACK)[][2][4] = {
#if LANE_BITS == 0
    {ROW(back_, 0, 0), ROW(back_, 1, 0)},
#else
    {ROW(back_, 0, 0), ROW(back_, 1, 1)},
    {ROW(back_, 0, 1), ROW(back_, 1, 1)},
#endif
};
