/* Whole sweeps over tiles: forward to expectation values, back to gradients. Part of one variant.

   The reverse sweep is adjoint differentiation (Jones & Gacon 2020, arXiv:2009.02823). It needs ψ,
   λ and one field, however deep the circuit is. Stored amplitudes may be larger than true ones by
   a factor that is the same for all rows, `scale` = true over stored: a turn without its cosine
   costs half as much. What a row gives does not depend on the rows beside it. */

/* A number of each lane's row, `step` numbers apart; lanes without a row have the last row's. */
INLINE D NAME(of_rows)(const Tile *tile, const double *from, int64_t step) {
    if (LANE_BITS > 0) return splat_d(*from);
    D value;
    if (tile->n_lane_rows == LANES) {
        UNROLL for (int t = 0; t < LANES; t++) value[t] = from[t * step];
    } else {
        const int64_t last = tile->n_lane_rows - 1;
        for (int t = 0; t < LANES; t++) value[t] = from[(t < last ? t : last) * step];
    }
    return value;
}

/* The angle of a rotation, one for each lane's row. */
static D NAME(angle)(const Tile *tile, int64_t g) {
    const Program *c = tile->program;
    D value = splat_d(c->offsets[g]);
    for (int64_t k = c->term_starts[g]; k < c->term_starts[g + 1]; k++) {
        const int64_t slot = c->slots[k] - c->n_rows;
        const int64_t step = slot < 0 ? c->n_rows : c->params_per_row ? c->n_params : 0;
        const double *from = slot < 0 ? tile->rows + c->slots[k] : tile->params + slot;
        value += c->scales[k] * NAME(of_rows)(tile, from + tile->first_row * step, step);
    }
    return value * tile->bound->sign[g];
}

static void NAME(half_angle)(const Tile *tile, int64_t g, D *cosine, D *sine) {
    if (tile->program->by_row[g]) {
        NAME(sincos)(0.5 * NAME(angle)(tile, g), sine, cosine);
    } else {
        *cosine = splat_d(tile->bound->cosine[g]);
        *sine = splat_d(tile->bound->sine[g]);
    }
}

/* Coefficients of the turns of one kind: those of this tile's rows, or those that all share. */
static void NAME(turn_coefficients)(Tile *tile, int by_row) {
    const Program *c = tile->program;
    for (int64_t i = 0; i < c->n_passes; i++) {
        const int64_t *pass = c->passes + i * PASS_COLUMNS;
        if (pass[P_KIND] != TURN) continue;
        const int64_t end = pass[P_ORDER] + pass[P_ACROSS] + pass[P_WITHIN];
        for (int64_t k = pass[P_ORDER]; k < end; k++) {
            const int64_t g = c->order[k];
            if (c->by_row[g] != by_row) continue;
            D cosine = splat_d(1.0), sine = splat_d(tile->bound->tangent[g]);
            if (by_row) NAME(half_angle)(tile, g, &cosine, &sine);
            D signs = lane_signs((uint32_t)c->local_z[g]);
            if (k - pass[P_ORDER] >= pass[P_ACROSS]) signs = -signs;
            tile->p[k] = TO_V(cosine);
            tile->t[k] = TO_V(sine * signs);
        }
    }
}

static void NAME(prepare_turn)(const Tile *tile, const int64_t *pass, Turn *turn) {
    const Program *c = tile->program;
    const int across = (int)pass[P_ACROSS];
    const uint32_t *vectors = c->vectors + pass[P_VECTORS];
    turn->within = (int)pass[P_WITHIN];
    turn->bases = (int)pass[P_BASES];
    turn->base_vectors = vectors + across + turn->within;
    for (int k = 0; k < across; k++) {
        turn->p[k] = tile->p[pass[P_ORDER] + k];
        turn->t[k] = tile->t[pass[P_ORDER] + k];
    }
    for (int k = 0; k < turn->within; k++) {
        turn->p[3 + k] = tile->p[pass[P_ORDER] + across + k];
        turn->t[3 + k] = tile->t[pass[P_ORDER] + across + k];
        turn->directions[k] = vectors[across + k];
    }
    turn->offsets[0] = 0;
    for (int k = 0; k < across; k++)
        for (int b = 0; b < 1 << k; b++) turn->offsets[b | 1 << k] = turn->offsets[b] ^ vectors[k];
    turn->cosines = turn->sines = NULL;
    if (pass[P_TABLE] >= 0) {
        turn->cosines = tile->tables + (size_t)pass[P_TABLE] * 2;
        turn->sines = turn->cosines + ((size_t)1 << tile->n_qubits);
    }
}

