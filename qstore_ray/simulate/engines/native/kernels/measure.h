/* Observables of a tile: expectation values, and λ = Σ_o w_o O_o ψ. Part of one variant.

   What is diagonal is one field for all observables together: the transform of |ψ_j|² holds every
   ⟨Z^z⟩, and the transform of the weights is the diagonal of Σ_o w_o O_o. */

static int NAME(any_term)(const Program *c, int diagonal) {
    for (int64_t k = 0; k < c->n_terms; k++)
        if ((c->terms[4 * k] == 0) == diagonal) return 1;
    return 0;
}

/* (−1)^|j∧z| of the amplitudes in vector u. */
INLINE D NAME(signs_at)(uint32_t u, uint32_t z, D lanes) {
    return __builtin_parity((u << LANE_BITS) & z) ? -lanes : lanes;
}

/* i^power times a complex vector. */
INLINE void NAME(times_i)(D *re, D *im, int64_t power) {
    const D a = *re, b = *im;
    if (power == 1) { *re = -b; *im = a; }
    else if (power == 2) { *re = -a; *im = -b; }
    else if (power == 3) { *re = b; *im = -a; }
}

/* i^power X^x Z^z on ψ, with weights one a lane: what a loop over the vectors of ψ needs. */
typedef struct { const V *psi; V *lambda; uint32_t x, z; int64_t power; D lanes, *sums; } NAME(PauliString);

/* Vector u of ψ after the string; it belongs to vector u ^ UNIT(x). */
INLINE void NAME(string_at)(const NAME(PauliString) *w, size_t u, D *re, D *im) {
    const D signs = NAME(signs_at)((uint32_t)u, w->z, w->lanes);
    D a = signs * TO_D(w->psi[2 * u]), b = signs * TO_D(w->psi[2 * u + 1]);
    NAME(times_i)(&a, &b, w->power);
    *re = PERMUTE_D(a, LANE(w->x));
    *im = PERMUTE_D(b, LANE(w->x));
}

static void NAME(value_piece)(const void *own, size_t first, size_t last, int piece) {
    const NAME(PauliString) *w = own;
    D sum = splat_d(0.0), a, b;
    for (size_t u = first; u < last; u++) {
        const size_t to = u ^ UNIT(w->x);
        NAME(string_at)(w, u, &a, &b);
        sum += TO_D(w->psi[2 * to]) * a + TO_D(w->psi[2 * to + 1]) * b;
    }
    w->sums[piece] = sum;
}

/* ⟨ψ|i^power X^x Z^z|ψ⟩ of stored amplitudes, x ≠ 0. */
static D NAME(string_value)(const Tile *tile, uint32_t x, uint32_t z, int64_t power) {
    D sums[PIECES];
    const NAME(PauliString) own = {.psi = (const V *)tile->psi, .x = x, .z = z, .power = power,
                                   .lanes = lane_signs(z), .sums = sums};
    NAME(each)(tile, tile->count, NAME(value_piece), &own);
    NAME(add_pieces)(tile, tile->count, sums, 1);
    return LANE_BITS > 0 ? splat_d(lane_sum(sums[0])) : sums[0];
}

static void NAME(probabilities)(const void *own, size_t first, size_t last, int piece) {
    const Tile *tile = own;
    const V *psi = (const V *)tile->psi;
    for (size_t u = first; u < last; u++) {
        const D a = TO_D(psi[2 * u]), b = TO_D(psi[2 * u + 1]);
        tile->field[u] = a * a + b * b;
    }
}

static void NAME(measure)(const Tile *tile, double *values) {
    const Program *c = tile->program;
    const double square = tile->bound->final_scale * tile->bound->final_scale;
    if (NAME(any_term)(c, 1)) {
        NAME(each)(tile, tile->count, NAME(probabilities), tile);
        NAME(walsh_hadamard)(tile, tile->field);
    }
    double *row = values + tile->first_row * c->n_observables;
    memset(row, 0, (size_t)(tile->n_lane_rows * c->n_observables) * sizeof(double));
    for (int64_t k = 0; k < c->n_terms; k++) {
        const int64_t *term = c->terms + 4 * k;
        const uint32_t x = (uint32_t)term[0], z = (uint32_t)term[1];
        D value = x ? NAME(string_value)(tile, x, z, term[2]) : NAME(entry)(tile->field, z);
        value *= splat_d(square * c->coefficients[k] * tile->bound->term_sign[k]);
        for (int64_t t = 0; t < tile->n_lane_rows; t++)
            row[t * c->n_observables + term[3]] += value[t];
    }
}

static D NAME(weight)(const Tile *tile, const double *cotangent, int64_t k) {
    const Program *c = tile->program;
    D weight;
    for (int t = 0; t < LANES; t++) {
        const int64_t lane = t < tile->n_lane_rows ? t : tile->n_lane_rows - 1;
        weight[t] = cotangent[(tile->first_row + lane) * c->n_observables + c->terms[4 * k + 3]];
    }
    return weight * splat_d(c->coefficients[k] * tile->bound->term_sign[k]);
}

static void NAME(string_piece)(const void *own, size_t first, size_t last, int piece) {
    const NAME(PauliString) *w = own;
    D a, b;
    for (size_t u = first; u < last; u++) {
        const size_t to = u ^ UNIT(w->x);
        NAME(string_at)(w, u, &a, &b);
        w->lambda[2 * to] += TO_V(a);
        w->lambda[2 * to + 1] += TO_V(b);
    }
}

/* λ ← λ + w i^power X^x Z^z ψ. */
static void NAME(add_string)(const Tile *tile, uint32_t x, uint32_t z, int64_t power, D weight) {
    const NAME(PauliString) own = {.psi = (const V *)tile->psi, .lambda = (V *)tile->lambda, .x = x,
                                   .z = z, .power = power, .lanes = weight * lane_signs(z)};
    NAME(each)(tile, tile->count, NAME(string_piece), &own);
}

static void NAME(diagonal)(const void *own, size_t first, size_t last, int piece) {
    const Tile *tile = own;
    const V *psi = (const V *)tile->psi;
    V *lambda = (V *)tile->lambda;
    for (size_t u = first; u < last; u++) {
        const V d = TO_V(tile->field[u]);
        lambda[2 * u] = d * psi[2 * u];
        lambda[2 * u + 1] = d * psi[2 * u + 1];
    }
}

static void NAME(cotangent_state)(const Tile *tile, const double *cotangent) {
    const Program *c = tile->program;
    NAME(each)(tile, tile->count, NAME(clear), tile->field);
    if (NAME(any_term)(c, 1)) {
        for (int64_t k = 0; k < c->n_terms; k++) {
            if (c->terms[4 * k]) continue;
            NAME(add_to_entry)(tile->field, (uint32_t)c->terms[4 * k + 1], NAME(weight)(tile, cotangent, k));
        }
        NAME(walsh_hadamard)(tile, tile->field);
    }
    NAME(each)(tile, tile->count, NAME(diagonal), tile);
    for (int64_t k = 0; k < c->n_terms; k++) {
        const int64_t *term = c->terms + 4 * k;
        if (term[0])
            NAME(add_string)(tile, (uint32_t)term[0], (uint32_t)term[1], term[2], NAME(weight)(tile, cotangent, k));
    }
}
