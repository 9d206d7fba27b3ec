/* The last gates on the k kept qubits (see tail.py): U in full, with a column of it in each lane.

   Forward gives A_o = U†O_oU. Back takes Σ_b w_bo ρ_b = R_o of a block of rows to the gradients of
   the gates' angles, by the adjoint method on ψ = U and λ = Σ_o O_o U R_o. Part of one variant. */
#if LANE_BITS == 0

/* The tile of columns 8 `number` to 8 `number` + 7; all of its lanes have the weights of row 0. */
static Tile NAME(columns)(const Tile *tile, const Sweep *sweep, int64_t number) {
    Tile found = *tile;
    found.psi = (REAL *)sweep->kept + (size_t)number * tile->count * 2 * LANES;
    found.first_row = 0;
    found.n_lane_rows = 1;
    return found;
}

/* U[m][column]. */
INLINE void NAME(entry_of_tail)(const Tile *tile, const Sweep *sweep, int m, int column, V *re, V *im) {
    const V *state = (const V *)((const REAL *)sweep->kept
        + (size_t)(column / LANES) * tile->count * 2 * LANES) + 2 * m;
    *re = splat(state[0][column % LANES]);
    *im = splat(state[1][column % LANES]);
}

/* `out` takes the matrices (O, 2^k, 2^k). */
static void NAME(tail_forward)(const Sweep *sweep, double *one_hot, double *out) {
    const Program *c = sweep->program;
    D *qubits;
    const Tile tile = NAME(open_tile)(sweep, &qubits);
    const int dim = (int)tile.count;
    const double square = tile.bound->final_scale * tile.bound->final_scale;
    for (int number = 0; number * LANES < dim; number++) {
        Tile own = NAME(columns)(&tile, sweep, number);
        memset(own.psi, 0, own.count * 2 * sizeof(V));
        for (int t = 0; t < LANES && number * LANES + t < dim; t++)
            ((V *)own.psi)[2 * (number * LANES + t)][t] = 1.0;
        NAME(run_forward)(&own, c->parts);
    }
    for (int64_t o = 0; o < c->n_observables; o++) {
        for (int64_t k = 0; k < c->n_observables; k++) one_hot[k] = k == o ? square : 0.0;
        for (int number = 0; number * LANES < dim; number++) {
            const Tile own = NAME(columns)(&tile, sweep, number);
            const V *observed = (const V *)own.lambda;
            NAME(cotangent_state)(&own, one_hot);
            for (int i = 0; i < dim; i++) {
                V re = {}, im = {};
                for (int m = 0; m < dim; m++) {
                    V a, b;
                    NAME(entry_of_tail)(&tile, sweep, m, i, &a, &b);
                    re += a * observed[2 * m] + b * observed[2 * m + 1];
                    im += a * observed[2 * m + 1] - b * observed[2 * m];
                }
                for (int t = 0; t < LANES && number * LANES + t < dim; t++) {
                    double *to = out + 2 * (((size_t)o * dim + i) * dim + number * LANES + t);
                    to[0] = (double)re[t];
                    to[1] = (double)im[t];
                }
            }
        }
    }
}

/* λ += O_o U R_o, in the columns of a tile. Its ψ is used up. */
static void NAME(add_costates)(const Tile *own, const Sweep *sweep, const double *weighted, int first,
                               const double *one_hot, V *sum) {
    const int dim = (int)own->count;
    V *psi = (V *)own->psi;
    for (int m = 0; m < dim; m++) psi[2 * m] = psi[2 * m + 1] = splat(0.0);
    for (int i = 0; i < dim; i++) {
        V a = {}, b = {};
        for (int t = 0; t < LANES && first + t < dim; t++) {
            a[t] = (REAL)weighted[2 * (i * dim + first + t)];
            b[t] = (REAL)weighted[2 * (i * dim + first + t) + 1];
        }
        for (int m = 0; m < dim; m++) {
            V re, im;
            NAME(entry_of_tail)(own, sweep, m, i, &re, &im);
            psi[2 * m] += re * a - im * b;
            psi[2 * m + 1] += re * b + im * a;
        }
    }
    NAME(cotangent_state)(own, one_hot);
    for (int m = 0; m < 2 * dim; m++) sum[m] += ((const V *)own->lambda)[m];
}

/* Gradients (A + P) of the slots from the matrices R (O, 2^k, 2^k) of one block. */
static void NAME(tail_reverse)(const Sweep *sweep, const double *weighted, double *one_hot, V *sum,
                               double *gradients) {
    const Program *c = sweep->program;
    D *qubits;
    Tile tile = NAME(open_tile)(sweep, &qubits);
    const int dim = (int)tile.count;
    V *psi = (V *)tile.psi;
    for (int number = 0; number * LANES < dim; number++) {
        tile.first_row = 0;
        tile.n_lane_rows = 1;
        memset(sum, 0, 2 * (size_t)dim * sizeof(V));
        for (int64_t o = 0; o < c->n_observables; o++) {
            for (int64_t k = 0; k < c->n_observables; k++) one_hot[k] = k == o ? 1.0 : 0.0;
            NAME(add_costates)(&tile, sweep, weighted + (size_t)o * dim * dim * 2, number * LANES, one_hot, sum);
        }
        const Tile own = NAME(columns)(&tile, sweep, number);
        memcpy(psi, own.psi, 2 * (size_t)dim * sizeof(V));
        memcpy(tile.lambda, sum, 2 * (size_t)dim * sizeof(V));
        NAME(run_back)(&tile, c->parts, tile.bound->final_scale, sweep->stop, sweep->wanted);
        for (int64_t g = 0; g < c->n_rotations; g++) {
            if (!sweep->wanted[g]) continue;
            const double value = lane_sum(tile.gradient[g]) * tile.bound->sign[g];
            for (int64_t k = c->term_starts[g]; k < c->term_starts[g + 1]; k++)
                gradients[c->slots[k]] += c->scales[k] * value;
        }
    }
}

/* Scratch: one weight an observable, a column, and what a sweep needs. */
static void NAME(tail)(const Sweep *sweep, const double *weighted, int64_t blocks, double *out) {
    const Program *c = sweep->program;
    const size_t matrices = (size_t)c->n_observables * 2 << (2 * c->n_qubits);
    V *sum = (V *)(sweep->scratch);
    double *one_hot = (double *)(sum + ((size_t)2 << c->n_qubits));
    Sweep own = *sweep;
    own.scratch = (char *)one_hot + ((c->n_observables * 8 + 63) & ~63);
    if (!weighted) NAME(tail_forward)(&own, one_hot, out);
    for (int64_t k = 0; weighted && k < blocks; k++)
        NAME(tail_reverse)(&own, weighted + k * matrices, one_hot, sum, out + k * (c->n_rows + c->n_params));
}
#endif