static void NAME(clear)(const void *field, size_t first, size_t last, int piece) {
    memset((D *)field + first, 0, (last - first) * sizeof(D));
}

/* The angles of a layer of phases that differs from row to row, as a field. */
static void NAME(phase_field)(const Tile *tile, int64_t layer) {
    const Program *c = tile->program;
    NAME(each)(tile, tile->count, NAME(clear), tile->field);
    for (int64_t g = c->layers[3 * layer + 1]; g < c->layers[3 * layer + 2]; g++)
        NAME(add_to_entry)(tile->field, (uint32_t)c->local_z[g], -0.5 * NAME(angle)(tile, g));
    NAME(walsh_hadamard)(tile, tile->field);
}

INLINE void NAME(multiply)(REAL *state, size_t u, V c, V s) {
    V *at = (V *)state + 2 * u;
    V re = at[0], im = at[1];
    at[0] = c * re - s * im;
    at[1] = c * im + s * re;
}

typedef struct { const Tile *tile; const REAL *cosines, *sines; double factor; REAL *lambda; } NAME(Phases);

static void NAME(phases_of_table)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Phases) *w = own;
    for (size_t u = first; u < last; u++) {
        const V c = FACTOR(w->cosines, u), s = FACTOR(w->sines, u);
        NAME(multiply)(w->tile->psi, u, c, w->lambda ? -s : s);
        if (w->lambda) NAME(multiply)(w->lambda, u, c, -s);
    }
}

static void NAME(phases_of_field)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Phases) *w = own;
    for (size_t u = first; u < last; u++) {
        D sine, cosine;
        NAME(sincos)(w->tile->field[u], &sine, &cosine);
        const V c = TO_V(w->factor * cosine), s = TO_V(w->factor * sine);
        NAME(multiply)(w->tile->psi, u, c, w->lambda ? -s : s);
        if (w->lambda) NAME(multiply)(w->lambda, u, c, -s);
    }
}

/* Multiply ψ, and λ if there is one, by the phases of a layer, or by their conjugates. */
static void NAME(apply_phases)(const Tile *tile, int64_t layer, int64_t table, double factor,
                               REAL *lambda) {
    NAME(Phases) own = {.tile = tile, .factor = factor, .lambda = lambda};
    if (table < 0) {
        NAME(phase_field)(tile, layer);
        NAME(each)(tile, tile->count, NAME(phases_of_field), &own);
    } else {
        own.cosines = tile->tables + (size_t)table * 2;
        own.sines = own.cosines + ((size_t)1 << tile->n_qubits);
        NAME(each)(tile, tile->count, NAME(phases_of_table), &own);
    }
}

typedef struct { REAL *state; double factor; } NAME(Scale);

static void NAME(scale_piece)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Scale) *w = own;
    for (size_t k = 2 * first; k < 2 * last; k++) ((V *)w->state)[k] *= splat(w->factor);
}

static void NAME(scale_state)(const Tile *tile, REAL *state, double factor) {
    const NAME(Scale) own = {.state = state, .factor = factor};
    NAME(each)(tile, tile->count, NAME(scale_piece), &own);
}

/* exp(−iθP/2) on one qubit v = (re a, im a, re b, im b); P is X, Y or Z by the masks. */
INLINE void NAME(turn_qubit)(D v[4], int64_t x, int64_t z, D c, D s) {
    const D a = v[0], b = v[1], d = v[2], e = v[3];
    if (x && z) {
        v[0] = c * a - s * d; v[1] = c * b - s * e; v[2] = c * d + s * a; v[3] = c * e + s * b;
    } else if (x) {
        v[0] = c * a + s * e; v[1] = c * b - s * d; v[2] = c * d + s * b; v[3] = c * e - s * a;
    } else {
        v[0] = c * a + s * b; v[1] = c * b - s * a; v[2] = c * d - s * e; v[3] = c * e + s * d;
    }
}

