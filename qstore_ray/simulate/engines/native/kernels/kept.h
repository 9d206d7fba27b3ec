/* The last gates as observables of the k qubits that they act on (see tail.py). All rows share those
   gates, so they are matrices A_o computed once. A row needs its density matrix ρ of the k qubits:
   ⟨O_o⟩ = Tr(A_o ρ), λ = Σ_o w_o A_o ψ, and the gates' gradients need Σ_rows w_o ρ alone.

   Amplitude b of the kept qubits lies at `base ^ offsets[b]`. Part of one variant. */

enum { NAME(KEPT) = 64 };             /* at most 2^k */

/* ρ[i][j] for j ≤ i at 2 (2^k i + j), re and im; lanes are rows, or have to be added up. */
static int64_t NAME(density_bytes)(const Program *c) {
    return c->n_kept ? (2 * (int64_t)sizeof(V)) << (2 * c->n_kept) : 0;
}

typedef struct {
    int k, bases;                     /* 2^bases sets of LANE_BITS or one base at a time */
    uint32_t offsets[NAME(KEPT)];
    uint32_t lanes[LANES];            /* the base of each lane from that of the first */
    const uint32_t *base_vectors;
} NAME(Gather);
#define Gather NAME(Gather)

static Gather NAME(open_gather)(const Program *c) {
    Gather found = {.k = (int)c->n_kept, .bases = (int)(c->n_qubits - c->n_kept - LANE_BITS),
                    .base_vectors = c->kept_vectors + c->n_kept + LANE_BITS};
    for (int q = 0; q < found.k; q++)
        for (int b = 0; b < 1 << q; b++)
            found.offsets[b | 1 << q] = found.offsets[b] ^ c->kept_vectors[q];
    for (int t = 0; t < 1 << LANE_BITS; t++)
        for (int q = 0; q < LANE_BITS; q++)
            if (t >> q & 1) found.lanes[t] ^= c->kept_vectors[c->n_kept + q];
    return found;
}

INLINE void NAME(take)(const Gather *gather, const REAL *state, uint32_t base, int b, V *to) {
#if LANE_BITS == 0
    const V *at = (const V *)state + 2 * (size_t)(base ^ gather->offsets[b]);
    to[0] = at[0];
    to[1] = at[1];
#else
    UNROLL for (int t = 0; t < LANES; t++) {
        const uint32_t i = base ^ gather->offsets[b] ^ gather->lanes[t];
        const REAL *at = state + 2 * LANES * (size_t)UNIT(i) + LANE(i);
        to[0][t] = at[0];
        to[1][t] = at[LANES];
    }
#endif
}

INLINE void NAME(give)(const Gather *gather, REAL *state, uint32_t base, int b, V re, V im) {
#if LANE_BITS == 0
    V *at = (V *)state + 2 * (size_t)(base ^ gather->offsets[b]);
    at[0] = re;
    at[1] = im;
#else
    UNROLL for (int t = 0; t < LANES; t++) {
        const uint32_t i = base ^ gather->offsets[b] ^ gather->lanes[t];
        REAL *at = state + 2 * LANES * (size_t)UNIT(i) + LANE(i);
        at[0] = re[t];
        at[LANES] = im[t];
    }
#endif
}

