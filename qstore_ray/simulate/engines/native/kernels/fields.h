/* Fields: one real number for each amplitude of a tile, in double, one D a vector of amplitudes.
   Probabilities, weights, angles of phases: whatever a Walsh–Hadamard transform turns into sums
   over masks. Part of one variant, after kernels.h. */

/* sin and cos of a vector: reduction by π/2 in three parts, then the fdlibm polynomials; below
   1 ulp of error for |x| < 1e5, beyond that lane by lane in libm. */
typedef int8_t NAME(Bytes) __attribute__((vector_size(LANES)));
INLINE void NAME(sincos)(D x, D *sine, D *cosine) {
    typedef __typeof__((D){} < (D){}) Bits;
    const D magic = splat_d(6755399441055744.0); /* 1.5 · 2^52: adding it rounds to an integer */
    D shifted = x * 0.63661977236758134308 + magic;
    Bits quadrant = (Bits)shifted;
    D q = shifted - magic;
    D y = x - q * 1.57079632673412561417e+00;
    D low = q * 6.07710050650619224932e-11;
    D r = y - low;
    r -= q * 2.02226624879595063154e-21 - ((y - r) - low);
    D z = r * r;
    D s = r + r * z * (-1.66666666666666307295e-1 + z * (8.33333333332211858878e-3
        + z * (-1.98412698295895385996e-4 + z * (2.75573136213857245213e-6
        + z * (-2.50507477628578072866e-8 + z * 1.58962301576546568060e-10)))));
    D c = 1.0 - (0.5 * z - z * z * (4.16666666666665929218e-2 + z * (-1.38888888888730564116e-3
        + z * (2.48015872888517045348e-5 + z * (-2.75573141792967388112e-7
        + z * (2.08757008419747316778e-9 + z * -1.13585365213876817300e-11))))));
    Bits swap = (quadrant & 1) != 0, minus_s = (quadrant & 2) != 0, minus_c = ((quadrant + 1) & 2) != 0;
    Bits sb = (Bits)s, cb = (Bits)c, sign = (Bits)splat_d(-0.0);
    *sine = (D)(((sb & ~swap) | (cb & swap)) ^ (minus_s & sign));
    *cosine = (D)(((cb & ~swap) | (sb & swap)) ^ (minus_c & sign));
    const NAME(Bytes) small = __builtin_convertvector((D)((Bits)x & ~sign) < splat_d(1e5), NAME(Bytes));
    const NAME(Bytes) all = (NAME(Bytes)){} - 1;
    if (!memcmp(&small, &all, LANES)) return;
    for (int t = 0; t < LANES; t++) {
        if (small[t]) continue;
        (*sine)[t] = sin(x[t]);
        (*cosine)[t] = cos(x[t]);
    }
}

typedef struct { D *v; size_t step; } NAME(Butterflies);

/* The bits within a vector, at once. */
static void NAME(transform_lanes)(const void *own, size_t first, size_t last, int piece) {
#if LANE_BITS > 0
    D *v = ((const NAME(Butterflies) *)own)->v, signs[LANE_BITS];
    for (int bit = 0; bit < LANE_BITS; bit++) signs[bit] = lane_signs(1u << bit);
    for (size_t u = first; u < last; u++) {
        D a = v[u];
        UNROLL for (int bit = 0; bit < LANE_BITS; bit++) a = signs[bit] * a + PERMUTE_D(a, 1u << bit);
        v[u] = a;
    }
#endif
}

/* Three bits, of vectors `step` apart: groups of eight vectors, in runs that lie side by side. */
static void NAME(transform_three)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Butterflies) *w = own;
    D *v = w->v;
    const size_t step = w->step;
    for (size_t group = first; group < last;) {
        const size_t within = group & (step - 1), base = 8 * (group - within) + within;
        const size_t run = step - within < last - group ? step - within : last - group;
        for (size_t u = base; u < base + run; u++) {
            D a[8];
            UNROLL for (int b = 0; b < 8; b++) a[b] = v[u + b * step];
            UNROLL for (int q = 0; q < 3; q++) {
                UNROLL for (int b = 0; b < 8; b++) {
                    if (b >> q & 1) continue;
                    D x = a[b], y = a[b | 1 << q];
                    a[b] = x + y;
                    a[b | 1 << q] = x - y;
                }
            }
            UNROLL for (int b = 0; b < 8; b++) v[u + b * step] = a[b];
        }
        group += run;
    }
}

static void NAME(transform_one)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Butterflies) *w = own;
    D *v = w->v;
    const size_t step = w->step;
    for (size_t group = first; group < last;) {
        const size_t within = group & (step - 1), base = 2 * (group - within) + within;
        const size_t run = step - within < last - group ? step - within : last - group;
        for (size_t u = base; u < base + run; u++) {
            D x = v[u], y = v[u + step];
            v[u] = x + y;
            v[u + step] = x - y;
        }
        group += run;
    }
}

/* v_k ← Σ_j (−1)^|j∧k| v_j over all amplitudes, two or three bits a pass. */
static void NAME(walsh_hadamard)(const Tile *tile, D *v) {
    const size_t count = tile->count;
    NAME(Butterflies) own = {.v = v, .step = 1};
    if (LANE_BITS > 0) NAME(each)(tile, count, NAME(transform_lanes), &own);
    for (; own.step * 8 <= count; own.step *= 8) NAME(each)(tile, count / 8, NAME(transform_three), &own);
    for (; own.step < count; own.step *= 2) NAME(each)(tile, count / 2, NAME(transform_one), &own);
}

/* Entry k of a field: a number for each lane's row, or the same in all lanes. */
INLINE D NAME(entry)(const D *field, uint32_t k) {
#if LANE_BITS == 0
    return field[k];
#else
    return splat_d(((const double *)field)[k]);
#endif
}

INLINE void NAME(add_to_entry)(D *field, uint32_t k, D value) {
#if LANE_BITS == 0
    field[k] += value;
#else
    ((double *)field)[k] += value[0];
#endif
}