/* The two amplitudes of each qubit after its leading rotations. */
static void NAME(qubit_states)(const Tile *tile, D *qubits) {
    const Program *c = tile->program;
    for (int64_t q = 0; q < c->n_qubits; q++) {
        D *v = qubits + 4 * q, cosine, sine;
        v[0] = splat_d(1.0);
        v[1] = v[2] = v[3] = splat_d(0.0);
        for (int64_t g = c->leading_starts[q]; g < c->leading_starts[q + 1]; g++) {
            NAME(half_angle)(tile, g, &cosine, &sine);
            NAME(turn_qubit)(v, c->x[g], c->z[g], cosine, sine);
        }
    }
}

/* A state of `half` vectors becomes one with one qubit more: (a, b) of it times what was. */
typedef struct { const V *from; V *low, *high, v[4]; } NAME(Doubling);

static void NAME(double_state)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Doubling) *w = own;
    const V ar = w->v[0], ai = w->v[1], br = w->v[2], bi = w->v[3];
    for (size_t u = first; u < last; u++) {
        const V x = w->from[2 * u], y = w->from[2 * u + 1];
        w->high[2 * u] = br * x - bi * y;
        w->high[2 * u + 1] = br * y + bi * x;
        w->low[2 * u] = ar * x - ai * y;
        w->low[2 * u + 1] = ar * y + ai * x;
    }
}

/* `low` takes `half` vectors, and `high` as many; `from` may be `low`. */
static void NAME(add_qubit)(const Tile *tile, const V *from, V *low, V *high, size_t half, const D one[4]) {
    const NAME(Doubling) own = {.from = from, .low = low, .high = high,
                                .v = {TO_V(one[0]), TO_V(one[1]), TO_V(one[2]), TO_V(one[3])}};
    NAME(each)(tile, half, NAME(double_state), &own);
}

/* The part's first n qubits of |0…0⟩ after the leading rotations: the state doubles each time. */
static void NAME(product_state)(const Tile *tile, const D *all_qubits, int n) {
    V *psi = (V *)tile->psi;
    const D *qubits = all_qubits + 4 * tile->first_qubit;
#if LANE_BITS == 0
    psi[0] = splat(1.0);
    psi[1] = splat(0.0);
#else
    for (int t = 0; t < LANES; t++) {
        double re = 1.0, im = 0.0;
        for (int q = 0; q < LANE_BITS; q++) {
            const D *v = qubits + 4 * q + 2 * (t >> q & 1);
            const double old = re;
            re = re * v[0][0] - im * v[1][0];
            im = im * v[0][0] + old * v[1][0];
        }
        psi[0][t] = (REAL)re;
        psi[1][t] = (REAL)im;
    }
#endif
    for (int q = LANE_BITS; q < n; q++) {
        const size_t half = (size_t)1 << (q - LANE_BITS);
        NAME(add_qubit)(tile, psi, psi, psi + 2 * half, half, qubits + 4 * q);
    }
}

/* Im⟨μ|P|v⟩ on one qubit. */
INLINE D NAME(qubit_overlap)(const D m[4], const D v[4], int64_t x, int64_t z) {
    if (x && z) return m[2] * v[0] + m[3] * v[1] - m[0] * v[2] - m[1] * v[3];
    if (x) return m[0] * v[3] - m[1] * v[2] + m[2] * v[1] - m[3] * v[0];
    return m[0] * v[1] - m[1] * v[0] - m[2] * v[3] + m[3] * v[2];
}

/* One step of the doubling taken back, for a qubit that is not inside a vector: with w the product
   of the qubits before it, μ_b = Σ_i λ_b[i] conj(w[i]), and λ[i] ← Σ_b conj(v_b) λ_b[i]. */
typedef struct { V *lambda; const V *before; size_t half; V v[4]; D *mu; } NAME(Contraction);

static void NAME(contract_piece)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Contraction) *w = own;
    const V ar = w->v[0], ai = w->v[1], br = w->v[2], bi = w->v[3];
    const size_t half = w->half;
    V *lambda = w->lambda;
    D mu[4] = {};
    for (size_t u = first; u < last; u++) {
        const V x = w->before[2 * u], y = w->before[2 * u + 1];
        const V cr = lambda[2 * u], ci = lambda[2 * u + 1];
        const V dr = lambda[2 * (u + half)], di = lambda[2 * (u + half) + 1];
        mu[0] += TO_D(cr * x + ci * y);
        mu[1] += TO_D(ci * x - cr * y);
        mu[2] += TO_D(dr * x + di * y);
        mu[3] += TO_D(di * x - dr * y);
        lambda[2 * u] = ar * cr + ai * ci + br * dr + bi * di;
        lambda[2 * u + 1] = ar * ci - ai * cr + br * di - bi * dr;
    }
    for (int k = 0; k < 4; k++) w->mu[4 * piece + k] = mu[k];
}