/* ρ of stored amplitudes; λ's memory takes ψ in another order. */
static void NAME(density)(const Tile *tile, V *rho) {
    const Gather gather = NAME(open_gather)(tile->program);
    const int dim = 1 << gather.k;
    const uint32_t sets = (uint32_t)1 << gather.bases;
    V *x = (V *)tile->lambda;
    uint32_t base = 0;
    for (uint32_t o = 0; o < sets; o++) {
        for (int b = 0; b < dim; b++) NAME(take)(&gather, tile->psi, base, b, x + 2 * ((size_t)o * dim + b));
        NEXT_BASE(&gather, base, o);
    }
    for (int i = 0; i < dim; i += 4) {
        for (int j = 0; j < i + 4; j += 2) {
            V re[8] = {}, im[8] = {};
            for (size_t o = 0; o < sets; o++) {
                const V *a = x + 2 * (o * dim + i), *b = x + 2 * (o * dim + j);
                UNROLL for (int s = 0; s < 2; s++) {
                    const V br = b[2 * s], bi = b[2 * s + 1];
                    UNROLL for (int r = 0; r < 4; r++) {
                        re[4 * s + r] += a[2 * r] * br;
                        im[4 * s + r] += a[2 * r + 1] * br;
                        re[4 * s + r] += a[2 * r + 1] * bi;
                        im[4 * s + r] -= a[2 * r] * bi;
                    }
                }
            }
            for (int s = 0; s < 2; s++) {
                for (int r = 0; r < 4; r++) {
                    V *to = rho + 2 * ((size_t)(i + r) * dim + j + s);
                    to[0] = re[4 * s + r];
                    to[1] = im[4 * s + r];
                }
            }
        }
    }
}

/* Entry (i, j) of an observable with the Pauli string in front taken in; see bind.h. */
static void NAME(entry_of_kept)(const Tile *tile, const double *matrix, int i, int j, double found[2]) {
    const int dim = 1 << tile->program->n_kept;
    const double sign = __builtin_parity((unsigned)((i ^ j) & tile->kept_z)) ? -1.0 : 1.0;
    const double *at = matrix + 2 * ((size_t)(i ^ tile->kept_x) * dim + (j ^ tile->kept_x));
    found[0] = sign * at[0];
    found[1] = sign * at[1];
}

/* The local Pauli string of what is pulled in front, and the observables with it. */
static void NAME(open_kept)(Tile *tile, const double *observables) {
    const Program *c = tile->program;
    const int dim = 1 << c->n_kept;
    tile->kept_x = (int)c->kept[2 * c->n_kept];
    tile->kept_z = (int)c->kept[2 * c->n_kept + 1];
    for (int q = 0; q < c->n_kept; q++) {
        const int64_t x = c->kept[q], z = c->kept[c->n_kept + q];
        tile->kept_z ^= anticommute(tile->bound->frame_x, tile->bound->frame_z, x, 0) << q;
        tile->kept_x ^= anticommute(tile->bound->frame_x, tile->bound->frame_z, 0, z) << q;
    }
    double *to = tile->observables;
    for (int64_t o = 0; o < c->n_observables; o++)
        for (int i = 0; i < dim; i++)
            for (int j = 0; j < dim; j++, to += 2)
                NAME(entry_of_kept)(tile, observables + ((size_t)o * 2 << (2 * c->n_kept)), i, j, to);
}

INLINE D NAME(all_lanes)(V v) {
#if LANE_BITS == 0
    return TO_D(v);
#else
    return splat_d(lane_sum(TO_D(v)));
#endif
}

static void NAME(measure_kept)(const Tile *tile, const V *rho, double *values) {
    const Program *c = tile->program;
    const int dim = 1 << c->n_kept;
    const double square = tile->bound->final_scale * tile->bound->final_scale;
    double *row = values + tile->first_row * c->n_observables;
    for (int64_t o = 0; o < c->n_observables; o++) {
        const double *matrix = tile->observables + ((size_t)o * 2 << (2 * c->n_kept));
        V diagonal = {}, beside = {};
        for (int i = 0; i < dim; i++) {
            const double *a = matrix + 2 * (size_t)i * dim;
            const V *r = rho + 2 * (size_t)i * dim;
            for (int j = 0; j < i; j++)
                beside += splat(a[2 * j]) * r[2 * j] + splat(a[2 * j + 1]) * r[2 * j + 1];
            diagonal += splat(a[2 * i]) * r[2 * i];
        }
        const D value = NAME(all_lanes)(diagonal + beside + beside) * splat_d(square);
        for (int64_t t = 0; t < tile->n_lane_rows; t++) row[t * c->n_observables + o] = value[t];
    }
}

/* A cotangent of each lane's row. */
static D NAME(weights_of)(const Tile *tile, const double *cotangent, int64_t o) {
    const int64_t step = tile->program->n_observables;
    return NAME(of_rows)(tile, cotangent + tile->first_row * step + o, step);
}

