/* Parts of a circuit that meet late (see parts.py): each has a small state of its own, in memory of
   its own, so that a reverse sweep finds them all again. Part of one variant. */

/* Bytes of ψ and λ of every part but the last, which is the whole. */
static int64_t NAME(part_bytes)(const Program *c) {
    int64_t bytes = 0;
    for (int64_t k = 0; k + 1 < c->n_parts; k++)
        bytes += 4 * ((int64_t)sizeof(V) << (c->parts[k * PART_COLUMNS + PART_QUBITS] - LANE_BITS));
    return bytes;
}

/* The tile of one part: that of the whole, but for its qubits and states. */
static Tile NAME(part_tile)(const Tile *whole, int64_t number) {
    const Program *c = whole->program;
    const int64_t *part = c->parts + number * PART_COLUMNS;
    Tile tile = *whole;
    if (number == c->n_parts - 1) return tile;
    char *memory = whole->part_memory;
    for (int64_t k = 0; k < number; k++)
        memory += 4 * ((int64_t)sizeof(V) << (c->parts[k * PART_COLUMNS + PART_QUBITS] - LANE_BITS));
    tile.first_qubit = part[PART_QUBIT];
    tile.n_qubits = part[PART_QUBITS];
    tile.count = (size_t)1 << (tile.n_qubits - LANE_BITS);
    tile.psi = (REAL *)memory;
    tile.lambda = (REAL *)(memory + 2 * tile.count * sizeof(V));
    return tile;
}

/* Amplitude `high` of a state, the same in all lanes that it multiplies. */
INLINE void NAME(amplitude)(const REAL *state, size_t high, V *re, V *im) {
    const V *at = (const V *)state + 2 * UNIT(high);
#if LANE_BITS == 0
    *re = at[0];
    *im = at[1];
#else
    *re = splat(at[0][LANE(high)]);
    *im = splat(at[1][LANE(high)]);
#endif
}

typedef struct { const Tile *whole, *left, *right; double factor; } NAME(Join);

static void NAME(join_piece)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Join) *w = own;
    const V *from = (const V *)w->left->psi;
    const size_t count = w->left->count;
    for (size_t at = first; at < last;) {
        const size_t begin = at & (count - 1), end = count - begin < last - at ? count : begin + last - at;
        V re, im, *to = (V *)w->whole->psi + 2 * (at - begin);
        NAME(amplitude)(w->right->psi, at / count, &re, &im);
        re *= splat(w->factor);
        im *= splat(w->factor);
        for (size_t u = begin; u < end; u++) {
            const V a = from[2 * u], b = from[2 * u + 1];
            to[2 * u] = re * a - im * b;
            to[2 * u + 1] = re * b + im * a;
        }
        at += end - begin;
    }
}

/* ψ = factor · right ⊗ left; the left part has the lower qubits. */
static void NAME(join)(const Tile *whole, const Tile *left, const Tile *right, double factor) {
    const NAME(Join) own = {.whole = whole, .left = left, .right = right, .factor = factor};
    NAME(each)(whole, whole->count, NAME(join_piece), &own);
}

/* λ of two parts from λ of what they became: Σ over the other's amplitudes, conjugated. Stored λ of
   a part is true λ over `scale`, as ψ is. `factor` is true over stored λ of the whole. */
static void NAME(separate)(const Tile *whole, const Tile *left, const Tile *right, double factor,
                           double left_scale, double right_scale) {
    const V *from = (const V *)whole->lambda, *l = (const V *)left->psi;
    V *to = (V *)left->lambda;
    const V of_left = splat(factor * right_scale / left_scale);
    const double of_right = factor * left_scale / right_scale;
    memset(to, 0, 2 * left->count * sizeof(V));
    for (size_t high = 0; high < (size_t)1 << right->n_qubits; high++, from += 2 * left->count) {
        V re, im, sum_re = {}, sum_im = {};
        NAME(amplitude)(right->psi, high, &re, &im);
        for (size_t u = 0; u < left->count; u++) {
            const V a = from[2 * u], b = from[2 * u + 1], c = l[2 * u], d = l[2 * u + 1];
            to[2 * u] += re * a + im * b;
            to[2 * u + 1] += re * b - im * a;
            sum_re += a * c + b * d;
            sum_im += b * c - a * d;
        }
        V *at = (V *)right->lambda + 2 * UNIT(high);
#if LANE_BITS == 0
        at[0] = sum_re * splat(of_right);
        at[1] = sum_im * splat(of_right);
#else
        at[0][LANE(high)] = (REAL)(of_right * lane_sum(TO_D(sum_re)));
        at[1][LANE(high)] = (REAL)(of_right * lane_sum(TO_D(sum_im)));
#endif
    }
    for (size_t u = 0; u < 2 * left->count; u++) to[u] *= of_left;
}