static void NAME(contract)(const Tile *tile, const V *before, size_t half, const D v[4], D mu[4]) {
    D sums[4 * PIECES];
    const NAME(Contraction) own = {.lambda = (V *)tile->lambda, .before = before, .half = half, .mu = sums,
                                   .v = {TO_V(v[0]), TO_V(v[1]), TO_V(v[2]), TO_V(v[3])}};
    NAME(each)(tile, half, NAME(contract_piece), &own);
    NAME(add_pieces)(tile, half, sums, 4);
    for (int k = 0; k < 4; k++) mu[k] = LANE_BITS > 0 ? splat_d(lane_sum(sums[k])) : sums[k];
}

/* The same for a qubit inside a vector: amplitudes are the first 2^(q + 1) lanes of λ. */
static void NAME(contract_lanes)(V *lambda, const D *qubits, int q, D mu[4]) {
#if LANE_BITS > 0
    const D *v = qubits + 4 * q;
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    for (int t = 0; t < 1 << q; t++) {
        double x = 1.0, y = 0.0;
        for (int k = 0; k < q; k++) {
            const D *one = qubits + 4 * k + 2 * (t >> k & 1);
            const double old = x;
            x = x * one[0][0] - y * one[1][0];
            y = y * one[0][0] + old * one[1][0];
        }
        const int b = t | 1 << q;
        const double cr = lambda[0][t], ci = lambda[1][t], dr = lambda[0][b], di = lambda[1][b];
        sum[0] += cr * x + ci * y;
        sum[1] += ci * x - cr * y;
        sum[2] += dr * x + di * y;
        sum[3] += di * x - dr * y;
        lambda[0][t] = (REAL)(v[0][0] * cr + v[1][0] * ci + v[2][0] * dr + v[3][0] * di);
        lambda[1][t] = (REAL)(v[0][0] * ci - v[1][0] * cr + v[2][0] * di - v[3][0] * dr);
    }
    for (int k = 0; k < 4; k++) mu[k] = splat_d(sum[k]);
#endif
}

/* Gradients of the leading rotations from λ at the start. ψ is no longer needed: its memory takes
   the products of the first q qubits, one after the other. */
static void NAME(product_back)(const Tile *tile, const D *all_qubits, const uint8_t *wanted) {
    const Program *c = tile->program;
    const int64_t *starts = c->leading_starts + tile->first_qubit;
    const D *qubits = all_qubits + 4 * tile->first_qubit;
    V *w = (V *)tile->psi;
    D mu[4], v[4], cosine, sine;
    Tile first = *tile;
    first.psi = (REAL *)(w + 2);
    for (int q = LANE_BITS; q < tile->n_qubits; q++) {
        const size_t half = (size_t)1 << (q - LANE_BITS);
        if (q == LANE_BITS) {
            NAME(product_state)(&first, all_qubits, q);
            continue;
        }
        V *to = w + 2 * half;
        NAME(add_qubit)(tile, w + half, to, to + half, half / 2, qubits + 4 * (q - 1));
    }
    for (int q = (int)tile->n_qubits - 1; q >= 0; q--) {
        for (int k = 0; k < 4; k++) v[k] = qubits[4 * q + k];
        if (q < LANE_BITS) {
            NAME(contract_lanes)((V *)tile->lambda, qubits, q, mu);
        } else {
            const size_t half = (size_t)1 << (q - LANE_BITS);
            NAME(contract)(tile, w + 2 * half, half, v, mu);
        }
        for (int64_t g = starts[q + 1] - 1; g >= starts[q]; g--) {
            if (wanted[g]) tile->gradient[g] = NAME(qubit_overlap)(mu, v, c->x[g], c->z[g]);
            NAME(half_angle)(tile, g, &cosine, &sine);
            NAME(turn_qubit)(v, c->x[g], c->z[g], cosine, -sine);
            NAME(turn_qubit)(mu, c->x[g], c->z[g], cosine, -sine);
        }
    }
}