/* λ = Σ_o w_o A_o ψ. */
static void NAME(cotangent_kept)(const Tile *tile, const double *cotangent) {
    const Program *c = tile->program;
    const Gather gather = NAME(open_gather)(c);
    const int dim = 1 << gather.k;
    V x[2 * NAME(KEPT)], y[2 * NAME(KEPT)];
    uint32_t base = 0;
    for (uint32_t set = 0; set < (uint32_t)1 << gather.bases; set++) {
        for (int b = 0; b < dim; b++) NAME(take)(&gather, tile->psi, base, b, x + 2 * b);
        for (int b = 0; b < 2 * dim; b++) y[b] = splat(0.0);
        for (int64_t o = 0; o < c->n_observables; o++) {
            const double *matrix = tile->observables + ((size_t)o * 2 << (2 * c->n_kept));
            const V w = TO_V(NAME(weights_of)(tile, cotangent, o));
            for (int i = 0; i < dim; i += 4) {
                const double *a = matrix + 2 * (size_t)i * dim;
                V re[4] = {}, im[4] = {};
                for (int j = 0; j < dim; j++, a += 2) {
                    const V xr = x[2 * j], xi = x[2 * j + 1];
                    UNROLL for (int r = 0; r < 4; r++) {
                        const V ar = splat(a[2 * r * dim]), ai = splat(a[2 * r * dim + 1]);
                        re[r] += ar * xr;
                        im[r] += ar * xi;
                        re[r] -= ai * xi;
                        im[r] += ai * xr;
                    }
                }
                UNROLL for (int r = 0; r < 4; r++) {
                    y[2 * (i + r)] += w * re[r];
                    y[2 * (i + r) + 1] += w * im[r];
                }
            }
        }
        for (int b = 0; b < dim; b++) NAME(give)(&gather, tile->lambda, base, b, y[2 * b], y[2 * b + 1]);
        NEXT_BASE(&gather, base, set);
    }
}

/* A sum in pairs: shorter than one lane after the other. */
INLINE double NAME(paired_sum)(D v) {
    double part[LANES];
    UNROLL for (int t = 0; t < LANES; t++) part[t] = v[t];
    for (int half = LANES / 2; half; half /= 2)
        UNROLL for (int t = 0; t < half; t++) part[t] += part[t + half];
    return part[0];
}

/* Σ_o w_o ρ of a tile's rows into their block's, as matrices without the Pauli string in front. */
static void NAME(add_weighted)(const Tile *tile, const V *rho, const Sweep *sweep) {
    const Program *c = tile->program;
    const int dim = 1 << c->n_kept;
    const double square = tile->bound->final_scale * tile->bound->final_scale;
    const int64_t block = tile->first_row / sweep->block;
    for (int64_t o = 0; o < c->n_observables; o++) {
        double *to = sweep->weighted + (((size_t)(block * c->n_observables + o) * 2) << (2 * c->n_kept));
        D w = NAME(weights_of)(tile, sweep->cotangent, o) * splat_d(square);
#if LANE_BITS == 0
        for (int64_t t = tile->n_lane_rows; t < LANES; t++) w[t] = 0.0;
#endif
        for (int i = 0; i < dim; i++) {
            for (int j = 0; j <= i; j++) {
                const V *from = rho + 2 * ((size_t)i * dim + j);
                const double re = NAME(paired_sum)(w * TO_D(from[0])), im = NAME(paired_sum)(w * TO_D(from[1]));
                const double sign = __builtin_parity((unsigned)((i ^ j) & tile->kept_z)) ? -1.0 : 1.0;
                const int a = i ^ tile->kept_x, b = j ^ tile->kept_x;
                to[2 * (a * dim + b)] += sign * re;
                to[2 * (a * dim + b) + 1] += sign * im;
                if (i == j) continue;
                to[2 * (b * dim + a)] += sign * re;
                to[2 * (b * dim + a) + 1] -= sign * im;
            }
        }
    }
}
